/** How a node is drained before it goes down. */
export interface DrainArgs {
  /** Whether it is drained at all. The only node of a cluster never is. */
  enabled: boolean;
  /** How long its pods and volumes may take to leave, in seconds. */
  timeoutSeconds: number;
  /** What becomes of iSCSI sessions that belong to no attachment: a warning, or no reboot. Default: `warn`. */
  leftoverSessions?: "refuse" | "warn";
  /** What becomes of a pod that a PodDisruptionBudget holds: the drain stops at its timeout, or the pod is deleted. Default: `stop`. */
  whenBlocked?: "stop" | "delete";
  /** With `delete`: after how many seconds. Default: 120. */
  blockedTimeoutSeconds?: number;
}

/**
 * The settings of a drain as inputs of the resources that drain. What is left at its default is left out, so that a stack from before a setting
 * existed shows no change.
 */
export function drainArgs(settings: {
  enabled: boolean;
  timeout: number;
  leftoverSessions: "refuse" | "warn";
  whenBlocked: "stop" | "delete";
  blockedTimeout: number;
}): DrainArgs {
  const { enabled, timeout, leftoverSessions, whenBlocked, blockedTimeout } = settings;
  return {
    enabled,
    timeoutSeconds: timeout,
    ...(leftoverSessions === "warn" ? {} : { leftoverSessions }),
    ...(whenBlocked === "stop" ? {} : { whenBlocked, blockedTimeoutSeconds: blockedTimeout }),
  };
}
