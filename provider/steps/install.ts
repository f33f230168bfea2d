import { coded } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { needsPreserve } from "../../talos/features.ts";
import { VersionError } from "../../talos/version.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import type { NodeFacts } from "../facts.ts";
import { talosctlCommand } from "../talosctl.ts";
import { remainingMs } from "./pull.ts";

/** What the node does next. */
export type InstallOutcome =
  /** installed, waiting for a reboot request */
  | { reboots: "on request" }
  /** reboots by itself; events of this actor report a failure */
  | { reboots: "by itself"; actorId: string };

/** Step `install` with `LifecycleService.Upgrade`: the node keeps running. A cancel doesn't interrupt it: a stopped installer leaves half an image behind. */
export async function installWithoutReboot(
  context: UpgradeContext,
  facts: NodeFacts,
  imageName: string,
): Promise<void> {
  const { gate, progress, wanted } = context;
  let lastMessage = "";
  let exitCode: number | undefined;
  try {
    exitCode = await gate.install(
      imageName,
      (message) => {
        lastMessage = message.trim() === "" ? lastMessage : message.trim();
        progress.detail(lastMessage);
      },
      facts,
      { deadlineMs: remainingMs(context) },
    );
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "unimplemented" || error.kind === "cancelled")
      throw error;
    if (error.kind === "locked") throw busyError(context, error);
    throw stepError(
      context,
      "install",
      isTransient(error)
        ? coded("install-interrupted", `the connection broke while the installer ran: ${error.detail}`)
        : coded("install-failed", `the installer did not run: ${error.detail}`),
      `Its output is in ${talosctlCommand("logs machined", wanted.node)}. Run \`pulumi up\` again: it first checks whether the installer has finished.`,
    );
  }
  if (exitCode === 0) return;
  throw stepError(
    context,
    "install",
    coded(
      "install-failed",
      exitCode === undefined
        ? "the installer's output ended without an exit code"
        : `the installer failed with exit code ${exitCode}${lastMessage === "" ? "" : `, last message: ${lastMessage}`}`,
    ),
    `The installer's output is in ${talosctlCommand("logs machined", wanted.node)}. Fix the cause, then run \`pulumi up\` again.`,
  );
}

function busyError(context: UpgradeContext, error: TalosError): Error {
  return stepError(
    context,
    "install",
    coded("install-busy", `another upgrade is running on the node: ${error.detail}`),
    `Wait until the other upgrade has finished (${talosctlCommand("dmesg --follow", context.wanted.node)} shows it), then run \`pulumi up\` again.`,
  );
}

/** Step `install` with the older API, which reboots by itself. */
export async function installAndReboot(
  context: UpgradeContext,
  facts: NodeFacts,
  onAct: () => void,
): Promise<InstallOutcome> {
  const { gate, wanted } = context;
  const request = { image: wanted.image, preserve: mustPreserve(facts.version) };
  try {
    const actorId = await gate.upgradeLegacy(
      request,
      { ...facts, onAct },
      { deadlineMs: remainingMs(context) },
    );
    return { reboots: "by itself", actorId };
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    // The response got lost, or an earlier request is running: check what the node does instead of asking twice.
    if ((isTransient(error) || error.kind === "locked") && (await isUpgradeUnderWay(context, facts))) {
      return { reboots: "by itself", actorId: "" };
    }
    throw stepError(
      context,
      "install",
      coded("upgrade-refused", `the node refused the upgrade: ${error.detail}`),
      "Fix the cause, then run `pulumi up` again.",
    );
  }
}

function mustPreserve(version: string): boolean {
  try {
    return needsPreserve(version);
  } catch (error) {
    if (error instanceof VersionError) return false;
    throw error;
  }
}

/** Whether the node is upgrading, rebooting or back from the reboot. */
export async function isUpgradeUnderWay(context: UpgradeContext, facts: NodeFacts): Promise<boolean> {
  const { talos, clock, timeouts } = context;
  const call = { deadlineMs: timeouts.probeMs };
  const seen = await pollUntil(context, clock.now() + timeouts.rebootMs, async () => {
    try {
      const [machine, bootId] = await Promise.all([talos.machineStatus(call), talos.bootId(call)]);
      return machine.stage !== "running" || bootId !== facts.bootId ? true : undefined;
    } catch (error) {
      if (!isTransient(error)) throw error;
      talos.reconnect();
      return undefined;
    }
  });
  return seen ?? false;
}
