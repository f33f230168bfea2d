import { kubeletRelease } from "../../lab/node/machine/kubernetesImages.ts";
import type { TalosNodeProvider } from "../../provider/plugin.ts";
import type { Properties } from "../../provider/secrets.ts";
import { readImages, releaseOfImage, type KubernetesComponent } from "../../talos/kubernetesImages.ts";
import type { connectActor } from "../../talos/api/actor.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

export const oldRelease = "v1.35.4";
export const newRelease = "v1.36.1";
export const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:KubernetesUpgrade::kubernetes-upgrade";

/** A cluster that runs one release of Kubernetes, as reported by its nodes and its API. */
export class KubernetesCluster {
  readonly cluster: SimulatedCluster;
  readonly kubernetes: FakeKubernetes;

  private constructor(cluster: SimulatedCluster, kubernetes: FakeKubernetes) {
    this.cluster = cluster;
    this.kubernetes = kubernetes;
  }

  static async start(options: {
    subnet: string;
    controlPlanes?: number;
    workers?: number;
    version?: string;
    /** Default: `before`. */
    kubernetesVersion?: string;
  }): Promise<KubernetesCluster> {
    const kubernetes = new FakeKubernetes();
    const found: { cluster?: SimulatedCluster } = {};
    const report = (name: string): void => {
      const node = found.cluster?.nodes.find((one) => one.name === name);
      if (node?.config !== undefined) kubernetes.get(name).kubeletVersion = kubeletRelease(node.config);
    };
    const cluster = await SimulatedCluster.start({
      version: "v1.13.9",
      timings: { pullSeconds: 0.02, bootSeconds: 0.05 },
      kubernetesVersion: oldRelease,
      runtime: { kubeletUp: async ({ name }) => report(name) },
      ...options,
    });
    found.cluster = cluster;
    for (const { name, address } of cluster.nodes) {
      kubernetes.add(name, address);
      report(name);
    }
    kubernetes.others.set("DaemonSet", []);
    return new KubernetesCluster(cluster, kubernetes);
  }

  provider(connect?: typeof connectActor, timeouts: Record<string, number> = {}): Harness {
    return createHarness(
      this.kubernetes,
      {
        probeMs: 10_000,
        guardMs: 10_000,
        recoveryMs: 20_000,
        serviceMs: 10_000,
        steadyMs: 20,
        pollMs: 10,
        pollMaxMs: 40,
        ...timeouts,
      },
      connect,
    );
  }

  inputs(change: Properties = {}): Properties {
    return {
      kubernetesVersion: newRelease,
      nodes: Object.fromEntries(
        this.cluster.nodes.map((node) => [
          node.name,
          { node: node.address, role: node.identity().role, talosVersion: node.version },
        ]),
      ),
      clientConfiguration: { ...this.cluster.credentials },
      kubeconfig: "kubeconfig",
      timeoutSeconds: 20,
      ...change,
    };
  }

  /** The state of a stack that adopted the cluster. */
  async adopted(provider: TalosNodeProvider, change: Properties = {}): Promise<Properties> {
    const { outs } = await provider.create(urn, this.inputs({ kubernetesVersion: oldRelease, ...change }));
    return outs;
  }

  /** Releases by node and component, as the configurations name them. */
  configured(): Record<string, Partial<Record<KubernetesComponent, string>>> {
    return Object.fromEntries(
      this.cluster.nodes.map((node) => {
        const images = Object.entries(readImages(node.config?.text ?? "")) as [KubernetesComponent, string][];
        return [node.name, Object.fromEntries(images.map(([name, image]) => [name, releaseOfImage(image)]))];
      }),
    );
  }

  applies(): Record<string, number> {
    return Object.fromEntries(
      this.cluster.nodes.map((node) => [node.name, node.snapshot().appliedConfigs.length]),
    );
  }

  stop(): Promise<void> {
    return this.cluster.stop();
  }
}

/** What a node of each role names if all its components run one release. */
export function componentReleases(release: string, role: "controlplane" | "worker"): Record<string, string> {
  const names =
    role === "worker"
      ? ["kubelet"]
      : ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"];
  return Object.fromEntries(names.map((name) => [name, release]));
}
