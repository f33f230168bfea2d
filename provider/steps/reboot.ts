import { coded } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { formatDuration } from "../clock.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import { NodeRebooted, UpgradeError } from "../errors.ts";
import { describeMachine, type NodeFacts } from "../facts.ts";
import { nodeLabel } from "../inputs.ts";
import { talosctlCommand } from "../talosctl.ts";
import { hintForUnanswered } from "../unansweredHint.ts";
import type { InstallOutcome } from "./install.ts";

/** Step `reboot`, second half: waits until the boot ID has changed. `verify` checks the node's state. */
export async function awaitReboot(
  context: UpgradeContext,
  before: NodeFacts,
  installed: InstallOutcome,
): Promise<void> {
  const watch = new AbortController();
  const failed = watchForFailure(context, installed, watch.signal);
  try {
    await awaitNewBoot(context, before, installed, failed);
  } finally {
    watch.abort();
  }
}

/** Step `reboot`, first half, if the node doesn't reboot by itself. */
export async function requestReboot(
  context: UpgradeContext,
  before: NodeFacts,
  onAct: () => void = () => undefined,
): Promise<void> {
  const { gate, timeouts } = context;
  try {
    await gate.reboot({ ...before, onAct }, { deadlineMs: timeouts.probeMs * 2 });
  } catch (error) {
    // A node that goes down may not send its answer. The boot ID shows whether it rebooted.
    if (isTransient(error) || (error instanceof TalosError && error.kind === "locked")) return;
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    throw stepError(
      context,
      "reboot",
      coded("reboot-refused", `the new image is installed, but the node refused to reboot: ${error.detail}`),
      `Run \`pulumi up\` again, or reboot it with ${talosctlCommand("reboot", context.wanted.node)}.`,
    );
  }
}

/** Holds the failure that the node's events report. */
interface NodeFailure {
  text?: string;
}

function watchForFailure(
  context: UpgradeContext,
  installed: InstallOutcome,
  signal: AbortSignal,
): NodeFailure {
  const failed: NodeFailure = {};
  if (installed.reboots === "by itself" && installed.actorId !== "") {
    context.talos
      .upgradeFailure(installed.actorId, { signal })
      .then((text) => {
        // Rejected because another sequence is running: one from an earlier run that does the same.
        if (text !== undefined && !/locked|in progress/.test(text)) failed.text = text;
      })
      // Events are optional: without them a failed upgrade shows as a timeout.
      .catch(() => undefined);
  }
  return failed;
}

async function awaitNewBoot(
  context: UpgradeContext,
  before: NodeFacts,
  installed: InstallOutcome,
  failed: NodeFailure,
): Promise<void> {
  const { talos, clock, timeouts, progress } = context;
  const begun = clock.now();
  let asked = begun;
  let gone = false;
  let last = "still in its old boot";
  let refused: string | undefined;
  const back = await pollUntil(context, context.timer.end, async () => {
    if (failed.text !== undefined) throw await rebootAfterFailure(context, before, failed.text);
    try {
      const call = { deadlineMs: timeouts.probeMs, signal: context.signal };
      const [bootId, machine] = await Promise.all([talos.bootId(call), talos.machineStatus(call)]);
      refused = undefined;
      last = `${describeMachine(machine)}, still in its old boot`;
      progress.detail(gone ? "answering again" : machine.stage);
      // If the boot ID can't be read, having been away counts.
      if (bootId === undefined ? gone : bootId !== before.bootId) return true;
      const idle = machine.stage === "running" && machine.ready && !gone;
      if (idle && installed.reboots === "on request" && clock.now() - asked > timeouts.rebootMs) {
        asked = clock.now();
        await requestReboot(context, before);
      }
    } catch (error) {
      if (!(error instanceof TalosError)) throw error;
      gone = true;
      last = `no answer: ${error.detail}`;
      refused = error.kind === "certificate" ? error.detail : undefined;
      // A connection from before the reboot may look alive for minutes.
      if (error.kind === "timeout") talos.reconnect();
      if (error.kind !== "cancelled") progress.detail(refused ?? "rebooting");
    }
    return undefined;
  });
  if (back) return;
  if (!gone)
    throw stepError(
      context,
      "reboot",
      coded(
        "node-did-not-reboot",
        `the node was asked to reboot and did not go down within ${formatDuration(clock.now() - begun)}: ${last}`,
      ),
      `${talosctlCommand("dmesg", context.wanted.node)} and ${talosctlCommand("logs machined", context.wanted.node)} show what it waits for. Run \`pulumi up\` again: it asks again and does not install twice.`,
    );
  if (refused !== undefined)
    throw stepError(
      context,
      "reboot",
      coded(
        "node-certificate",
        `the node is up, but ${formatDuration(clock.now() - begun)} after the reboot its Talos API cannot be used: ${refused}`,
      ),
      `${hintForUnanswered(refused)} Then run \`pulumi up\` again: it continues from there, whichever image the node runs.`,
    );
  throw stepError(
    context,
    "reboot",
    coded(
      "node-did-not-return",
      `the node did not come back within ${formatDuration(clock.now() - begun)}; last seen: ${last}`,
    ),
    "Check its console. Once it is back, run `pulumi up` again: it continues from there, whichever image the node runs.",
  );
}

/** The upgrade failed on the node itself, after it had stopped its services. */
export class UpgradeFailed extends UpgradeError {
  /** The node runs its old image again, with its services. */
  readonly recovered: boolean;

  constructor(context: UpgradeContext, text: string, recovered: boolean) {
    super(
      nodeLabel(context.wanted),
      "install",
      coded("install-failed", `the upgrade failed on the node: ${text}`),
      recovered
        ? "It was rebooted and its services run again; the installer's output is on its console, in the previous boot. Run `pulumi up` again once the cause is fixed."
        : "Its services are stopped, and it did not come back from the reboot that starts them. Check its console; once it runs, run `pulumi up` again.",
    );
    this.recovered = recovered;
  }
}

/** After a failed upgrade, only a boot into the old image restarts the node's services: request one in case the node doesn't reboot by itself. */
async function rebootAfterFailure(
  context: UpgradeContext,
  before: NodeFacts,
  text: string,
): Promise<UpgradeFailed> {
  const { talos, gate, timeouts, progress } = context;
  progress.detail(`the upgrade failed (${text}), rebooting into the old image`);
  const call = { deadlineMs: timeouts.probeMs, signal: context.signal };
  await gate.rebootStopped(before, call).catch((error: unknown) => {
    // Talos gives up on itself after that and reboots (v1.10 internal/app/machined/main.go): it may already be down.
    if (!(error instanceof NodeRebooted)) ignoreTalosError(error);
  });
  const back = await pollUntil(context, context.timer.end, async () => {
    try {
      const [bootId, machine] = await Promise.all([talos.bootId(call), talos.machineStatus(call)]);
      return bootId !== before.bootId && machine.stage === "running" ? true : undefined;
    } catch (error) {
      ignoreTalosError(error);
      talos.reconnect();
      return undefined;
    }
  });
  return new UpgradeFailed(context, text, back ?? false);
}

function ignoreTalosError(error: unknown): void {
  if (!(error instanceof TalosError)) throw error;
}
