const defaultTimeout = 300;

/** How a node is drained before it goes down. */
export interface DrainArgs {
  /** Whether to drain. The only node of a cluster is never drained. */
  enabled: boolean;
  /** Time limit for pods and volumes to leave, in seconds. */
  timeoutSeconds: number;
  /** What to do about iSCSI sessions without an attachment: warn, or refuse to reboot. Default: `warn`. */
  leftoverSessions?: "refuse" | "warn";
  /** What to do about a pod that a PodDisruptionBudget protects: the drain stops at its timeout, or the pod is deleted. Default: `stop`. */
  whenBlocked?: "stop" | "delete";
  /** With `delete`: after how many seconds. Default: 120. */
  blockedTimeoutSeconds?: number;
}

/** The drain settings as resource inputs. Defaults are omitted, so that a stack from before a setting existed shows no change. */
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
 * The same for resources that rarely drain. Undefined if everything is at its default: the provider's own default applies, and a stack from before the setting
 * existed stays unchanged.
 */
export function drainUnlessDefault(drain: DrainArgs): DrainArgs | undefined {
  const { enabled, timeoutSeconds, ...others } = drain;
  return enabled && timeoutSeconds === defaultTimeout && Object.keys(others).length === 0 ? undefined : drain;
}
