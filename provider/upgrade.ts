import { codedFailure, reportHint } from "./codedFailure.ts";
import { coded, hasCode } from "../talos/errorCodes.ts";
import { isUnimplemented } from "../talos/api/errors.ts";
import { stepError, throwIfCancelled, type UpgradeContext } from "./context.ts";
import { realClock } from "./clock.ts";
import {
  EngineGone,
  NodeRebooted,
  PreflightError,
  stepNames,
  UpgradeError,
  type StepName,
} from "./errors.ts";
import { describeImage } from "../talos/nodeOutlook.ts";
import { runsWantedImage, readFacts, type NodeFacts } from "./facts.ts";
import { describeCordon, readCordonState, uncordonIfOurs } from "./cordonAfterFailure.ts";
import { Refused } from "./gate/refused.ts";
import { withinBudget } from "./rollout/budget.ts";
import { requireGates } from "./rollout/gates.ts";
import { describePostponed, Postponed, requireOpenWindow } from "./rollout/window.ts";
import { drain } from "./steps/drain.ts";
import { guard } from "./steps/guard.ts";
import type { SavedSnapshot } from "./snapshot/folder.ts";
import { prepareEtcd } from "./steps/etcd.ts";
import { inspect } from "./steps/inspect.ts";
import {
  installAndReboot,
  installWithoutReboot,
  isUpgradeUnderWay,
  type InstallOutcome,
} from "./steps/install.ts";
import { findEarlierInstall, noteInstall, refuseOtherInstall } from "./steps/installNote.ts";
import { expectedApi, pull, type UpgradePath } from "./steps/pull.ts";
import { awaitReboot, requestReboot, UpgradeFailed } from "./steps/reboot.ts";
import { describeNodeAfterFailure } from "./nodeAfterFailure.ts";
import { uncordon } from "./steps/uncordon.ts";
import { awaitNotedStorage } from "./steps/storage.ts";
import { verify } from "./steps/verify.ts";

/** How an upgrade ended, with what is known about the node either way. */
export type Outcome =
  | {
      ok: true;
      facts: NodeFacts;
      /** as first read */ before: NodeFacts;
      upgraded: boolean;
      snapshot?: SavedSnapshot;
      /** How long it was cordoned, in milliseconds; undefined if it was not. */
      cordonedMs: number | undefined;
      /** Why the upgrade was postponed; undefined for a node that runs its desired image. */
      postponed?: string;
    }
  | {
      ok: false;
      error: UpgradeError;
      /** Somebody stopped it: the node is fine. */
      cancelled: boolean;
      before: NodeFacts | undefined;
      /** the latest; undefined if the node never answered */ facts: NodeFacts | undefined;
      snapshot?: SavedSnapshot;
    };

/** How far the node has been taken, for cleanup and error messages. */
interface Journal {
  step: StepName;
  /** As first and as last read. */
  before?: NodeFacts;
  facts?: NodeFacts;
  /** True from the first moment at which the node may go down. */
  committed: boolean;
  installed: boolean;
  cordoned: boolean;
  /** When the node was cordoned, in the clock's time, and for how long in the end. */
  cordonedAt?: number;
  cordonedMs?: number;
  /** The etcd snapshot of this rollout, taken by this node's upgrade or an earlier control plane's. */
  snapshot?: SavedSnapshot;
}

function snapshotOf({ snapshot }: Journal): { snapshot?: SavedSnapshot } {
  return snapshot === undefined ? {} : { snapshot };
}

/** How often a node may reboot during its upgrade before that counts as an error. */
export const maxReboots = 3;

type BeginStep = (step: StepName, detail?: string) => void;

/**
 * Upgrades one node to the desired image and verifies it, or finds that it already runs it. Failures of the node are returned, never thrown; safe to call again
 * at any time after any failure.
 * @param isHop the image is an intermediate one: the next may already be installed
 */
export async function upgradeNode(context: UpgradeContext, isHop = false): Promise<Outcome> {
  const journal: Journal = { step: "inspect", committed: false, installed: false, cordoned: false };
  try {
    const upgraded = await runAgainIfRebooted(context, journal, isHop);
    if (journal.facts === undefined || journal.before === undefined)
      throw new Error("an upgrade ended without a look at the node");
    const { facts, before, cordonedMs } = journal;
    return { ok: true, facts, before, upgraded, cordonedMs, ...snapshotOf(journal) };
  } catch (error) {
    const { facts, before } = journal;
    if (!(error instanceof Postponed) || facts === undefined || before === undefined)
      return toFailedOutcome(context, journal, error);
    const told = describePostponed(error, journal.installed, context.wanted.rollout.outsideWindow);
    return "text" in told
      ? { ok: true, facts, before, upgraded: false, cordonedMs: undefined, postponed: told.text }
      : toFailedOutcome(context, journal, stepError(context, "guard", told.seen, told.hint));
  }
}

