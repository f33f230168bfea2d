import { isDeepStrictEqual } from "node:util";
import {
  componentCommand,
  componentConfig,
  componentSection,
  type ComponentConfig,
  staticPodNames as names,
  type StaticPodName as Name,
} from "./componentConfigs.ts";
import { kubernetesDocuments } from "./kubernetesImages.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { ResourceContent } from "./resourceContent.ts";
import type { RunningStaticPod } from "./runtime.ts";
import { wireStruct } from "./wireStruct.ts";

/** The settings from which Talos creates a component's pod, and how often they have changed in this boot. */
interface VersionedConfig {
  config: ComponentConfig;
  version: number;
}

interface StaticPod {
  /** Changes with the manifest that Talos writes. */
  manifest: string;
  /** The settings in the manifest, and those that the running container was started with. */
  wanted: VersionedConfig;
  runs: VersionedConfig;
  writtenAt: Date;
  /** Start of the running container. The pod's own start time is the boot's and doesn't change (seen on real Talos 1.13). */
  startedAt: Date;
  ready: boolean;
}

/** The parts of the boot that matter to its pods. */
interface PodHost {
  /** Running services that are briefly unhealthy. */
  readonly struggling: Set<string>;
  /** @throws AbortError if the power goes first */
  sleep(seconds: number): Promise<void>;
}

/** The pods that a control plane's kubelet runs from manifests written by Talos. */
export class StaticPods {
  readonly #pods = new Map<Name, StaticPod>();
  readonly #changed: () => void;
  #startTime = new Date();

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  start(config: MachineConfig): void {
    this.#startTime = new Date();
    for (const name of names) {
      const wanted = { config: componentConfig(name, config), version: 1 };
      this.#pods.set(name, {
        manifest: manifestOf(name, config),
        wanted,
        runs: wanted,
        writtenAt: this.#startTime,
        startedAt: new Date(),
        ready: true,
      });
    }
    this.#changed();
  }

  get unready(): string[] {
    return [...this.#pods].filter(([, { ready }]) => !ready).map(([name]) => name);
  }

  /**
   * Follows a configuration that affects a component: Talos writes its manifest right away, and the kubelet restarts it a moment later. While the API
   * server restarts, the scheduler and the controller manager lose their leases and restart too.
   * @param returns false while the API server's new container doesn't become ready
   */
  async follow(
    config: MachineConfig,
    boot: PodHost,
    seconds: number,
    returns: () => Promise<boolean> = async () => true,
  ): Promise<void> {
    const changed = names.filter((name) => {
      const pod = this.#pods.get(name);
      return pod !== undefined && pod.manifest !== manifestOf(name, config);
    });
    for (const name of changed)
      this.#set(name, {
        manifest: manifestOf(name, config),
        wanted: this.#next(name, componentConfig(name, config)),
        writtenAt: new Date(),
      });
    await Promise.all([
      ...changed
        .filter((name) => name !== "kube-apiserver")
        .map((name) => this.#restart(name, boot, seconds)),
      ...(changed.includes("kube-apiserver") ? [this.#restartApiServer(boot, seconds, returns)] : []),
    ]);
  }

  #next(name: Name, config: ComponentConfig): VersionedConfig {
    const { wanted } = this.#pods.get(name) ?? {};
    const version = wanted?.version ?? 0;
    return isDeepStrictEqual(wanted?.config, config) ? { config, version } : { config, version: version + 1 };
  }

  async #restart(name: Name, boot: PodHost, seconds: number): Promise<void> {
    await boot.sleep(seconds * 0.2);
    this.#set(name, { ready: false });
    await boot.sleep(seconds * 0.3);
    this.#started(name);
  }

  async #restartApiServer(boot: PodHost, seconds: number, returns: () => Promise<boolean>): Promise<void> {
    await boot.sleep(seconds * 0.2);
    this.#set("kube-apiserver", { ready: false });
    await boot.sleep(seconds * 0.3);
    for (const name of names.slice(1)) this.#set(name, { ready: false });
    while (!(await returns())) await boot.sleep(0.05);
    this.#started("kube-apiserver");
    await boot.sleep(seconds * 0.2);
    for (const name of names.slice(1)) this.#started(name);
    // Healthy for a moment, and then not: readiness flaps before it settles (seen on real Talos 1.13).
    await boot.sleep(seconds * 0.15);
    this.#struggles(boot, true);
    await boot.sleep(seconds * 0.15);
    this.#struggles(boot, false);
  }

  #struggles(boot: PodHost, does: boolean): void {
    if (does) boot.struggling.add("kubelet");
    else boot.struggling.delete("kubelet");
    this.#changed();
  }

  /** Starts a container from the current manifest. */
  #started(name: Name): void {
    const wanted = this.#pods.get(name)?.wanted;
    if (wanted !== undefined) this.#set(name, { ready: true, startedAt: new Date(), runs: wanted });
  }

  #set(name: Name, change: Partial<StaticPod>): void {
    const pod = this.#pods.get(name);
    if (pod === undefined) return;
    this.#pods.set(name, { ...pod, ...change });
    this.#changed();
  }

  /** The current settings of a component's pod. */
  config(name: Name): VersionedConfig | undefined {
    return this.#pods.get(name)?.wanted;
  }

  /** As reported by the kubelet to the API server. */
  running(): RunningStaticPod[] {
    return [...this.#pods].map(([name, { ready, startedAt, runs }]) => ({
      name,
      image: runs.config.image,
      command: componentCommand(name, runs.config),
      configVersion: String(runs.version),
      startTime: seconds(this.#startTime),
      startedAt: seconds(startedAt),
      ready,
    }));
  }

  manifests(): ResourceContent[] {
    return [...this.#pods].map(
      ([
        name,
        {
          manifest,
          wanted: { config, version },
          writtenAt,
        },
      ]) => {
        const annotations = { "talos.dev/config-version": String(version), manifest };
        const pod = {
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name, namespace: "kube-system", annotations },
          spec: { containers: [{ name, image: config.image, command: componentCommand(name, config) }] },
        };
        return { id: name, updatedAt: writtenAt, spec: pod, message: { pod: wireStruct(pod) } };
      },
    );
  }

  statuses(hostname: string): ResourceContent[] {
    // The YAML of the resource is the status itself (siderolabs/talos v1.13 resources/k8s/static_pod_status.go, MarshalYAML).
    return this.running().map(({ name, ready, startTime, startedAt, image }) => {
      const podStatus = {
        phase: "Running",
        conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
        startTime,
        containerStatuses: [{ name, ready, image, state: { running: { startedAt } } }],
      };
      return {
        id: `kube-system/${name}-${hostname}`,
        spec: podStatus,
        message: { podStatus: wireStruct(podStatus) },
      };
    });
  }
}

/** Pod times are whole seconds. */
const seconds = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

/** The parts of a configuration that go into a component's manifest. */
function manifestOf(name: Name, config: MachineConfig): string {
  const { documents } = config;
  const kinds = [
    kubernetesDocuments[name],
    ...(name === "kube-apiserver" ? ["KubeAdmissionControlConfig"] : []),
  ];
  return JSON.stringify([
    componentSection(name, config),
    documents.filter(({ kind }) => kinds.includes(String(kind))),
  ]);
}
