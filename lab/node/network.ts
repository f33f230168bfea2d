import { loadAuthority, type Authority } from "../pki.ts";
import type { SimulatedNode } from "./node.ts";

/**
 * The network that the simulated nodes share. On real nodes these are protocols that nobody outside sees: etcd's own, the
 * discovery service, and trustd, by which a worker gets its certificate from a control plane.
 */
export class LabNetwork {
  readonly #nodes = new Map<string, SimulatedNode>();
  /** etcd's leader by cluster id: it stays until it fails. */
  readonly leaders = new Map<string, string>();

  add(node: SimulatedNode): void {
    if (this.#nodes.has(node.address)) {
      throw new Error(`There is a node at ${node.address} already.`);
    }
    this.#nodes.set(node.address, node);
  }

  remove(node: SimulatedNode): void {
    this.#nodes.delete(node.address);
  }

  nodes(): SimulatedNode[] {
    return [...this.#nodes.values()];
  }

  node(address: string): SimulatedNode | undefined {
    return this.#nodes.get(address);
  }

  /** All nodes with a configuration of this cluster, also those that are off. */
  cluster(clusterId: string): SimulatedNode[] {
    return this.nodes().filter((node) => node.clusterId === clusterId);
  }

  /** Who can issue for a machine CA now: a control plane that has its key and is up. */
  async issuer(certificate: string): Promise<Authority | undefined> {
    for (const node of this.nodes()) {
      const { config } = node;
      const key = config?.machineCa.key;
      if (
        key !== undefined &&
        config?.machineCa.crt === certificate &&
        node.boot?.services.isUp("trustd") === true
      ) {
        return await loadAuthority({ crt: certificate, key });
      }
    }
    return undefined;
  }
}
