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

/** The other nodes, by the protocols that nobody outside sees. */
export interface Network {
  /** etcd's leader by cluster id: it stays until it fails. */
  readonly leaders: Map<string, string>;
  nodes(): Machine[];
  node(address: string): Machine | undefined;
  /** All nodes with a configuration of this cluster, also those that are off. */
  cluster(clusterId: string): Machine[];
  /** Who can issue for a machine CA now: a control plane that has its key and is up. */
  issuer(certificate: string): Promise<Authority | undefined>;
}

/** Its API on the network. */
export interface Port {
  /** Where the other nodes find it. */
  readonly inside: string | undefined;
  serveMaintenance(): Promise<void>;
  /** @returns false while nobody can sign this node's certificate */
  serveConfigured(gracefully?: boolean): Promise<boolean>;
  close(): Promise<void>;
}

/** The Kubernetes that its kubelet is of. */
export interface Kubernetes {
  /** Calls the Kubernetes side, again and again until it takes it or the power goes. */
  tell(call: (runtime: ClusterRuntime) => Promise<void>, power: AbortSignal): Promise<void>;
  kubeletUp(boot: Boot): void;
  restartKubelet(boot: Boot, start: () => Promise<void>): Promise<void>;
  stopKubelet(boot: Boot): Promise<void>;
  removed(identity: NodeIdentity): Promise<void>;
  health(): Promise<{ apiServer: boolean; nodeReady: boolean }>;
}

/**
 * A simulated machine as its own parts know it: the disk's content, what runs since the power came, and what is around it. Its services and
 * its API work on this; `SimulatedNode` puts them together, and none of them knows it.
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
  /** Every run of an installer, with its outcome. */
  readonly installs: InstallRecord[];
  readonly boots: BootRecord[];
  readonly appliedConfigs: AppliedConfig[];
  /** Images of Kubernetes' components that were pulled ahead. */
  readonly componentImages: Set<string>;
  /** How often an upgrade has wiped the data (Talos before 1.8, without `preserve`). */
  dataWipes: number;
  readonly disk: Disk;
  readonly boot: Boot | undefined;
  /** Somebody bootstraps here, and Kubernetes has not been told yet. */
  bootstrapPending: boolean;
  /** Where its API is from outside; a closed one only once it has a configuration. */
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
  /** Everything on the disk is gone; the next boot is from the medium. */
  wipeDisk(): void;
  /** The power goes, now: nothing is shut down properly. */
  powerCut(next: "reboot" | "off"): void;
  /** The next configuration that is applied in maintenance mode. */
  nextConfig(power: AbortSignal): Promise<MachineConfig>;
  configArrived(config: MachineConfig): void;
  noteApplied(mode: string, text: string): void;
  settled(): void;
  log(line: string): void;
}
