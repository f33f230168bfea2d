import type { Boot } from "./boot.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { SimulatedNode } from "./node.ts";
import type { ResourceContent, ResourceType } from "./resourceTypes.ts";

const names = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;
type Name = (typeof names)[number];

interface StaticPod {
  /** Changes with the manifest that Talos writes. */
  manifest: string;
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
        manifest: manifestOf(config),
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
   * A configuration that touches the API server: Talos writes its manifest at once. The kubelet restarts it a moment later, and
   * meanwhile scheduler and controller manager lose their leases and restart too.
   */
  async follow(config: MachineConfig, boot: Boot, seconds: number): Promise<void> {
    const manifest = manifestOf(config);
    const apiServer = this.#pods.get("kube-apiserver");
    if (apiServer === undefined || apiServer.manifest === manifest) return;
    this.#set("kube-apiserver", { manifest, writtenAt: new Date() });
    await boot.sleep(seconds * 0.2);
    this.#set("kube-apiserver", { ready: false });
    await boot.sleep(seconds * 0.3);
    for (const name of names.slice(1)) this.#set(name, { ready: false });
    this.#set("kube-apiserver", { ready: true, startedAt: new Date() });
    await boot.sleep(seconds * 0.5);
    for (const name of names.slice(1)) this.#set(name, { ready: true, startedAt: new Date() });
  }

  #set(name: Name, change: Partial<StaticPod>): void {
    const pod = this.#pods.get(name);
    if (pod === undefined) return;
    this.#pods.set(name, { ...pod, ...change });
    this.#changed();
  }

  manifests(): ResourceContent[] {
    return [...this.#pods].map(([name, { manifest, writtenAt }]) => ({
      id: name,
      updatedAt: writtenAt,
      spec: {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name, namespace: "kube-system", annotations: { manifest } },
      },
    }));
  }

  statuses(hostname: string): ResourceContent[] {
    return [...this.#pods].map(([name, { ready, startedAt }]) => ({
      id: `kube-system/${name}-${hostname}`,
      spec: {
        podStatus: {
          phase: "Running",
          conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
          startTime: seconds(this.#startTime),
          containerStatuses: [{ name, ready, state: { running: { startedAt: seconds(startedAt) } } }],
        },
      },
    }));
  }
}

/** Times of pods are whole seconds. */
const seconds = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

/** What of a configuration is in the API server's manifest. */
function manifestOf({ documents }: MachineConfig): string {
  const main = documents.find(({ kind }) => kind === undefined) as
    { cluster?: { apiServer?: unknown } } | undefined;
  return JSON.stringify([
    main?.cluster?.apiServer,
    documents.filter(({ kind }) => kind === "KubeAdmissionControlConfig"),
  ]);
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
    columns: [["Ready", '{.podStatus.conditions[?(@.type=="Ready")].status}']],
    contents: onControlPlane(({ boot, hostname }) => boot?.staticPods.statuses(hostname)),
  },
];
