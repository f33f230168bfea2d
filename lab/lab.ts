import { join } from "node:path";
import type { NewMachine, NodeReport } from "./control.ts";
import { ClusterFaults } from "./clusterFaults.ts";
import { StorageFaults } from "./storageFaults.ts";
import { FactoryServer } from "./factory/server.ts";
import type { KubernetesTools } from "./kubernetes/controlPlane.ts";
import { KubernetesRuntime } from "./kubernetes/runtime.ts";
import { bootImage, labFiles, type LabLayout, type LabOptions } from "./layout.ts";
import { LabNetwork } from "./node/network.ts";
import { SimulatedNode } from "./node/node.ts";
import { timingsFor } from "./node/machine/timings.ts";

const kubernetesTools = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kwok",
] as const;

/** A lab's parts, wired together: machines that pull from the factory, with Kubernetes's own kubelets and control plane. */
export class Lab {
  readonly #nodes: SimulatedNode[];
  readonly #make: (machine: NewMachine) => SimulatedNode;
  readonly #kubernetes: KubernetesRuntime;
  readonly #factory: FactoryServer;
  readonly clusterFaults: ClusterFaults;
  readonly storageFaults: StorageFaults;

  /** Boots everything; the machines are empty and wait in maintenance mode. */
  static async start(layout: LabLayout, options: LabOptions, say: (line: string) => void): Promise<Lab> {
    const lab = new Lab(layout, options, say);
    await lab.#factory.start();
    await Promise.all(lab.#nodes.map((node) => node.start()));
    return lab;
  }

  private constructor(layout: LabLayout, options: LabOptions, say: (line: string) => void) {
    const image = bootImage(options);
    const timings = timingsFor(options.nodeSeconds);
    const { hostname, port } = new URL(layout.factory);
    this.#factory = new FactoryServer({
      host: hostname,
      port: Number(port),
      log: (line) => say(`factory: ${line}`),
    });
    this.#kubernetes = new KubernetesRuntime({
      directory: labFiles.kubernetes,
      tools: Object.fromEntries(
        kubernetesTools.map((name) => [name, join(labFiles.bin, name)]),
      ) as KubernetesTools,
      ...(options.builds === undefined ? {} : { builds: options.builds }),
      log: (line) => say(`kubernetes: ${line}`),
    });
    this.clusterFaults = new ClusterFaults(this.#kubernetes);
    this.storageFaults = new StorageFaults(this.#kubernetes, (name) => this.node(name));
    const network = new LabNetwork();
    this.#make = (machine) =>
      new SimulatedNode({
        ...machine,
        network,
        runtime: this.#kubernetes,
        image,
        timings,
        log: (line) => say(`${machine.name}: ${line}`),
      });
    this.#nodes = layout.nodes.map(({ name, address }) => this.#make({ name, address }));
  }

  /** Boots one more machine; it has no configuration and waits in maintenance mode. */
  async boot(machine: NewMachine): Promise<void> {
    const { name, address } = machine;
    const other = this.#nodes.find((node) => node.name === name || node.address === address);
    if (other !== undefined)
      throw new Error(`the lab has a machine ${other.name} at ${other.address} already`);
    const node = this.#make(machine);
    await node.start();
    this.#nodes.push(node);
  }

  node(name: string): SimulatedNode {
    const found = this.#nodes.find((node) => node.name === name);
    if (found === undefined)
      throw new Error(
        `the lab has no node "${name}"; its nodes are ${this.#nodes.map((node) => node.name).join(", ")}`,
      );
    return found;
  }

  report(): NodeReport[] {
    return this.#nodes.map((node) => {
      const { name, address, stage, ready, boots, upgrades, reboots, faults, appliedConfigs } =
        node.snapshot();
      return {
        name,
        address,
        stage,
        ready,
        boots: boots.length,
        applies: appliedConfigs.length,
        reboots,
        upgrades,
        calls: node.calls,
        answeringMs: node.answering.toMs - node.answering.fromMs,
        faults: [
          ...faults.map(({ id }) => id),
          ...this.clusterFaults.active(name),
          ...this.storageFaults.active(name),
        ],
      };
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await Promise.all([this.#kubernetes.stop(), this.#factory.stop()]);
  }
}
