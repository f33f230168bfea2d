const defaultTimeout = 300;

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

/**
 * The same for what drains a node by the way. Undefined where all is at its default: the provider's own rule does, and a stack from before the
 * setting existed stays as it is.
 */
export function drainUnlessDefault(drain: DrainArgs): DrainArgs | undefined {
  const { enabled, timeoutSeconds, ...others } = drain;
  return enabled && timeoutSeconds === defaultTimeout && Object.keys(others).length === 0 ? undefined : drain;
}
