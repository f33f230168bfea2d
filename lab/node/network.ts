import { loadAuthority, type Authority } from "../pki.ts";
import type { Machine, Network } from "./machine/machine.ts";

/**
 * The network that the simulated nodes share. On real nodes, these protocols aren't visible from outside: etcd's own, the
 * discovery service, and trustd, through which a worker gets its certificate from a control plane.
 */
export class LabNetwork implements Network {
  readonly #nodes = new Map<string, Machine>();
  /** etcd's leader by cluster ID: it stays leader until it fails. */
  readonly leaders = new Map<string, string>();

  add(node: Machine): void {
    if (this.#nodes.has(node.address)) {
      throw new Error(`There is already a node at ${node.address}.`);
    }
    this.#nodes.set(node.address, node);
  }

  remove(node: Machine): void {
    this.#nodes.delete(node.address);
  }

  nodes(): Machine[] {
    return [...this.#nodes.values()];
  }

  node(address: string): Machine | undefined {
    return this.#nodes.get(address);
  }

  /** All nodes with a configuration of this cluster, including those that are off. */
  cluster(clusterId: string): Machine[] {
    return this.nodes().filter((node) => node.clusterId === clusterId);
  }

  /** The authority of a machine CA, if a control plane that has its key is up. */
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
