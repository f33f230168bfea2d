import { coded } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { isSameImage, type InstallHistory } from "../../talos/api/installLog.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import type { NodeFacts } from "../facts.ts";
import { installAnnotation, KubernetesError } from "../kubernetes.ts";
import { talosctlCommand } from "../talosctl.ts";
import { retryKubernetes, findNode } from "./drain.ts";
import { expectedApi, pull, type UpgradePath } from "./pull.ts";

/** How far an earlier run, stopped before the reboot, got with this image in the current boot. */
export type EarlierInstall = "nothing" | "done";

/**
 * What an earlier run installed in this boot, from the node's own logs: a second installation in one boot would overwrite the running image, the only one to
 * fall back to (GRUB writes to the non-default slot; seen on v1.13). An installer survives its caller, so a running one is waited for.
 * @param pulled pulls the desired image to learn its digest, which identifies it in the log
 */
export async function findEarlierInstall(
  context: UpgradeContext,
  before: NodeFacts,
  pulled: () => Promise<UpgradePath>,
): Promise<EarlierInstall> {
  const { wanted } = context;
  const history = await readInstallHistory(context);
  if (history === undefined) {
    throw stepError(
      context,
      "install",
      coded("install-unknown", "could not determine whether an earlier installer has finished"),
      `Check ${talosctlCommand("logs machined", wanted.node)} and ${talosctlCommand("dmesg", wanted.node)}. Nothing was installed over it. Run \`pulumi up\` again once it has finished; if it died, reboot the node first (${talosctlCommand("reboot", wanted.node)}).`,
    );
  }
  const installed = history.completed.at(-1);
  if (installed !== undefined) {
    if (await isWantedImage(installed, context, pulled)) return "done";
    throw stepError(
      context,
      "install",
      coded("install-pending", `${installed} was installed in this boot and waits for a reboot`),
      `Installing ${wanted.image} now would overwrite the running image, the only one to fall back to. Reboot the node first (${talosctlCommand("reboot", wanted.node)}), or let the tool that installed it finish. Then run \`pulumi up\` again.`,
    );
  }
  const note = await readInstallNote(context, before);
  if (note === "done") return "done";
  // The start of this boot's log is gone: an installation that was started may be complete. The next boot shows which image is installed, and either one is
  // safe.
  return note === "begun" && !history.complete ? "done" : "nothing";
}

/**
 * A node that runs the desired image but will boot another one: a rollout to that image was stopped between the installation and the reboot, then reverted in
 * the settings. The node counts as done only if it keeps its image after a reboot.
 */
export async function refuseOtherInstall(context: UpgradeContext, facts: NodeFacts): Promise<void> {
  // The older API installs and reboots in one call.
  if (expectedApi(facts.version) === "machine") return;
  const { wanted, progress } = context;
  const history = await readInstallHistory(context).catch((error: unknown) => {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    progress.detail(`could not read what was installed in this boot: ${error.detail}`);
    return undefined;
  });
  const installed = history?.completed.at(-1);
  if (installed === undefined) return;
  if (await isWantedImage(installed, context, () => pull(context, facts))) return;
  throw stepError(
    context,
    "settled?",
    coded(
      "install-pending",
      `the node runs the wanted image, but ${installed} was installed in this boot and starts at the next reboot`,
    ),
    `Drain and reboot the node at a convenient time (${talosctlCommand("reboot", wanted.node)}): the next \`pulumi up\` then brings it back to ${wanted.talosVersion}. Or set that image in the settings.`,
  );
}

/** What was installed in this boot, read once no installer is running; undefined if unknown. */
async function readInstallHistory(context: UpgradeContext): Promise<InstallHistory | undefined> {
  const { talos, timeouts, progress, signal } = context;
  const call = { deadlineMs: timeouts.probeMs * 2, signal };
  return pollUntil(context, Infinity, async () => {
    const history = await talos.installHistory(call).catch((error: unknown) => {
      if (!isTransient(error)) throw error;
      talos.reconnect();
      progress.detail("the node's log could not be read yet");
      return undefined;
    });
    if (history === undefined) return undefined;
    if (history.last?.state !== "running") return history;
    progress.detail("an earlier installer is still running");
    return undefined;
  });
}

async function isWantedImage(
  installed: string,
  { wanted }: UpgradeContext,
  pulled: () => Promise<UpgradePath>,
): Promise<boolean> {
  if (isSameImage(installed, wanted.image)) return true;
  const path = await pulled();
  return path.api === "lifecycle" && isSameImage(installed, path.imageName);
}

/** The note on the Kubernetes node: a second record for a node whose log has been overwritten. */
async function readInstallNote(
  context: UpgradeContext,
  before: NodeFacts,
): Promise<"begun" | "done" | undefined> {
  if (before.bootId === undefined) return undefined;
  try {
    const kubernetes = await context.kubernetes();
    if (kubernetes === undefined) return undefined;
    const nodes = await retryKubernetes(context, () => kubernetes.nodes());
    const written = findNode(nodes, before.kubernetesNode, context.wanted.node)?.annotations[
      installAnnotation
    ];
    if (written === formatInstallNote("done", before.bootId, context.wanted.image)) return "done";
    return written === formatInstallNote("begun", before.bootId, context.wanted.image) ? "begun" : undefined;
  } catch (error) {
    // If it matters, the guard has already reported that Kubernetes doesn't answer.
    if (error instanceof KubernetesError) return undefined;
    throw error;
  }
}

/** Leaves a note for a later run. It is only the second record, so a failure doesn't stop the upgrade. */
export async function noteInstall(
  context: UpgradeContext,
  before: NodeFacts,
  state: "begun" | "done",
): Promise<void> {
  if (before.kubernetesNode === undefined || before.bootId === undefined) return;
  const annotations = { [installAnnotation]: formatInstallNote(state, before.bootId, context.wanted.image) };
  try {
    await (await context.kubernetes())?.patchNode(before.kubernetesNode, { annotations });
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
  }
}

function formatInstallNote(state: "begun" | "done", bootId: string, image: string): string {
  return `${state} ${bootId} ${image}`;
}
