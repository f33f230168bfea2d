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

/** How an upgrade ended, with what is known of the node in either case. */
export type Outcome =
  | {
      ok: true;
      facts: NodeFacts;
      /** as it was first seen */ before: NodeFacts;
      upgraded: boolean;
      snapshot?: SavedSnapshot;
      /** How long it took no new pods, in milliseconds; undefined where it was not cordoned. */
      cordonedMs: number | undefined;
      /** Why it was left as it is for now; undefined for a node that runs what it is to run. */
      postponed?: string;
    }
  | {
      ok: false;
      error: UpgradeError;
      /** Somebody stopped it: nothing is wrong with the node. */
      cancelled: boolean;
      before: NodeFacts | undefined;
      /** the latest; undefined if the node never answered */ facts: NodeFacts | undefined;
      snapshot?: SavedSnapshot;
    };

/** How far the node has been taken, for what has to be undone or told when something fails. */
interface Journal {
  step: StepName;
  /** As it was first seen, and as it was seen last. */
  before?: NodeFacts;
  facts?: NodeFacts;
  /** From the first moment at which the node may go down. */
  committed: boolean;
  installed: boolean;
  cordoned: boolean;
  /** When the node was cordoned, on the clock, and for how long in the end. */
  cordonedAt?: number;
  cordonedMs?: number;
  /** etcd's, taken for this rollout by this node's upgrade or by that of a control plane before it. */
  snapshot?: SavedSnapshot;
}

function snapshotOf({ snapshot }: Journal): { snapshot?: SavedSnapshot } {
  return snapshot === undefined ? {} : { snapshot };
}

/** How often a node may reboot under our eyes before that is an error of its own. */
export const maxReboots = 3;

type BeginStep = (step: StepName, detail?: string) => void;

/**
 * Takes one node to the wanted image and proves it, or finds that it is there already. Never throws for anything that
 * happens to the node; safe to call again at any time after any failure.
 */
export async function upgradeNode(context: UpgradeContext): Promise<Outcome> {
  const journal: Journal = { step: "inspect", committed: false, installed: false, cordoned: false };
  try {
    const upgraded = await runAgainIfRebooted(context, journal);
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

/** A node that turns out to be in motion is looked at once more when it has come to rest: it may be settled then. */
async function runAgainIfRebooted(context: UpgradeContext, journal: Journal): Promise<boolean> {
  for (let round = 1; ; round++) {
    try {
      return await runSteps(context, journal);
    } catch (error) {
      if (!(error instanceof NodeRebooted) || round === maxReboots) throw error;
      context.talos.reconnect();
    }
  }
}

async function runSteps(context: UpgradeContext, journal: Journal): Promise<boolean> {
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
    await refuseOtherInstall(context, before);
    await verifyAndRelease(context, journal, before, begin);
    return false;
  }
  context.gate.requireApproval("upgrade");
  // Not only before the drain: what is installed starts with any reboot.
  await requireOpenWindow(context, before);
  const prepared = await prepareNode(context, journal, before, begin);
  begin("gate");
  // From the look to the node's return nobody else of this cluster is disturbed, and no more of its group than may be.
  await context.gate.inTurn(() =>
    withinBudget(context, async () => {
      await requireGates(context, "gate");
      // The wait for its turn may have been long.
      await requireOpenWindow(context, before);
      context.timer.start();
      await drainInstallReboot(context, journal, before, prepared, begin);
      await verifyAndRelease(context, journal, before, begin);
    }),
  );
  return true;
}

/** What is there before the node is disturbed. */
type PreparedUpgrade =
  | { api: "lifecycle" }
  /** The older API installs and reboots in one call. */
  | { api: "machine"; pulled: boolean };

/** Everything that leaves the node at work: the guard, the pull, and the installation where it does not reboot. */
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
  // Before the image is in place: from then on any reboot, a power cut among them, starts the wanted etcd on the data that is there.
  context.timer.start();
  await context.gate.inTurn(async () => ensureEtcdReady(context, journal, before));
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

/** A snapshot, and data that the wanted etcd can read. Done already it costs a look. */
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
    // An error of the step itself is only told once it is certain that nothing is under way. Any other one may have come after the request: the node shows it.
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

/** The node works on in the boot that it was in: nothing was asked of it that takes it down. */
async function isUndisturbed(context: UpgradeContext, before: NodeFacts): Promise<boolean> {
  try {
    return !(await isUpgradeUnderWay(context, before));
  } catch (error) {
    context.progress.detail(`whether it reboots is not known: ${String(error)}`);
    return false;
  }
}

/** A node that is over there is not given back before it has been verified. */
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

/** How long tidying up may take after a cancel, and after any other failure. */
const cleanupMs = { cancelled: 700, failed: 5_000 };

async function toFailedOutcome(context: UpgradeContext, journal: Journal, error: unknown): Promise<Outcome> {
  const cancelled = context.signal.aborted && !(error instanceof UpgradeError);
  // The next run may have cordoned the node for itself by now.
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
      : readLatestFacts(context, Math.min(limitMs, context.patience.probeMs)),
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

/** The one error for people, whatever was thrown. */
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
  // Or nobody foresaw this one: the node's state is kept all the same, and the next run looks what has become of it.
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
  // What was seen is that it came back with another image.
  if (hasCode(seen, "image-fallback", "image-wrong", "etcd-data-too-new")) return "";
  return ` ${describeNodeAfterFailure({ before, after, installed, committed })}`;
}

async function readLatestFacts(context: UpgradeContext, deadlineMs: number): Promise<NodeFacts | undefined> {
  try {
    return await readFacts(context.talos, context.wanted, { deadlineMs });
  } catch (error) {
    // What was seen before is still the best that is known.
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