/** A node found to be rebooting is checked once more when it has settled; it may be up to date then. */
async function runAgainIfRebooted(
  context: UpgradeContext,
  journal: Journal,
  isHop: boolean,
): Promise<boolean> {
  for (let round = 1; ; round++) {
    try {
      return await runSteps(context, journal, isHop);
    } catch (error) {
      if (!(error instanceof NodeRebooted) || round === maxReboots) throw error;
      context.talos.reconnect();
    }
  }
}

async function runSteps(context: UpgradeContext, journal: Journal, isHop: boolean): Promise<boolean> {
  const begin: BeginStep = (step, detail) => {
    journal.step = step;
    throwIfCancelled(context);
    context.timer.start();
    context.progress.step(step, detail);
  };

  begin("inspect");
  const before = await inspect(context);
  journal.facts = before;
  journal.before ??= before;

  begin("settled?");
  if (runsWantedImage(before, context.wanted)) {
    // The node's next step checks what is installed.
    if (!isHop) await refuseOtherInstall(context, before);
    await verifyAndRelease(context, journal, before, begin);
    return false;
  }
  context.gate.requireApproval("upgrade");
  // Not only before the drain: any reboot activates what is installed.
  await requireOpenWindow(context, before);
  const prepared = await prepareNode(context, journal, before, begin);
  begin("gate");
  // From the check to the node's return, nothing else disturbs this cluster, and the group stays within its budget.
  await context.gate.underLock(() =>
    withinBudget(context, async () => {
      await requireGates(context, "gate");
      // The wait for the lock may have been long.
      await requireOpenWindow(context, before);
      context.timer.start();
      await drainInstallReboot(context, journal, before, prepared, begin);
      await verifyAndRelease(context, journal, before, begin);
    }),
  );
  return true;
}

/** What is in place before the node is disturbed. */
type PreparedUpgrade =
  | { api: "lifecycle" }
  /** The older API installs and reboots in one call. */
  | { api: "machine"; pulled: boolean };

/** Everything that keeps the node running: the guard, the pull, and the installation if it doesn't reboot. */
async function prepareNode(
  context: UpgradeContext,
  journal: Journal,
  before: NodeFacts,
  begin: BeginStep,
): Promise<PreparedUpgrade> {
  const { wanted } = context;
  begin("guard", `${describeImage(before.version, before.schematicId)} to ${wanted.talosVersion}`);
  await guard(context, before);
  let path: UpgradePath | undefined;
  const pulled = async (): Promise<UpgradePath> => {
    begin("pull");
    return (path ??= await pull(context, before));
  };
  if ((await findEarlierInstall(context, before, pulled)) === "done") {
    journal.installed = true;
    return { api: "lifecycle" };
  }
  if (!wanted.prePull && expectedApi(before.version) === "machine") return { api: "machine", pulled: false };
  path ??= await pulled();
  if (path.api === "machine") return { api: "machine", pulled: true };
  // Before the image is installed: from then on any reboot, even after a power cut, starts the desired etcd on the existing data.
  context.timer.start();
  await context.gate.underLock(async () => ensureEtcdReady(context, journal, before));
  begin("install");
  await noteInstall(context, before, "begun");
  try {
    await installWithoutReboot(context, before, path.imageName);
  } catch (error) {
    if (!isUnimplemented(error)) throw error;
    return { api: "machine", pulled: true };
  }
  journal.installed = true;
  await noteInstall(context, before, "done");
  return { api: "lifecycle" };
}

/** A snapshot, and data that the desired etcd can read. If already done, this only reads. */
async function ensureEtcdReady(context: UpgradeContext, journal: Journal, before: NodeFacts): Promise<void> {
  await context.gate.require({ kind: "restart", bootId: before.bootId });
  const snapshot = await prepareEtcd(context);
  if (snapshot !== undefined) journal.snapshot = snapshot;
}

/** Takes the node down and waits for its next boot. */
async function drainInstallReboot(
  context: UpgradeContext,
  journal: Journal,
  before: NodeFacts,
  prepared: PreparedUpgrade,
  begin: BeginStep,
): Promise<void> {
  await ensureEtcdReady(context, journal, before);
  begin("drain");
  await drain(context, before, ({ ours }) => {
    journal.cordoned = ours;
    journal.cordonedAt = context.clock.now();
  });
  let installed: InstallOutcome = { reboots: "on request" };
  const onAct = (): void => {
    journal.committed = true;
  };
  try {
    if (prepared.api === "machine") {
      if (!prepared.pulled) {
        begin("pull");
        await pull(context, before);
      }
      begin("install");
      installed = await installAndReboot(context, before, onAct);
      journal.installed = true;
    }
    begin("reboot");
    if (installed.reboots === "on request") await requestReboot(context, before, onAct);
  } catch (error) {
    // An error of the step itself is reported only once nothing is known to be in progress. Any other error may have come after the request: the node's state
    // decides.
    if (error instanceof UpgradeError || (journal.committed && (await isUndisturbed(context, before))))
      journal.committed = false;
    throw error;
  }
  journal.committed = true;
  try {
    await awaitReboot(context, before, installed);
  } catch (error) {
    if (error instanceof UpgradeFailed) journal.committed = !error.recovered;
    throw error;
  }
}

