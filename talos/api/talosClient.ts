import type { Hardware } from "../hardware/reported.ts";
import type { InstallHistory } from "./installLog.ts";

/** What a caller says about one call. */
export interface CallOptions {
  /** How long to wait for the answer, in milliseconds. */
  deadlineMs?: number;
  /** Stops the call. */
  signal?: AbortSignal;
}

export interface RunningVersion {
  /** The release that runs, for example `v1.13.9`. */
  tag: string;
  /** Where it runs: `metal`, `vmware`, `container`, … */
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
  /** Services without a health check, extension services among them, are never `unhealthy`. */
  health: "healthy" | "unhealthy" | "unknown";
  /** The latest thing the service's own log of events says. */
  lastEvent: string;
}

/** The whole machine at a glance (COSI resource MachineStatus). */
export interface MachineStatus {
  /** `booting`, `running`, `rebooting`, `upgrading`, `maintenance`, … */
  stage: string;
  ready: boolean;
  /** Why it is not ready. */
  unmet: { name: string; reason: string }[];
}

export interface EtcdMember {
  id: string;
  /** Empty for a member that was added and has never started. */
  hostname: string;
  /** The hosts in its peer URLs. */
  addresses: string[];
  learner: boolean;
}

export interface EtcdStatus {
  memberId: string;
  /** The etcd that runs: `3.6.12`. */
  version: string;
  /** What its data is of: `3.6.0`. It follows etcd's cluster version; before etcd 3.6 it is the server's own. */
  storageVersion: string;
  /** The leader's member id; `0` while there is none. */
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
  /** The pod that runs was started before its manifest was changed last: the kubelet has not restarted it yet. */
  outdated: boolean;
  /** The image in its manifest. */
  wantedImage?: string;
  /** The image that runs, as the kubelet tells it. */
  image?: string;
}

/**
 * One connection to one Talos node, for everything that leaves the node as it is: what every module outside `provider/gate` works with.
 * Every method throws a TalosError.
 */
export interface TalosReader {
  /** The address of the node that answers. */
  readonly node: string;

  version(call?: CallOptions): Promise<RunningVersion>;
  /** Another value after each boot; undefined where the client certificate's role may not read it. */
  bootId(call?: CallOptions): Promise<string | undefined>;
  machineStatus(call?: CallOptions): Promise<MachineStatus>;
  services(call?: CallOptions): Promise<RunningService[]>;
  /** The extensions of the running image and its schematic ID, if it came from an Image Factory. */
  extensions(
    call?: CallOptions,
  ): Promise<{ installed: InstalledExtension[]; schematicId: string | undefined }>;
  /** The node's name in Kubernetes; undefined before it has one. */
  kubernetesNode(call?: CallOptions): Promise<string | undefined>;
  hasFile(path: string, call?: CallOptions): Promise<boolean>;
  /** Names of what is in a folder; empty where there is none. */
  list(path: string, call?: CallOptions): Promise<string[]>;
  /** A text file's content; undefined if there is none. */
  readText(path: string, call?: CallOptions): Promise<string | undefined>;

  /**
   * The machine configuration that the node has: the one on its disk, where one waits for the next boot. Undefined for a node that has none.
   */
  machineConfiguration(call?: CallOptions): Promise<string | undefined>;
  /** The machine configuration in effect, not one that waits for the next boot. Undefined for a node that has none. */
  activeConfiguration(call?: CallOptions): Promise<string | undefined>;
  /** The machine's disks and links. Maintenance mode tells them too. Empty lists where this Talos release does not. */
  hardware(call?: CallOptions): Promise<Hardware>;
  /** Whether systemd-boot started a unified kernel image; else GRUB did. Undefined where the node does not tell. */
  bootedWithUki(call?: CallOptions): Promise<boolean | undefined>;
  /** Whether the firmware enforces SecureBoot. Undefined where the node does not tell. */
  secureBoot(call?: CallOptions): Promise<boolean | undefined>;
  /** kube-apiserver, as far as this control plane's kubelet tells; undefined where nothing is known of it. */
  apiServer(call?: CallOptions): Promise<StaticPod | undefined>;
  /** A component of this control plane, `kube-scheduler`; undefined where nothing is known of it. */
  staticPod(component: string, call?: CallOptions): Promise<StaticPod | undefined>;
  /**
   * The manifests that Talos gives a new cluster, as this control plane makes them from its configuration: kube-proxy, CoreDNS, the rights of kubelets.
   * In the order of their resources.
   */
  bootstrapManifests(call?: CallOptions): Promise<Record<string, unknown>[]>;

