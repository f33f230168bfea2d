import { upgradePathAdvisories } from "../provider/upgradeAdvisories.ts";
import type { UpgradeContext } from "../provider/context.ts";
import { endSentence, UpgradeError } from "../provider/errors.ts";
import {
  describeMachine,
  describeService,
  failingServices,
  readFacts,
  type NodeFacts,
} from "../provider/facts.ts";
import { describeEtcd } from "../provider/guards/etcdVersion.ts";
import { kernelArgumentFindings } from "../provider/guards/kernelArguments.ts";
import { readRunningKubernetes, upgradePathProblem } from "../provider/hops/obstacles.ts";
import { remainingHops } from "../provider/hops/path.ts";
import { silentProgress } from "../provider/progress.ts";
import { guard } from "../provider/steps/guard.ts";
import { TalosError } from "../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../talos/api/talosClient.ts";
import { exemptedNamespaces } from "../talos/exemptions.ts";
import {
  findBadRelease,
  isExtensionAvailable,
  initiatorNameChanges,
  iscsiServices,
} from "../talos/extensions.ts";
import { kubernetesReleasesBefore, kubernetesStops } from "../talos/kubernetesPath.ts";
import { releasesBefore, unknownReleaseReason } from "../talos/releases.ts";
import { VersionError } from "../talos/version.ts";
import type { Finding, NodeVerdict } from "./verdict.ts";

/** What the first look found; the second needs to know the other nodes. */
export interface FirstLook {
  address: string;
  name: string;
  role: "controlplane" | "worker";
  facts: NodeFacts;
}

export async function lookFirst(talos: TalosReader, address: string, call: CallOptions): Promise<FirstLook> {
  const facts = await readFacts(talos, { files: [] }, call);
  // Whoever runs etcd is a control plane: this can be read with any role, the machine configuration cannot.
  const role = facts.services.some(({ id }) => id === "etcd") ? "controlplane" : "worker";
  return { address, name: facts.kubernetesNode ?? address, role, facts };
}

/** One node and what there is to say of it. `context` wants the release of `--to`, or the one that runs. */
export async function examineUpgrade(
  context: UpgradeContext,
  { address, name, role, facts }: FirstLook,
  { to, toKubernetes }: { to?: string; toKubernetes?: string },
): Promise<{ node: NodeVerdict; findings: Finding[] }> {
  const { talos, signal } = context;
  const call = { deadlineMs: context.timeouts.probeMs * 2, signal };
  const [etcd, kernelArguments, exemptNamespaces, refused, way] = await Promise.all([
    role === "controlplane" ? unlessUnknown(talos.etcdStatus(call).then(describeEtcd)) : undefined,
    unlessUnknown(kernelArgumentFindings(address, talos, facts.version, call)),
    role === "controlplane" ? unlessUnknown(readExemptions(talos, call)) : undefined,
    to === undefined || to === facts.version ? undefined : upgradeRefusals(context, facts, to),
    to === undefined ? undefined : describeUpgradePath(context, facts, to, toKubernetes),
  ]);
  const node: NodeVerdict = {
    name,
    address,
    role,
    version: facts.version,
    ...(facts.schematicId === undefined ? {} : { schematicId: facts.schematicId }),
    extensions: facts.extensions.map(({ name: extension }) => extension),
    machine: describeMachine(facts.machine),
    ...(etcd === undefined ? {} : { etcd }),
    kernelArgumentsAtRisk: (kernelArguments ?? []).length > 0,
    ...(facts.initiatorName === undefined ? {} : { initiatorName: facts.initiatorName }),
    initiatorNameChanges: to !== undefined && initiatorChanges(facts.version, to),
    ...(exemptNamespaces === undefined ? {} : { exemptNamespaces }),
    ...(to === undefined ? {} : { refused: refused ?? [] }),
  };
  const findings = [
    ...runningNodeFindings(node, facts),
    ...(kernelArguments ?? []).map(({ problem, hint }) =>
      warningFinding(name, `${endSentence(problem)} ${hint}`),
    ),
    ...(to === undefined ? [] : upgradePathAdvisories(facts.version, to, node.extensions, undefined)).map(
      (text) => warningFinding(name, text),
    ),
    ...(way === undefined ? [] : [warningFinding(name, way)]),
    ...(refused ?? []).map((text): Finding => ({
      severity: "problem",
      nodes: [name],
      text: `an upgrade to ${to ?? ""} would be refused: ${text}`,
    })),
  ];
  return { node, findings };
}

