import type { TalosReader } from "../../talos/api/talosClient.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import type { AskedApproval } from "../approval.ts";
import type { Clock } from "../clock.ts";
import type { Timeouts } from "../timeouts.ts";
import type { EtcdWanted } from "../guards/etcdStep.ts";
import type { Finding } from "../guards/finding.ts";
import type { SealedClients } from "./sealedClients.ts";

/** What the gate needs from the operation it serves: inputs and connections, nothing that another resource has read. */
export interface GateSite {
  readonly node: { name: string; node: string; role: "controlplane" | "worker" };
  /** Addresses of every control plane of the cluster; if the node leaves, of those that stay. */
  readonly controlPlanes: readonly string[];
  /** Services that come with the image: a machine where only they fail is functional. */
  readonly services: readonly string[];
  /** The desired etcd of a control plane. */
  readonly wanted?: EtcdWanted;
  /** The cluster's key, such as its CA. */
  readonly cluster: string;
  readonly kubeconfig: string | undefined;
  /**
   * Provides a kubeconfig for the cluster lock while `kubeconfig` is unknown; called right before locking. Without one, or if Kubernetes doesn't answer, the
   * action runs without this lock: it may be what brings Kubernetes back. Default: no such lock.
   */
  readonly kubeconfigForLock?: () => Promise<string | undefined>;
  /** Absent if the operation needs no approval. */
  readonly approval?: AskedApproval | undefined;
  readonly acting: SealedClients;
  /** A read connection, kept for the operation. */
  readonly reader: (address: string) => TalosReader;
  /** The endpoints and credentials for a node. */
  readonly connectionTo: (address: string) => TalosConnection;
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly signal: AbortSignal;
  /** Reports what is being waited for. */
  readonly tell: (text: string) => void;
  /** Volumes that keep the node from going down. Absent if the operation takes nothing down. */
  readonly volumes?: () => Promise<readonly Finding[]>;
}
