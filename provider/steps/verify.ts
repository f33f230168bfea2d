import type { NodeUpgradeInputs } from "../../talos/inputs/nodeUpgrade.ts";
import { coded, type ErrorCode } from "../../talos/errorCodes.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { compareEtcdMinors, etcdMinor } from "../../talos/etcdVersions.ts";
import { extensionName } from "../../talos/extensions.ts";
import { stepError, pollUntil, type UpgradeContext } from "../context.ts";
import { describeImage } from "../../talos/nodeOutlook.ts";
import {
  describeMachine,
  describeService,
  runsWantedImage,
  failingServices,
  missingExtensions,
  readFacts,
  type NodeFacts,
} from "../facts.ts";
import { etcdVersionAfter } from "../guards/etcdVersion.ts";
import { talosctlCommand } from "../talosctl.ts";
import { hintForUnanswered } from "../unansweredHint.ts";

interface Shortcoming {
  code: ErrorCode;
  seen: string;
  hint: string;
  /** How long it may last on a running machine. */
  forMs: number;
}

/**
 * Step `verify`: the desired version and schematic run (a node that fell back to its old image is also ready with a new boot ID), every extension and file is
 * present, every service runs, and a control plane is back in etcd.
 */
export async function verify(context: UpgradeContext, before: NodeFacts): Promise<NodeFacts> {
  const { clock, timeouts, progress, talos } = context;
  let facts: NodeFacts | undefined;
  let shortcoming: Shortcoming = unreachableShortcoming("nothing", context);
  let runningSince: number | undefined;
  const started = new Set<string>();

  const verified = await pollUntil(context, context.timer.end, async () => {
    try {
      facts = await readFacts(talos, context.wanted, {
        deadlineMs: timeouts.probeMs * 2,
        signal: context.signal,
      });
      const found = findShortcoming(facts, before, context) ?? (await findEtcdShortcoming(context));
      if (found === undefined) return facts;
      shortcoming = found;
      if (facts.machine.stage === "running" || found.forMs === 0) {
        runningSince ??= clock.now();
        await startStoppedServices(context, facts, started);
      } else {
        runningSince = undefined;
      }
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "denied") throw error;
      if (error.kind === "timeout") talos.reconnect();
      runningSince = undefined;
      shortcoming = unreachableShortcoming(error.detail, context);
    }
    progress.detail(shortcoming.seen);
    if (runningSince !== undefined && clock.now() - runningSince >= shortcoming.forMs) {
      throw shortOf(context, shortcoming);
    }
    return undefined;
  });
  if (verified !== undefined) return verified;
  throw shortOf(context, shortcoming);
}

function shortOf(context: UpgradeContext, { code, seen, hint }: Shortcoming): Error {
  return stepError(context, "verify", coded(code, seen), hint);
}

function unreachableShortcoming(detail: string, { timeouts }: UpgradeContext): Shortcoming {
  return {
    code: "node-unreachable",
    seen: `the node does not answer: ${detail}`,
    hint: `${hintForUnanswered(detail)} Then run \`pulumi up\` again.`,
    forMs: timeouts.contactMs,
  };
}

/** What is missing on the node; undefined if it is as desired. */
function findShortcoming(
  facts: NodeFacts,
  before: NodeFacts,
  { wanted, timeouts }: Pick<UpgradeContext, "wanted" | "timeouts">,
): Shortcoming | undefined {
  const lost = etcdFallbackShortcoming(facts, before, wanted);
  if (lost !== undefined) return lost;
  if (facts.machine.stage !== "running") return notReadyShortcoming(facts, wanted);
  if (!runsWantedImage(facts, wanted)) return wrongImageShortcoming(facts, before, { wanted, timeouts });

  const missing = missingExtensions(facts, wanted);
  if (missing.length > 0) {
    const there = facts.extensions.map(({ name }) => name).join(", ") || "none";
    return {
      code: "image-missing-extension",
      seen: `the running image lacks ${missing.map(extensionName).join(", ")} (extensions present: ${there})`,
      hint: `Its schematic is the wanted one: check that it names the extension, and what the factory built for ${wanted.talosVersion}. As a workaround, use another patch release.`,
      forMs: timeouts.settleMs,
    };
  }
  const absent = wanted.files.filter((path) => !facts.files.includes(path));
  if (absent.length > 0) {
    return {
      code: "extension-incomplete",
      seen: `the extension is installed, but ${absent.join(", ")} is missing`,
      hint: `The extension's build for ${wanted.talosVersion} is incomplete (siderolabs/talos#12951 was such a case). Use another patch release.`,
      forMs: timeouts.settleMs,
    };
  }
  const lacking = failingServices(facts, wanted);
  if (lacking.length > 0) {
    return {
      code: "service-not-running",
      seen: `not running: ${lacking.map((id) => describeService(id, facts)).join(", ")}`,
      hint: `Check ${lacking.map((id) => talosctlCommand(`logs ${id}`, wanted.node)).join(" and ")}; run \`pulumi up\` again when it runs.`,
      forMs: timeouts.serviceMs,
    };
  }
  return facts.machine.ready ? undefined : notReadyShortcoming(facts, wanted);
}

/**
 * A control plane that fell back to its old image after the newer etcd had run: the old etcd can't start on that data, and the machine never reaches the
 * running stage.
 */
