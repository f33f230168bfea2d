import type { Boot } from "./boot.ts";
import { clusterSection, kubernetesDocuments, kubernetesImage } from "./kubernetesImages.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { SimulatedNode } from "./node.ts";
import type { ResourceContent, ResourceType } from "./resourceTypes.ts";

const names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;
type Name = (typeof names)[number];

interface StaticPod {
  /** Changes with the manifest that Talos writes. */
  manifest: string;
  /** The image in the manifest, and the one of the container that runs. */
  image: string;
  runs: string;
  writtenAt: Date;
  /** When the container that runs was started; the pod's own start is the boot's, and stays (seen on real Talos 1.13). */
  startedAt: Date;
  ready: boolean;
}

/** The pods that the kubelet of a control plane runs from manifests of Talos. */
export class StaticPods {
  readonly #pods = new Map<Name, StaticPod>();
  readonly #changed: () => void;
  #startTime = new Date();

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  start(config: MachineConfig): void {
    this.#startTime = new Date();
    for (const name of names)
      this.#pods.set(name, {
        manifest: manifestOf(name, config),
        image: imageOf(name, config),
        runs: imageOf(name, config),
        writtenAt: this.#startTime,
        startedAt: new Date(),
        ready: true,
      });
    this.#changed();
  }

  get unready(): string[] {
    return [...this.#pods].filter(([, { ready }]) => !ready).map(([name]) => name);
  }

  /**
   * A configuration that touches a component: Talos writes its manifest at once, and the kubelet restarts it a moment later. While the API server
   * restarts, scheduler and controller manager lose their leases and restart too.
   * @param returns false while the API server's new container does not get ready
   */
  async follow(
    config: MachineConfig,
    boot: Boot,
    seconds: number,
    returns: () => boolean = () => true,
  ): Promise<void> {
    const changed = names.filter((name) => {
      const pod = this.#pods.get(name);
      return pod !== undefined && pod.manifest !== manifestOf(name, config);
    });
    for (const name of changed)
      this.#set(name, {
        manifest: manifestOf(name, config),
        image: imageOf(name, config),
        writtenAt: new Date(),
      });
    await Promise.all([
      ...changed
        .filter((name) => name !== "kube-apiserver")
        .map((name) => this.#restart(name, boot, seconds)),
      ...(changed.includes("kube-apiserver") ? [this.#restartApiServer(boot, seconds, returns)] : []),
    ]);
  }

  async #restart(name: Name, boot: Boot, seconds: number): Promise<void> {
    await boot.sleep(seconds * 0.2);
    this.#set(name, { ready: false });
    await boot.sleep(seconds * 0.3);
    this.#started(name);
  }

  async #restartApiServer(boot: Boot, seconds: number, returns: () => boolean): Promise<void> {
    await boot.sleep(seconds * 0.2);
    this.#set("kube-apiserver", { ready: false });
    await boot.sleep(seconds * 0.3);
    for (const name of names.slice(1)) this.#set(name, { ready: false });
    while (!returns()) await boot.sleep(0.05);
    this.#started("kube-apiserver");
    await boot.sleep(seconds * 0.5);
    for (const name of names.slice(1)) this.#started(name);
  }

  /** A container of what its manifest says now. */
  #started(name: Name): void {
    this.#set(name, { ready: true, startedAt: new Date(), runs: this.#pods.get(name)?.image ?? "" });
  }

  #set(name: Name, change: Partial<StaticPod>): void {
    const pod = this.#pods.get(name);
    if (pod === undefined) return;
    this.#pods.set(name, { ...pod, ...change });
    this.#changed();
  }

  manifests(): ResourceContent[] {
    return [...this.#pods].map(([name, { manifest, image, writtenAt }]) => ({
      id: name,
      updatedAt: writtenAt,
      spec: {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace: "kube-system", annotations: { manifest } },
        spec: { containers: [{ name, image }] },
      },
    }));
  }

  statuses(hostname: string): ResourceContent[] {
    // The YAML of the resource is the status itself (siderolabs/talos v1.13 resources/k8s/static_pod_status.go, MarshalYAML).
    return [...this.#pods].map(([name, { ready, startedAt, runs }]) => ({
      id: `kube-system/${name}-${hostname}`,
      spec: {
        phase: "Running",
        conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
        startTime: seconds(this.#startTime),
        containerStatuses: [
          { name, ready, image: runs, state: { running: { startedAt: seconds(startedAt) } } },
        ],
      },
    }));
  }
}

/** Times of pods are whole seconds. */
const seconds = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

const sections = {
  "kube-apiserver": "apiServer",
  "kube-controller-manager": "controllerManager",
  "kube-scheduler": "scheduler",
} as const;

/** What of a configuration is in a component's manifest. */
function manifestOf(name: Name, config: MachineConfig): string {
  const { documents } = config;
  const kinds = [
    kubernetesDocuments[name],
    ...(name === "kube-apiserver" ? ["KubeAdmissionControlConfig"] : []),
  ];
  return JSON.stringify([
    clusterSection(config, sections[name]),
    documents.filter(({ kind }) => kinds.includes(String(kind))),
  ]);
}

function imageOf(name: Name, config: MachineConfig): string {
  return kubernetesImage(config, name, clusterSection(config, sections[name]));
}

const onControlPlane =
  (contents: (node: SimulatedNode) => ResourceContent[] | undefined): ResourceType["contents"] =>
  (node) =>
    (node.config?.role === "controlplane" ? contents(node) : undefined) ?? [];

export const staticPodTypes: ResourceType[] = [
  {
    type: "StaticPods.kubernetes.talos.dev",
    namespace: "k8s",
    contents: onControlPlane(({ boot }) => boot?.staticPods.manifests()),
  },
  {
    type: "StaticPodStatuses.kubernetes.talos.dev",
    namespace: "k8s",
    columns: [["Ready", '{.conditions[?(@.type=="Ready")].status}']],
    contents: onControlPlane(({ boot, hostname }) => boot?.staticPods.statuses(hostname)),
  },
];
