/** The node as it was when its operation decided to go on. */
export interface Expected {
  readonly bootId: string | undefined;
  /** Called when nothing stands against the action, right before it is asked for: from then on it may have happened. */
  readonly onAct?: (() => void) | undefined;
}

/** What an action takes from the cluster, and so what a look has to find. */
export type ActionStake =
  /** The node goes down and comes back, or is made ready for that. */
  | ({ kind: "restart" } & Expected)
  /** The node leaves the cluster; its etcd member where it is known. */
  | ({ kind: "leave"; etcdMember?: string | undefined } & Partial<Expected>)
  /** etcd converts its data; all control planes have to be well, and none goes down. */
  | { kind: "convert" }
  /** Services of the node restart. Its own health is no obstacle: the change may be its cure. */
  | { kind: "configure"; as?: "configuration" | "kubernetes" };
