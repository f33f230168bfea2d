import { coded, type CodedText } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { formatDuration } from "../clock.ts";
import { stepError, throwIfCancelled, type UpgradeContext } from "../context.ts";
import { backoff } from "../timeouts.ts";
import { KubernetesError } from "../kubernetes.ts";
import { talosctlCommand } from "../talosctl.ts";
import { describeSession, listFirst } from "./describe.ts";
import type { NodeStorage } from "./nodeStorage.ts";

/**
 * The second half of a drain: waits until no volume is attached to the node and no iSCSI session is left, at most until `end`. Leftovers are then listed in an
 * error; sessions without an attachment are a warning unless the settings refuse them.
 */
export async function awaitVolumesDetached(
  context: UpgradeContext,
  end: number,
  timeoutMs: number,
): Promise<void> {
  const { storage, clock, timeouts, progress, wanted } = context;
  const slowing = (): (() => number) => backoff(clock, timeouts.evictMs / 2, timeouts.evictMaxMs);
  let pause = slowing();
  let trouble: string;
  let last = false;
  let leaked = { ids: "", since: 0 };
  let held = 0;
  for (;;) {
    throwIfCancelled(context);
    let pauseMs: number;
    try {
      const { attachments, inUse, sessions } = await storage.count();
      trouble = "";
      const left = attachments.length + inUse.length;
      held = left;
      if (left + sessions.length === 0) return;
      // Attachments are watched; the rest is polled, with growing pauses.
      if (attachments.length > 0) pause = slowing();
      pauseMs = attachments.length > 0 ? timeouts.evictMaxMs : pause();
      if (left === 0 && sessions.join() !== leaked.ids) leaked = { ids: sessions.join(), since: clock.now() };
      // A driver without attachments may still be logging out: its sessions are waited for while they change.
      if (left === 0 && wanted.drain.leftoverSessions === "warn") {
        if (clock.now() >= Math.min(end, leaked.since + timeouts.leftoverMs))
          return await continueWithLeakedSessions(context);
      }
      progress.detail(
        left === 0
          ? `${sessions.length} iSCSI sessions without an attachment left`
          : `${left} volumes are still attached`,
      );
    } catch (error) {
      if (error instanceof KubernetesError ? !error.transient : !isTransient(error)) throw error;
      trouble = (error as Error).message;
      storage.forget();
      pauseMs = timeouts.pollMaxMs;
      progress.detail(`could not check which volumes are left: ${trouble}`);
    }
    const remaining = end - clock.now();
    if (remaining <= 0) {
      if (last) break;
      // A watch may have gone silent: check once more before reporting leftovers.
      last = true;
      storage.forget();
      continue;
    }
    await storage.change(Math.min(pauseMs, remaining));
  }
  const waited = formatDuration(timeoutMs);
  const { node } = wanted;
  if (trouble !== "")
    throw notDetachedError(
      context,
      coded("volumes-unknown", `could not check whether the volumes have left: ${trouble}`),
      `Check that the Kubernetes API answers from here (\`kubectl get volumeattachments\`), and the node's Talos API (${talosctlCommand("version", node)})`,
    );
  const seen = coded(
    "volumes-attached",
    `volumes had not left after ${waited}: ${listFirst(await storage.describe())}`,
  );
  throw held > 0
    ? notDetachedError(
        context,
        seen,
        "The driver's controller detaches volumes and must run on another node: check its pods and `kubectl describe volumeattachments`, or raise the drain's timeout",
      )
    : notDetachedError(
        context,
        seen,
        "No attachment explains these sessions: log them out in the driver's pod on this node (`iscsiadm -m session`, `iscsiadm -m node -T <target> -u`), or accept them with upgrade.drain.leftoverSessions: warn",
      );
}

/** Leaked sessions that the settings tolerate. */
async function continueWithLeakedSessions({ storage, progress }: UpgradeContext): Promise<void> {
  const { sessions } = await storage.left();
  if (sessions.length > 0)
    progress.warn(`reboots with what a driver left behind: ${listFirst(sessions.map(describeSession))}`);
}

function notDetachedError(context: UpgradeContext, seen: CodedText, remedy: string): Error {
  return stepError(
    context,
    "drain",
    seen,
    `The node was not taken down. ${remedy}. Then run \`pulumi up\` again.`,
  );
}

/** A node that is not drained goes down with its volumes: show which ones. */
export async function warnOfVolumes({ storage, progress }: UpgradeContext, why: string): Promise<void> {
  storage.accept();
  const risk = await volumesAtRisk(storage);
  if (risk !== undefined) progress.warn(`${why} and ${risk}`);
}

/** The volumes that an undrained node goes down with; undefined if there are none. */
export async function volumesAtRisk(storage: NodeStorage): Promise<string | undefined> {
  try {
    const entries = await storage.describe();
    return entries.length === 0 ? undefined : `goes down with its volumes: ${listFirst(entries)}`;
  } catch (error) {
    if (!(error instanceof KubernetesError) && !(error instanceof TalosError)) throw error;
    if (error instanceof TalosError && error.kind === "cancelled") throw error;
    return `goes down; its volumes could not be read: ${error.message}`;
  }
}