/** What `upgrade.through: automatic` would do with a node that is several minor releases behind; undefined for any other node. */
async function describeUpgradePath(
  context: UpgradeContext,
  facts: NodeFacts,
  to: string,
  toKubernetes: string | undefined,
): Promise<string | undefined> {
  const { image, extensions } = context.wanted;
  const hops = releasesBefore(to).map((talosVersion) => ({
    ...{ talosVersion, image, extensions, services: [], files: [] },
  }));
  const releases =
    toKubernetes === undefined ? [] : [...kubernetesReleasesBefore(toKubernetes), toKubernetes];
  const node = {
    ...{ ...context.wanted, hops },
    ...(releases.length === 0 ? {} : { kubernetes: { releases } }),
  };
  const left = remainingHops(facts, node).map(({ talosVersion }) => talosVersion);
  if (left.length === 0) return undefined;
  const [problem, runs] = await Promise.all([
    upgradePathProblem(context, facts, node),
    releases.length === 0 ? undefined : readRunningKubernetes(context),
  ]);
  const begin = `with upgrade.through: automatic, an upgrade to ${to} goes through ${left.join(", ")}, with ${left.length + 1} reboots of each node`;
  const stops = runs === undefined ? [] : kubernetesStops(runs, [facts.version, ...left, to], releases);
  return problem === undefined
    ? begin + stopsText(stops)
    : `${begin}; right now that is refused: ${endSentence(problem.seen)} ${problem.hint}`;
}

/** `, and Kubernetes to v1.30.14 before Talos v1.12.11` */
function stopsText(stops: ReturnType<typeof kubernetesStops>): string {
  if ("problem" in stops || stops.length === 0) return "";
  const steps = stops.map(({ kubernetes, before }) => `to ${kubernetes} before Talos ${before}`);
  return `, and Kubernetes is upgraded ${steps.join(", ")}`;
}

/** Why a stack with this release, and the extensions that the node has, would not get as far as a rollout. */
function settingsRefusal({ extensions }: NodeFacts, to: string): string | undefined {
  const unknown = unknownReleaseReason(to);
  if (unknown !== undefined) return `it is ${unknown}.`;
  const gone = extensions.filter(
    ({ name }) => unlessCustomBuild(() => isExtensionAvailable(name, to)) === false,
  );
  return gone.length === 0
    ? undefined
    : `${to} has no extension ${gone.map(({ name }) => name).join(", ")}. Choose a newer release.`;
}

/** Problems of a node in its current state. */
function runningNodeFindings({ name, extensions, version }: NodeVerdict, facts: NodeFacts): Finding[] {
  const problem = (text: string): Finding => ({ severity: "problem", nodes: [name], text });
  // On its way down a machine says that it is ready.
  const works = facts.machine.stage === "running" && facts.machine.ready;
  const findings = works ? [] : [problem(`is ${describeMachine(facts.machine)}`)];
  if (!extensions.includes("iscsi-tools")) {
    findings.push(warningFinding(name, "has no iscsi-tools: iSCSI volumes cannot be used there"));
  } else {
    const services = [...(unlessCustomBuild(() => iscsiServices(version)) ?? [])];
    for (const id of failingServices(facts, { services }))
      findings.push(
        problem(
          `the service ${describeService(id, facts)} is not running: iSCSI volumes cannot be used there`,
        ),
      );
  }
  const bad = unlessCustomBuild(() => findBadRelease(version, extensions));
  if (bad !== undefined)
    findings.push(warningFinding(name, `runs ${version}: ${bad.reason} (${bad.source}). Use ${bad.instead}`));
  return findings;
}

/** What the settings and the rollout's own guard would say, the guard asked once and without waiting. */
async function upgradeRefusals(context: UpgradeContext, facts: NodeFacts, to: string): Promise<string[]> {
  const bySettings = settingsRefusal(facts, to);
  if (bySettings !== undefined) return [bySettings];
  try {
    await guard({ ...context, progress: silentProgress }, facts);
    return [];
  } catch (error) {
    if (error instanceof UpgradeError) return [`${endSentence(error.seen)} ${error.hint}`];
    if (error instanceof TalosError) return [error.message];
    throw error;
  }
}

async function readExemptions(talos: TalosReader, call: CallOptions): Promise<string[] | undefined> {
  const text = await talos.activeConfiguration(call);
  return text === undefined ? undefined : [...new Set(exemptedNamespaces(text))];
}

/** Undefined where the certificate's role may not ask, the release does not know the question, or the answer does not come. */
async function unlessUnknown<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}

function initiatorChanges(from: string, to: string): boolean {
  return unlessCustomBuild(() => initiatorNameChanges(from, to)) ?? false;
}

/** Undefined for a build with a tag of its own: nothing is known of it. */
function unlessCustomBuild<T>(question: () => T): T | undefined {
  try {
    return question();
  } catch (error) {
    if (error instanceof VersionError) return undefined;
    throw error;
  }
}

function warningFinding(name: string, text: string): Finding {
  return { severity: "warning", nodes: [name], text };
}
