import type { TalosReader } from "../../talos/api/talosClient.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import type { AskedApproval } from "../approval.ts";
import type { Clock } from "../clock.ts";
import type { Timeouts } from "../timeouts.ts";
import type { EtcdWanted } from "../guards/etcdStep.ts";
import type { Finding } from "../guards/finding.ts";
import type { SealedClients } from "./sealedClients.ts";

/** What the gate has to know of the operation that it serves: inputs and connections, nothing that another resource has read. */
export interface GateSite {
  readonly node: { name: string; node: string; role: "controlplane" | "worker" };
  /** Addresses of every control plane of the cluster; those that stay, where the node leaves it. */
  readonly controlPlanes: readonly string[];
  /** Services that come with the image: a machine where only they fail does its work. */
  readonly services: readonly string[];
  /** What a control plane is to run, as far as it matters to etcd. */
  readonly wanted?: EtcdWanted;
  /** What this cluster is known by, such as its CA. */
  readonly cluster: string;
  readonly kubeconfig: string | undefined;
  /**
   * Gives one to take a turn with, where `kubeconfig` is not known yet; asked right before the turn. Without one, or without an answer from Kubernetes, the action goes on without
   * this turn: it may be what brings Kubernetes back. Default: such turns are not taken.
   */
  readonly kubeconfigForTurn?: () => Promise<string | undefined>;
  /** Absent where the operation needs no approval. */
  readonly approval?: AskedApproval | undefined;
  readonly acting: SealedClients;
  /** A connection to read from, kept for the operation. */
  readonly reader: (address: string) => TalosReader;
  /** Where a node is spoken to. */
  readonly connectionTo: (address: string) => TalosConnection;
  readonly clock: Clock;
  readonly patience: Timeouts;
  readonly signal: AbortSignal;
  /** What is being waited for. */
  readonly tell: (text: string) => void;
  /** What of the node's volumes stands against taking it down. Absent where the operation takes nothing down. */
  readonly volumes?: () => Promise<readonly Finding[]>;
}
