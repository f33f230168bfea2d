import type { Hardware } from "../hardware/reported.ts";
import type { InstallHistory } from "./installLog.ts";

/** Options of one call. */
export interface CallOptions {
  /** How long to wait for the answer, in milliseconds. */
  deadlineMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
}

export interface RunningVersion {
  /** The running release, for example `v1.13.9`. */
  tag: string;
  /** Its platform: `metal`, `vmware`, `container`, … */
  platform: string;
  /** CPU architecture: `amd64` or `arm64`. */
  arch: string;
}

/** One system extension of the running image. */
export interface InstalledExtension {
  /** Without the publisher: `iscsi-tools`. */
  name: string;
  version: string;
}

export interface RunningService {
  id: string;
  /** `Running`, `Finished`, `Failed`, `Waiting`, `Preparing`, … */
  state: string;
  /** Services without a health check, including extension services, are never `unhealthy`. */
  health: "healthy" | "unhealthy" | "unknown";
  /** The latest event in the service's log. */
  lastEvent: string;
}

/** The status of the whole machine (COSI resource MachineStatus). */
export interface MachineStatus {
  /** `booting`, `running`, `rebooting`, `upgrading`, `maintenance`, … */
  stage: string;
  ready: boolean;
  /** Why it is not ready. */
  unmet: { name: string; reason: string }[];
}

export interface EtcdMember {
  id: string;
  /** Empty for a member that was added but has never started. */
  hostname: string;
  /** The hosts in its peer URLs. */
  addresses: string[];
  learner: boolean;
}

export interface EtcdStatus {
  memberId: string;
  /** The running etcd: `3.6.12`. */
  version: string;
  /** The version of its data: `3.6.0`. It follows etcd's cluster version; before etcd 3.6 it equals the server's. */
  storageVersion: string;
  /** The leader's member ID; `0` if there is none. */
  leader: string;
  learner: boolean;
  errors: string[];
}

export interface EtcdAlarm {
  memberId: string;
  /** `NOSPACE` or `CORRUPT`. */
  alarm: string;
}

/** A pod that the kubelet runs without Kubernetes. */
export interface StaticPod {
  ready: boolean;
  /** The running pod was started before the last change of its manifest: the kubelet hasn't restarted it yet. */
  outdated: boolean;
  /** The image in its manifest. */
  wantedImage?: string;
  /** The running image, as the kubelet reports it. */
  image?: string;
}

/**
 * One connection to one Talos node, with the calls that leave the node unchanged: every module outside `provider/gate` uses this. Every method throws a
 * TalosError.
 */
export interface TalosReader {
  /** The address of the answering node. */
  readonly node: string;

  version(call?: CallOptions): Promise<RunningVersion>;
  /** Changes with every boot; undefined if the client certificate's role may not read it. */
  bootId(call?: CallOptions): Promise<string | undefined>;
  machineStatus(call?: CallOptions): Promise<MachineStatus>;
  services(call?: CallOptions): Promise<RunningService[]>;
  /** The extensions of the running image and its schematic ID, if it came from an Image Factory. */
  extensions(
    call?: CallOptions,
  ): Promise<{ installed: InstalledExtension[]; schematicId: string | undefined }>;
  /** The node's Kubernetes name; undefined before it has one. */
  kubernetesNode(call?: CallOptions): Promise<string | undefined>;
  hasFile(path: string, call?: CallOptions): Promise<boolean>;
  /** Names of the entries of a folder; empty if there is none. */
  list(path: string, call?: CallOptions): Promise<string[]>;
  /** A text file's content; undefined if there is none. */
  readText(path: string, call?: CallOptions): Promise<string | undefined>;

  /** The node's machine configuration: the one on disk if it waits for the next boot. Undefined for a node without one. */
  machineConfiguration(call?: CallOptions): Promise<string | undefined>;
  /** The active machine configuration, not one that waits for the next boot. Undefined for a node without one. */
  activeConfiguration(call?: CallOptions): Promise<string | undefined>;
  /** The machine's disks and links, also in maintenance mode. Empty lists if this Talos release doesn't report them. */
  hardware(call?: CallOptions): Promise<Hardware>;
  /** Whether systemd-boot started a unified kernel image; otherwise GRUB did. Undefined if the node doesn't report it. */
  bootedWithUki(call?: CallOptions): Promise<boolean | undefined>;
  /** Whether the firmware enforces SecureBoot. Undefined if the node doesn't report it. */
  secureBoot(call?: CallOptions): Promise<boolean | undefined>;
  /** kube-apiserver as this control plane's kubelet reports it; undefined if nothing is known. */
  apiServer(call?: CallOptions): Promise<StaticPod | undefined>;
  /** A component of this control plane, `kube-scheduler`; undefined if nothing is known. */
  staticPod(component: string, call?: CallOptions): Promise<StaticPod | undefined>;
  /**
   * The manifests that Talos applies to a new cluster, as this control plane generates them from its configuration: kube-proxy, CoreDNS, kubelet permissions.
   * In the order of their resources.
   */
  bootstrapManifests(call?: CallOptions): Promise<Record<string, unknown>[]>;