  etcdMembers(call?: CallOptions): Promise<EtcdMember[]>;
  etcdStatus(call?: CallOptions): Promise<EtcdStatus>;
  etcdAlarms(call?: CallOptions): Promise<EtcdAlarm[]>;
  /**
   * Is a downgrade of etcd under way, from the minor release above `stored` to it? `stored` is what the data is of now, `3.6`. False
   * where Talos knows no downgrades (before 1.11).
   */
  etcdDowngrading(stored: { major: number; minor: number }, call?: CallOptions): Promise<boolean>;
  /** The database of this node's etcd, with the SHA-256 of it at the end, in pieces as they come. */
  etcdSnapshot(call?: CallOptions): AsyncIterable<Buffer>;

  /** ImageService.Pull, Talos 1.13 and newer. Returns the name that `install` takes. */
  pull(image: string, onProgress: (done: number, total: number) => void, call?: CallOptions): Promise<string>;
  /** MachineService.ImagePull, before Talos 1.13. `cri`: where pods look for images; `system`: the kubelet's and installers'. Default: `system`. */
  pullLegacy(image: string, call?: CallOptions, namespace?: "system" | "cri"): Promise<void>;
  /** An admin kubeconfig, which only a control plane gives out. Secret. */
  kubeconfig(call?: CallOptions): Promise<string>;
  /** What this boot's logs tell of installations. Unlike META it shows one that waits for the reboot (seen on v1.13). */
  installHistory(call?: CallOptions): Promise<InstallHistory>;
  /**
   * Waits for an upgrade or a reset, started by `TalosActor.upgradeLegacy` or `reset`, to fail on the node: resolves with what failed, or with undefined
   * once the connection is gone.
   */
  upgradeFailure(actorId: string, call?: CallOptions): Promise<string | undefined>;

  /** Does the machine let anyone in, as Talos does before it has a configuration? False where nothing answers. */
  inMaintenance(): Promise<boolean>;
  /** After an `unreachable`: whether the certificates are the reason, and which one; undefined if they are not. */
  diagnose(): Promise<string | undefined>;
  /** Drops the connection: the next call makes a new one. For a connection that may be half open. */
  reconnect(): void;
  close(): void;
}

/** How a configuration is applied (MachineService.ApplyConfiguration). The modes that may reboot are left out on purpose. */
export type ApplyMode = "NO_REBOOT" | "STAGED" | "TRY";

/** What a node says to a configuration. */
export interface ApplyAnswer {
  /** The mode that was used, or that would be. */
  mode: string;
  warnings: string[];
  /** For people; with `dryRun` it holds the changed lines. */
  details: string;
}

/** A connection that can disturb its node. Only `provider/gate` opens one. Every method throws a TalosError. */
export interface TalosActor extends TalosReader {
  /**
   * Stores a machine configuration and makes it effective.
   * @param request.dryRun asks what would happen, and changes nothing; `AUTO` is allowed there only
   */
  applyConfiguration(
    request: { data: string } & (
      { mode: ApplyMode; dryRun?: false } | { mode: ApplyMode | "AUTO"; dryRun: true }
    ),
    call?: CallOptions,
  ): Promise<ApplyAnswer>;
  /**
   * Gives a machine in maintenance mode its first configuration, over a connection without client authentication. Talos installs itself and boots into
   * it; a machine that is configured lets nobody in this way.
   */
  applyFirstConfiguration(data: string, call?: CallOptions): Promise<ApplyAnswer>;
  /** LifecycleService.Upgrade: the installer's exit code, or undefined if the stream ended without one. */
  install(image: string, onMessage: (text: string) => void, call?: CallOptions): Promise<number | undefined>;
  reboot(call?: CallOptions): Promise<void>;
  /**
   * MachineService.Reset, gracefully (a control plane leaves etcd), of the configuration and the data alone: Talos stays installed and boots
   * into maintenance mode. Returns the id that events of this reset carry.
   */
  reset(call?: CallOptions): Promise<string>;
  /** MachineService.Upgrade: installs and reboots. Returns the id that events of this upgrade carry. */
  upgradeLegacy(request: { image: string; preserve: boolean }, call?: CallOptions): Promise<string>;
  startService(id: string, call?: CallOptions): Promise<void>;
  stopService(id: string, call?: CallOptions): Promise<void>;
  restartService(id: string, call?: CallOptions): Promise<void>;
  /** Moves etcd's leadership to another member, if this one has it. */
  forfeitLeadership(call?: CallOptions): Promise<void>;
  /** Lets etcd take its data to an older minor release, `3.6`; `cancel` ends that, and the data follows the servers again. */
  etcdDowngrade(action: "enable" | "cancel", version?: string, call?: CallOptions): Promise<void>;
  /** Takes a member out of etcd; asked of a member that stays. */
  removeEtcdMember(memberId: string, call?: CallOptions): Promise<void>;
}
