/** The node as it was when its operation decided to proceed. */
export interface Expected {
  readonly bootId: string | undefined;
  /** Called right before the action is requested, when nothing blocks it: from then on it may have happened. */
  readonly onAct?: (() => void) | undefined;
}

/** What an action takes from the cluster, which decides what is checked. */
export type ActionStake =
  /** The node goes down and comes back, or is prepared for that. */
  | ({ kind: "restart" } & Expected)
  /** The node leaves the cluster; its etcd member if known. */
  | ({ kind: "leave"; etcdMember?: string | undefined } & Partial<Expected>)
  /** etcd converts its data; all control planes must be healthy, and none goes down. */
  | { kind: "convert" }
  /** Services of the node restart. Its own health doesn't block: the change may be the fix. */
  | { kind: "configure"; as?: "configuration" | "kubernetes" };