  etcdMembers(call?: CallOptions): Promise<EtcdMember[]>;
  etcdStatus(call?: CallOptions): Promise<EtcdStatus>;
  etcdAlarms(call?: CallOptions): Promise<EtcdAlarm[]>;
  /**
   * Whether an etcd downgrade is in progress, from the minor release above `stored` to it. `stored` is the current data version, `3.6`. False if Talos supports
   * no downgrades (before 1.11).
   */
  etcdDowngrading(stored: { major: number; minor: number }, call?: CallOptions): Promise<boolean>;
  /** A snapshot of this node's etcd database followed by its SHA-256, streamed in chunks. */
  etcdSnapshot(call?: CallOptions): AsyncIterable<Buffer>;

  /** ImageService.Pull, Talos 1.13 and newer. Returns the name that `install` takes. */
  pull(image: string, onProgress: (done: number, total: number) => void, call?: CallOptions): Promise<string>;
  /** MachineService.ImagePull, before Talos 1.13. `cri`: where pods look for images; `system`: the kubelet's and installers'. Default: `system`. */
  pullLegacy(image: string, call?: CallOptions, namespace?: "system" | "cri"): Promise<void>;
  /** An admin kubeconfig, which only control planes return. Secret. */
  kubeconfig(call?: CallOptions): Promise<string>;
  /** Installations in this boot's logs. Unlike META, they include one that waits for the reboot (seen on v1.13). */
  installHistory(call?: CallOptions): Promise<InstallHistory>;
  /**
   * Waits for an upgrade or reset, started by `TalosActor.upgradeLegacy` or `reset`, to fail on the node: resolves with the failure, or with undefined once the
   * connection is lost.
   */
  upgradeFailure(actorId: string, call?: CallOptions): Promise<string | undefined>;

  /** The running release if Talos is on the machine's disk; undefined if the disk is empty or the machine tells neither (in maintenance mode before Talos 1.10). */
  installedRelease(call?: CallOptions): Promise<string | undefined>;
  /** Whether the machine accepts unauthenticated calls, as Talos does before it has a configuration. False if nothing answers. */
  inMaintenance(): Promise<boolean>;
  /** After an `unreachable`: whether the certificates are the reason, and which one; undefined if they are not. */
  diagnose(): Promise<string | undefined>;
  /** Drops a possibly half-open connection: the next call opens a new one. */
  reconnect(): void;
  close(): void;
}

/** How a configuration is applied (MachineService.ApplyConfiguration). The modes that may reboot are deliberately left out. */
export type ApplyMode = "NO_REBOOT" | "STAGED" | "TRY";

/** A node's response to a configuration. */
export interface ApplyAnswer {
  /** The mode that was used, or would be. */
  mode: string;
  warnings: string[];
  /** For the user; with `dryRun` it contains the changed lines. */
  details: string;
}

/** A connection that can disturb its node. Only `provider/gate` opens one. Every method throws a TalosError. */
export interface TalosActor extends TalosReader {
  /**
   * Stores and activates a machine configuration.
   * @param request.dryRun reports what would happen without changing anything; `AUTO` is only allowed there
   */
  applyConfiguration(
    request: { data: string } & (
      { mode: ApplyMode; dryRun?: false } | { mode: ApplyMode | "AUTO"; dryRun: true }
    ),
    call?: CallOptions,
  ): Promise<ApplyAnswer>;
  /**
   * Gives a machine in maintenance mode its first configuration, over a connection without client authentication. Talos installs itself and boots into it; a
   * configured machine rejects this.
   */
  applyFirstConfiguration(data: string, call?: CallOptions): Promise<ApplyAnswer>;
  /** LifecycleService.Upgrade: the installer's exit code, or undefined if the stream ended without one. */
  install(image: string, onMessage: (text: string) => void, call?: CallOptions): Promise<number | undefined>;
  reboot(call?: CallOptions): Promise<void>;
  /**
   * MachineService.Reset, gracefully (a control plane leaves etcd), of only the configuration and the data: Talos stays installed and boots into maintenance
   * mode. Returns the ID in its events.
   */
  reset(call?: CallOptions): Promise<string>;
  /** MachineService.Upgrade: installs and reboots. Returns the ID in its events. */
  upgradeLegacy(request: { image: string; preserve: boolean }, call?: CallOptions): Promise<string>;
  startService(id: string, call?: CallOptions): Promise<void>;
  stopService(id: string, call?: CallOptions): Promise<void>;
  restartService(id: string, call?: CallOptions): Promise<void>;
  /** Moves etcd's leadership to another member, if this one has it. */
  forfeitLeadership(call?: CallOptions): Promise<void>;
  /** Lets etcd downgrade its data to an older minor release, `3.6`; `cancel` ends that, and the data follows the servers again. */
  etcdDowngrade(action: "enable" | "cancel", version?: string, call?: CallOptions): Promise<void>;
  /** Removes a member from etcd; called on a member that stays. */
  removeEtcdMember(memberId: string, call?: CallOptions): Promise<void>;
}
