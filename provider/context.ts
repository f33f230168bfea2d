import type { NodeUpgradeInputs } from "../talos/inputs/nodeUpgrade.ts";
import type { CodedText } from "../talos/errorCodes.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";
import type { Clock } from "./clock.ts";
import { Cancelled, UpgradeError, type StepName } from "./errors.ts";
import type { Gate } from "./gate/gate.ts";
import { nodeLabel } from "./inputs.ts";
import type { KubernetesClient } from "./kubernetes.ts";
import type { Progress } from "./progress.ts";
import type { NodeStorage } from "./storage/nodeStorage.ts";
import { backoff, type Timeouts } from "./timeouts.ts";

/** Everything a step may use. */
export interface UpgradeContext {
  readonly wanted: NodeUpgradeInputs;
  readonly talos: TalosReader;
  /** A connection to another node of the cluster. */
  readonly peer: (address: string) => TalosReader;
  /** The only way to disturb the node or its cluster. */
  readonly gate: Gate;
  /** Undefined without a kubeconfig. */
  readonly kubernetes: () => Promise<KubernetesClient | undefined>;
  /** The node's volumes. */
  readonly storage: NodeStorage;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** The time limit of the current step. */
  readonly timer: StepTimer;
  readonly timeouts: Timeouts;
  /** Why this deployment has postponed the rollout already. */
  readonly postponed?: string | undefined;
}

/** The deadline of one step on one node. It starts with the step, so time spent waiting before it, such as in a queue, doesn't count. */
export interface StepTimer {
  /** Starts a step. */
  start(): void;
  /** The step's deadline, in the clock's time. */
  readonly end: number;
}

export function stepTimer(clock: Clock, timeoutMs: number): StepTimer {
  let end = clock.now() + timeoutMs;
  return {
    start: () => {
      end = clock.now() + timeoutMs;
    },
    get end() {
      return end;
    },
  };
}

export function stepError(
  context: UpgradeContext,
  step: StepName,
  seen: CodedText,
  hint: string,
): UpgradeError {
  return new UpgradeError(nodeLabel(context.wanted), step, seen, hint);
}

/**
 * Polls until `look` returns a value, at most until `until` and never past the step's deadline. Returns undefined on timeout; throws `Cancelled` when the
 * engine cancels.
 */
export async function pollUntil<T>(
  context: UpgradeContext,
  until: number,
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const { clock, timeouts, signal, timer } = context;
  const end = Math.min(until, timer.end);
  const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
  for (;;) {
    throwIfCancelled(context);
    const found = await look();
    if (found !== undefined) return found;
    const left = end - clock.now();
    if (left <= 0) return undefined;
    await clock.sleep(Math.min(pause(), left), signal);
  }
}

export function throwIfCancelled(context: { readonly signal: AbortSignal }): void {
  if (context.signal.aborted) throw new Cancelled();
}
