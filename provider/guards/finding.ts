/** Why a node must not be upgraded now. */
export interface Finding {
  problem: string;
  /** What to do about it. */
  hint: string;
  /** True if it may pass by itself within seconds, such as an etcd that has just started. */
  mayPass: boolean;
}
