import type { Authority } from "../../pki.ts";
import type { Boot } from "./boot.ts";
import type { Changes } from "./changes.ts";
import type { Disk } from "./disk.ts";
import type { Faults } from "./faults.ts";
import type { ImageExtension } from "./images.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { AppliedConfig, BootRecord, InstallRecord } from "./records.ts";
import type { ClusterRuntime, NodeIdentity } from "./runtime.ts";
import type { Timings } from "./timings.ts";

/** The other nodes, through protocols that aren't visible from outside. */
export interface Network {
  /** etcd's leader by cluster ID: it stays leader until it fails. */
  readonly leaders: Map<string, string>;
  nodes(): Machine[];
  node(address: string): Machine | undefined;
  /** All nodes with a configuration of this cluster, including those that are off. */
  cluster(clusterId: string): Machine[];
  /** The authority of a machine CA, if a control plane that has its key is up. */
  issuer(certificate: string): Promise<Authority | undefined>;
}

/** The node's API on the network. */
export interface Port {
  /** The address for the other nodes. */
  readonly inside: string | undefined;
  serveMaintenance(): Promise<void>;
  /** @returns false while no node can sign this node's certificate */
  serveConfigured(gracefully?: boolean): Promise<boolean>;
  close(): Promise<void>;
}

/** The Kubernetes cluster of this node's kubelet. */
export interface Kubernetes {
  /** Calls the Kubernetes side repeatedly until a call succeeds or the power goes. */
  tell(call: (runtime: ClusterRuntime) => Promise<void>, power: AbortSignal): Promise<void>;
  kubeletUp(boot: Boot): void;
  restartKubelet(boot: Boot, start: () => Promise<void>): Promise<void>;
  stopKubelet(boot: Boot): Promise<void>;
  removed(identity: NodeIdentity): Promise<void>;
  health(): Promise<{ apiServer: boolean; nodeReady: boolean }>;
}

/**
 * A simulated machine as seen by its own parts: the disk's content, what has been running since power-on, and its surroundings. Its services and
 * API are built on this; `SimulatedNode` combines them, and none of them depends on it.
 */
export interface Machine {
  readonly name: string;
  readonly address: string;
  readonly faults: Faults;
  readonly network: Network;
  readonly timings: Timings;
  readonly changes: Changes;
  readonly kubernetes: Kubernetes;
  readonly api: Port;
  /** Every installer run, with its outcome. */
  readonly installs: InstallRecord[];
  readonly boots: BootRecord[];
  readonly appliedConfigs: AppliedConfig[];
  /** Kubernetes component images that were pulled in advance. */
  readonly componentImages: Set<string>;
  /** How often an upgrade has wiped the data (Talos before 1.8, without `preserve`). */
  dataWipes: number;
  readonly disk: Disk;
  readonly boot: Boot | undefined;
  /** Set between this node's bootstrap and its report to Kubernetes. */
  bootstrapPending: boolean;
  /** Port of its API from outside. `closed` applies only once it has a configuration. */
  readonly outside: number | "closed";
  /** The active machine configuration. */
  readonly config: MachineConfig | undefined;
  readonly clusterId: string | undefined;
  readonly hostname: string;
  readonly version: string;
  /** Minor version of the running Talos. */
  minor(): number;
  /** Aborts when the node goes down. */
  readonly power: AbortSignal;
  identity(): NodeIdentity;
  extensions(): ImageExtension[];
  configOnDisk(): MachineConfig | undefined;
  remember(config: MachineConfig): void;
  saveDisk(): void;
  /** Wipes the disk; the next boot is from the medium. */
  wipeDisk(): void;
  /** Cuts the power right away: nothing shuts down properly. */
  powerCut(next: "reboot" | "off"): void;
  /** Waits for the next configuration applied in maintenance mode. */
  nextConfig(power: AbortSignal): Promise<MachineConfig>;
  configArrived(config: MachineConfig): void;
  noteApplied(mode: string, text: string): void;
  settled(): void;
  log(line: string): void;
}