function etcdFallbackShortcoming(
  facts: NodeFacts,
  before: NodeFacts,
  wanted: UpgradeContext["wanted"],
): Shortcoming | undefined {
  if (wanted.role !== "controlplane" || facts.version !== before.version || facts.bootId === before.bootId)
    return undefined;
  const [old, next] = [etcdVersionAfter({ talosVersion: facts.version }), etcdVersionAfter(wanted)];
  const minors = [etcdMinor(old ?? ""), etcdMinor(next ?? "")] as const;
  if (minors[0] === undefined || minors[1] === undefined || compareEtcdMinors(minors[0], minors[1]) >= 0)
    return undefined;
  const etcd = facts.services.find(({ id }) => id === "etcd");
  if (etcd === undefined || !/exit code|panic/.test(etcd.lastEvent)) return undefined;
  const restore =
    wanted.etcdSnapshot === undefined
      ? "restore a snapshot of etcd"
      : `restore the snapshot of etcd in ${wanted.etcdSnapshot.directory}`;
  return {
    code: "etcd-data-too-new",
    seen:
      `the node rebooted, but runs its old image again: ${describeImage(facts.version, facts.schematicId)}. ` +
      `etcd ${old ?? ""} of that image does not start on data that etcd ${next ?? ""} has written (${describeService("etcd", facts)})`,
    hint:
      `Upgrade it again: \`talosctl upgrade --nodes ${wanted.node} --image ${wanted.image}\`. If that image does not boot either, ` +
      `reset the node so that it rejoins; on a single control plane, ${restore} (\`talosctl bootstrap --nodes ${wanted.node} --recover-from <snapshot>\`).`,
    forMs: 0,
  };
}

function notReadyShortcoming({ machine }: NodeFacts, { node }: NodeUpgradeInputs): Shortcoming {
  return {
    code: "machine-not-ready",
    seen: `the machine is ${describeMachine(machine)}`,
    hint: `Check ${talosctlCommand("services", node)} and ${talosctlCommand("dmesg", node)}; run \`pulumi up\` again when it is ready.`,
    forMs: Infinity,
  };
}

function wrongImageShortcoming(
  facts: NodeFacts,
  before: NodeFacts,
  { wanted, timeouts }: Pick<UpgradeContext, "wanted" | "timeouts">,
): Shortcoming {
  const runs = describeImage(facts.version, facts.schematicId);
  const wants = describeImage(wanted.talosVersion, wanted.schematicId);
  if (runsOldImage(facts, before, wanted)) {
    return {
      code: "image-fallback",
      seen: `the node rebooted, but runs its old image again: ${runs}, not ${wants}`,
      hint: "Talos falls back when the new image does not boot or does not finish booting, or when nothing was installed: the node's console shows which. Run `pulumi up` again once the cause is fixed.",
      forMs: 0,
    };
  }
  return {
    code: "image-wrong",
    seen: `the node runs ${runs}, not ${wants}`,
    hint: `Check that ${wanted.image} is the image of that release and schematic: a mirror may be stale.`,
    // The extensions, the schematic among them, are reported a moment after the machine.
    forMs: facts.schematicId === undefined ? timeouts.settleMs : 0,
  };
}

/** Only known values count: a schematic that isn't reported yet is neither the old nor the new one. */
function runsOldImage(facts: NodeFacts, before: NodeFacts, wanted: NodeUpgradeInputs): boolean {
  if (runsWantedImage(before, wanted) || facts.version !== before.version) return false;
  // The release already differs from the desired one; the schematic doesn't matter.
  if (facts.version !== wanted.talosVersion) return true;
  return facts.schematicId !== undefined && facts.schematicId === before.schematicId;
}

async function findEtcdShortcoming(context: UpgradeContext): Promise<Shortcoming | undefined> {
  const { wanted, talos, timeouts, signal } = context;
  if (wanted.role !== "controlplane") return undefined;
  const report = (code: ErrorCode, seen: string): Shortcoming => ({
    code,
    seen,
    hint: `Check ${talosctlCommand("service etcd", wanted.node)} and ${talosctlCommand("etcd status", wanted.node)}; run \`pulumi up\` again when it is healthy.`,
    forMs: timeouts.serviceMs,
  });
  try {
    const status = await talos.etcdStatus({ deadlineMs: timeouts.probeMs * 2, signal });
    if (status.errors.length > 0) return report("etcd-errors", `etcd reports ${status.errors.join(", ")}`);
    if (status.leader === "0") return report("etcd-no-leader", "etcd has no leader");
    return undefined;
  } catch (error) {
    if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    return report("etcd-unreachable", `etcd does not answer: ${error.detail}`);
  }
}

/** Starts a manually stopped service, once; that doesn't help one that fails by itself. */
async function startStoppedServices(
  context: UpgradeContext,
  facts: NodeFacts,
  started: Set<string>,
): Promise<void> {
  for (const id of context.wanted.services) {
    const service = facts.services.find((candidate) => candidate.id === id);
    if (service?.state !== "Finished" || started.has(id)) continue;
    started.add(id);
    try {
      await context.gate.startService(id, { signal: context.signal });
      context.progress.info(`${id} was stopped; started it`);
    } catch (error) {
      if (!(error instanceof TalosError)) throw error;
      context.progress.detail(`${id} could not be started: ${error.detail}`);
    }
  }
}
