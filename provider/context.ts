import type { TalosReader } from "../talos/api/talosClient.ts";
import type { Clock } from "./clock.ts";
import { Cancelled, UpgradeError, type StepName } from "./errors.ts";
import type { Gate } from "./gate/gate.ts";
import { nodeLabel, type NodeUpgradeInputs } from "./inputs.ts";
import type { KubernetesClient } from "./kubernetes.ts";
import type { Progress } from "./progress.ts";

/** How long to look before something counts as wrong, in milliseconds. */
export interface Patience {
  /** Between two looks at a node that is expected to change. */
  pollMs: number;
  /** For one answer of a node that may be gone. */
  probeMs: number;
  /** For a node to answer at all. */
  contactMs: number;
  /** For a node that presents a certificate of another CA: it may be leaving maintenance mode. */
  certificateMs: number;
  /** For a guard that may pass by itself, such as etcd that has just started. */
  guardMs: number;
  /** For the Kubernetes API to answer. */
  kubernetesMs: number;
  /** For a node to act on a reboot request, before asking again. */
  rebootMs: number;
  /** For extensions and files to show up on a machine that is running. */
  settleMs: number;
  /** For services to run on a machine that is running. */
  serviceMs: number;
  /** Between two tries to evict a pod. */
  evictMs: number;
  /** How long the control planes have to be well before the next one's configuration is changed: a restart takes a moment to show. */
  steadyMs: number;
}

export const defaultPatience: Patience = {
  pollMs: 100,
  probeMs: 2_000,
  contactMs: 300_000,
  certificateMs: 60_000,
  guardMs: 10_000,
  kubernetesMs: 30_000,
  rebootMs: 10_000,
  settleMs: 10_000,
  serviceMs: 120_000,
  evictMs: 1_000,
  steadyMs: 2_000,
};

/** Everything a step may use. */
export interface UpgradeContext {
  readonly wanted: NodeUpgradeInputs;
  readonly talos: TalosReader;
  /** A connection to another node of the cluster. */
  readonly peer: (address: string) => TalosReader;
  /** The only way to disturb the node or its cluster. */
  readonly gate: Gate;
  /** Undefined where no kubeconfig was given. */
  readonly kubernetes: () => Promise<KubernetesClient | undefined>;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** When the whole upgrade has to be over, on the clock. */
  readonly deadline: number;
  readonly patience: Patience;
  /** Makes sure that the whole rollout can finish, before its first node is disturbed. Absent for a node on its own. */
  readonly wholeRollout?: () => Promise<void>;
}

export function failure(context: UpgradeContext, step: StepName, seen: string, hint: string): UpgradeError {
  return new UpgradeError(nodeLabel(context.wanted), step, seen, hint);
}

/**
 * Looks again and again until `look` finds something, at most until `until` (never beyond the upgrade's own deadline).
 * Undefined if time ran out; throws `Cancelled` when the engine says stop.
 */
export async function waitFor<T>(
  context: UpgradeContext,
  until: number,
  look: () => Promise<T | undefined>,
  everyMs: number = context.patience.pollMs,
): Promise<T | undefined> {
  const end = Math.min(until, context.deadline);
  for (;;) {
    stopIfCancelled(context);
    const found = await look();
    if (found !== undefined) return found;
    if (context.clock.now() >= end) return undefined;
    await context.clock.sleep(everyMs, context.signal);
  }
}

export function stopIfCancelled(context: { readonly signal: AbortSignal }): void {
  if (context.signal.aborted) throw new Cancelled();
}
