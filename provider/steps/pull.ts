import { coded } from "../../talos/errorCodes.ts";
import { isTransient, isUnimplemented, TalosError } from "../../talos/api/errors.ts";
import { upgradeApiOf } from "../../talos/features.ts";
import { VersionError } from "../../talos/version.ts";
import { formatDuration } from "../clock.ts";
import { stepError, type UpgradeContext } from "../context.ts";
import type { NodeFacts } from "../facts.ts";

/** The API used to upgrade this node, according to its server. */
export type UpgradePath =
  | { api: "lifecycle"; /** the image's name in the node's own store */ imageName: string }
  | { api: "machine" };

const pullAttempts = 3;

/**
 * Step `pull`: pulls the installer image before anything is disturbed. This also shows which of the two upgrade APIs the node has: the one expected for its
 * version is tried first, and "unimplemented" leads to the other.
 */
export async function pull(context: UpgradeContext, facts: NodeFacts): Promise<UpgradePath> {
  const begun = context.clock.now();
  const seen: PullProgress = {};
  const failed = (error: unknown): unknown =>
    pullError(context, error, seen, formatDuration(context.clock.now() - begun));
  if (expectedApi(facts.version) === "lifecycle") {
    try {
      return { api: "lifecycle", imageName: await retryPull(context, () => pullByLifecycle(context, seen)) };
    } catch (error) {
      if (!isUnimplemented(error)) throw failed(error);
    }
  }
  try {
    await retryPull(context, () => pullByMachineService(context));
  } catch (error) {
    // Talos 1.6 has no call for it: there the upgrade pulls the image itself, before it touches anything.
    if (!isUnimplemented(error)) throw failed(error);
  }
  return { api: "machine" };
}

/** The progress of a pull, for its error message. */
interface PullProgress {
  last?: string;
}

function pullByLifecycle(context: UpgradeContext, seen: PullProgress): Promise<string> {
  const { talos, wanted, progress } = context;
  return talos.pull(
    wanted.image,
    (done, total) => {
      const size = `${Math.ceil(total / 1_000_000)} MB`;
      // All layers are downloaded and being unpacked: on a slow disk that takes minutes without further progress.
      if (total === 0) return;
      seen.last = done >= total ? `unpacking ${size}` : `${Math.floor((100 * done) / total)} % of ${size}`;
      progress.detail(seen.last);
    },
    { deadlineMs: remainingMs(context), signal: context.signal },
  );
}

function pullByMachineService(context: UpgradeContext): Promise<void> {
  const { talos, wanted, signal, progress } = context;
  // This call reports no progress.
  progress.detail(`pulling ${wanted.image}; this Talos release reports no progress`);
  return talos.pullLegacy(wanted.image, { deadlineMs: remainingMs(context), signal });
}

export function remainingMs({ timer, clock }: UpgradeContext): number {
  return Math.max(1, timer.end - clock.now());
}

/** The upgrade API a release has. */
export function expectedApi(version: string): "lifecycle" | "machine" {
  try {
    return upgradeApiOf(version);
  } catch (error) {
    // A tag that is no release comes from a custom build, usually newer than 1.12.
    if (error instanceof VersionError) return "lifecycle";
    throw error;
  }
}

/** A pull changes nothing that matters, so an interrupted one is retried. */
async function retryPull<T>(context: UpgradeContext, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TalosError) || !isTransient(error)) throw error;
      if (attempt === pullAttempts || remainingMs(context) === 1) throw error;
      context.progress.detail(`the pull was interrupted (${error.detail}), retrying`);
      await context.clock.sleep(context.timeouts.pollMaxMs, context.signal);
    }
  }
}

/** @param took how long it was tried */
function pullError(context: UpgradeContext, error: unknown, { last }: PullProgress, took: string): unknown {
  if (!(error instanceof TalosError) || error.kind === "cancelled") return error;
  if (error.kind === "timeout")
    return stepError(
      context,
      "pull",
      coded(
        "pull-failed",
        `the node could not pull ${context.wanted.image} within ${took}; ${last === undefined ? "no progress was reported" : `it got to ${last}`}`,
      ),
      "Check that the node can reach the registry (proxy, mirror, DNS); for a slow line, raise upgrade.timeout. Then run `pulumi up` again.",
    );
  return stepError(
    context,
    "pull",
    coded(
      error.kind === "notFound" ? "image-not-found" : "pull-failed",
      `the node could not pull ${context.wanted.image}: ${error.detail}`,
    ),
    error.kind === "notFound"
      ? "The registry does not have it: check that the schematic is registered at the factory and that the factory builds this release."
      : "Check that the node can reach the registry (proxy, mirror, DNS), then run `pulumi up` again.",
  );
}