/** The node still runs in the same boot: nothing that takes it down was requested. */
async function isUndisturbed(context: UpgradeContext, before: NodeFacts): Promise<boolean> {
  try {
    return !(await isUpgradeUnderWay(context, before));
  } catch (error) {
    context.progress.detail(`whether it reboots is not known: ${String(error)}`);
    return false;
  }
}

/** A rebooted node stays cordoned until it is verified. */
async function verifyAndRelease(
  context: UpgradeContext,
  journal: Journal,
  before: NodeFacts,
  begin: BeginStep,
): Promise<void> {
  journal.committed = true;
  begin("verify");
  journal.facts = await verify(context, before);
  begin("uncordon");
  const node = await uncordon(context, before, journal.facts);
  journal.cordoned = false;
  if (journal.cordonedAt !== undefined) journal.cordonedMs = context.clock.now() - journal.cordonedAt;
  await awaitNotedStorage(context, node, () => begin("storage"));
}

/** Time limits for cleanup after a cancel, and after any other failure. */
const cleanupMs = { cancelled: 700, failed: 5_000 };

async function toFailedOutcome(context: UpgradeContext, journal: Journal, error: unknown): Promise<Outcome> {
  const cancelled = context.signal.aborted && !(error instanceof UpgradeError);
  // The next run may already have cordoned the node for itself.
  const handsOff = journal.committed || context.signal.reason instanceof EngineGone;
  const told = cancelled ? cancelledError(context, journal) : toUpgradeError(context, journal.step, error);
  const limitMs = cancelled ? cleanupMs.cancelled : cleanupMs.failed;
  const [cordon, facts] = await Promise.all([
    withinTime(
      limitMs,
      handsOff
        ? readCordonState(context, journal.facts, journal.cordoned)
        : uncordonIfOurs(context, journal.facts),
      "unread" as const,
    ),
    journal.facts === undefined
      ? undefined
      : readLatestFacts(context, Math.min(limitMs, context.timeouts.probeMs)),
  ]);
  const hint = `${told.hint}${describeStateAfter(told, journal, facts)}${describeCordon(cordon, journal.cordoned)}`;
  return {
    ok: false,
    cancelled,
    error: new UpgradeError(told.node, told.step, told.seen, hint),
    before: journal.before,
    facts: facts ?? journal.facts,
    ...snapshotOf(journal),
  };
}

/** Turns any error into the user-facing one. */
export function toUpgradeError(context: UpgradeContext, step: StepName, error: unknown): UpgradeError {
  if (error instanceof UpgradeError) return error;
  if (error instanceof Refused) return stepError(context, step, error.problems, error.hint);
  const again = "Fix this, then run `pulumi up` again: it continues from here.";
  if (error instanceof PreflightError)
    return stepError(context, step, error.text, "Once that is fixed, `pulumi up` continues from here.");
  if (error instanceof NodeRebooted) {
    return stepError(
      context,
      step,
      coded("node-keeps-restarting", `${error.message}, ${maxReboots} times in a row`),
      "Something else restarts it: find the cause, then run `pulumi up` again.",
    );
  }
  // Or an unforeseen error: the node's state is still kept, and the next run checks the node.
  return stepError(context, step, codedFailure(error), `${again}${reportHint(error)}`);
}

function cancelledError(context: UpgradeContext, journal: Journal): UpgradeError {
  const undone = stepNames.slice(stepNames.indexOf(journal.step)).filter((step) => step !== "settled?");
  return stepError(
    context,
    journal.step,
    coded("cancelled", `cancelled; steps left: ${undone.join(", ")}`),
    "The next `pulumi up` continues from here.",
  );
}

/** Steps before which nothing is done to the node. */
const stepsBeforeChanges: readonly StepName[] = ["inspect", "settled?"];

function describeStateAfter(
  { step, seen }: UpgradeError,
  { before, installed, committed }: Journal,
  after: NodeFacts | undefined,
): string {
  if (before === undefined || stepsBeforeChanges.includes(step)) return "";
  // The observation already shows that it came back with another image.
  if (hasCode(seen, "image-fallback", "image-wrong", "etcd-data-too-new")) return "";
  return ` ${describeNodeAfterFailure({ before, after, installed, committed })}`;
}

async function readLatestFacts(context: UpgradeContext, deadlineMs: number): Promise<NodeFacts | undefined> {
  try {
    return await readFacts(context.talos, context.wanted, { deadlineMs });
  } catch (error) {
    // The earlier reading is still the best available.
    context.progress.detail(
      `could not be read again: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

async function withinTime<T>(limitMs: number, work: Promise<T>, otherwise: T): Promise<T> {
  const timeout = new AbortController();
  try {
    return await Promise.race([
      work,
      realClock.sleep(limitMs, timeout.signal).then(
        () => otherwise,
        () => otherwise,
      ),
    ]);
  } finally {
    timeout.abort();
  }
}
