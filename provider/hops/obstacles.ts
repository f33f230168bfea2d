import { TalosError } from "../../talos/api/errors.ts";
import type { ErrorCode } from "../../talos/errorCodes.ts";
import { isExtensionAvailable, extensionName } from "../../talos/extensions.ts";
import { compareEtcdMinors, describeEtcdMinor, etcdMinor, etcdVersionOf } from "../../talos/etcdVersions.ts";
import { hasGrubUseUkiCmdline } from "../../talos/features.ts";
import { describeSteps, kubernetesSteps, releasesNotRunning } from "../../talos/kubernetesSteps.ts";
import { kubernetesStops } from "../../talos/kubernetesPath.ts";
import { supportedKubernetesRange } from "../../talos/releases.ts";
import { compareVersions, talosMinor, VersionError } from "../../talos/version.ts";
import type { UpgradeContext } from "../context.ts";
import { UpgradeError } from "../errors.ts";
import type { NodeFacts } from "../facts.ts";
import { etcdVersionFindings } from "../guards/etcdVersion.ts";
import { joinHints, joinProblems, type Finding } from "../guards/finding.ts";
import { kernelArgumentFindings } from "../guards/kernelArguments.ts";
import { releaseFindings } from "../guards/release.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError } from "../kubernetes.ts";
import { missingMinors, upgradeLegs, type NodeWithHops, type UpgradeLeg } from "./path.ts";

/**
 * Known blockers on a node's upgrade path: a path that would stop halfway isn't started. The guard checks the next step, except for its extensions.
 * @param isNext false for a node that waits for the hops of others: nothing has checked its next step, which may be its only one
 * @param isConfigured false if this deployment may still change the node's configuration
 */
export async function upgradePathProblem(
  context: UpgradeContext,
  { version }: Pick<NodeFacts, "version">,
  node: NodeWithHops,
  { isNext = true, isConfigured = true }: { isNext?: boolean; isConfigured?: boolean } = {},
): Promise<UpgradeError | undefined> {
  const steps = upgradeLegs({ version }, node);
  const gaps = missingMinors(version, node);
  const legs = steps.length > 0 || gaps.length > 0 || isNext ? steps : [{ from: version, wanted: node }];
  if (legs.length === 0 && gaps.length === 0) return undefined;
  const findings = [
    ...(gaps.length === 0 ? [] : [gapFinding(version, node, gaps)]),
    ...legs.flatMap((leg, index) => [
      ...(index === 0 && isNext ? [] : releaseLegFindings(leg)),
      // At its first step, the others decide which etcd a node finds: the guard asks them.
      ...(index === 0 ? [] : etcdFindings(leg)),
      ...extensionFindings(leg),
    ]),
    ...(isConfigured ? await lostArgumentFindings(context, version, legs.slice(isNext ? 1 : 0)) : []),
    ...kubernetesFindings(version, legs, await readRunningKubernetes(context), node),
  ];
  if (findings.length === 0) return undefined;
  const seen = joinProblems(findings);
  const hints = joinHints(findings);
  return new UpgradeError(nodeLabel(node), "guard", seen, hints, findings);
}

function permanentFinding(code: ErrorCode, problem: string, hint: string): Finding {
  return { code, problem, hint, mayPass: false };
}

function gapFinding(version: string, { talosVersion }: NodeWithHops, gaps: readonly string[]): Finding {
  return permanentFinding(
    "release-unknown",
    `no known release of ${gaps.join(", ")} to go through from ${version} to ${talosVersion}`,
    "Add a release of each to upgrade.releases.",
  );
}

/** What the releases alone tell about a step. Kubernetes is checked for the whole path. */
function releaseLegFindings(leg: UpgradeLeg): Finding[] {
  return releaseFindings(leg.from, undefined, leg.wanted).map((finding) => onHop(leg, finding));
}

function onHop({ from, wanted }: UpgradeLeg, finding: Finding): Finding {
  return { ...finding, problem: `on the hop from ${from} to ${wanted.talosVersion}: ${finding.problem}` };
}

/** Extensions that a release doesn't have. The settings check only the desired release. */
function extensionFindings(leg: UpgradeLeg): Finding[] {
  const { talosVersion, extensions } = leg.wanted;
  const missing = extensions.filter((extension) => isExtensionAvailable(extension, talosVersion) === false);
  if (missing.length === 0) return [];
  const finding = permanentFinding(
    "extension-unavailable",
    `Talos ${talosVersion} has no extension ${missing.map(extensionName).join(", ")}`,
    "Remove it from the schematic until the nodes run a release that has it.",
  );
  return [onHop(leg, finding)];
}

/** Kernel arguments of the configuration are lost on the first hop that LifecycleService makes: nodes keep their bootloader. */
async function lostArgumentFindings(
  { talos, wanted, timeouts, signal }: UpgradeContext,
  version: string,
  legs: readonly UpgradeLeg[],
): Promise<Finding[]> {
  const call = { deadlineMs: timeouts.probeMs, signal };
  for (const leg of legs) {
    try {
      const found = await kernelArgumentFindings(wanted.node, talos, leg.from, call, true);
      if (found.length === 0) continue;
      // With SecureBoot, nodes booted a UKI before 1.10, the first release that reports it (siderolabs/talos v1.9, v1.10 runtime/security_status.go).
      if ((await talos.secureBoot(call)) === true) return [];
      const first = hasGrubUseUkiCmdline(version)
        ? ""
        : ` Talos ${version} does not have that key yet: set talosVersion to ${leg.from} first.`;
      return found.map((one) => onHop(leg, { ...one, hint: `${one.hint}${first}` }));
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
      // The guard of that hop asks again.
      return [];
    }
  }
  return [];
}

/** By then all control planes run the etcd of the previous hop, or of their own release if that is older. */
function etcdFindings(leg: UpgradeLeg): Finding[] {
  const { from, wanted } = leg;
  if (wanted.role !== "controlplane") return [];
  const behind = wanted.rollout.nodes.flatMap(({ node, talosVersion = from }) =>
    node !== wanted.node && wanted.controlPlanes.includes(node) && isOlder(talosVersion, from)
      ? [{ address: node, talosVersion }]
      : [],
  );
  const members = [{ address: wanted.node, talosVersion: from }, ...behind].flatMap((member) => {
    const version = etcdBefore(member.talosVersion);
    const minor = etcdMinor(version ?? "");
    return version === undefined || minor === undefined ? [] : [{ ...member, version, minor }];
  });
  const [lowest] = members.map(({ minor }) => minor).sort(compareEtcdMinors);
  if (lowest === undefined) return [];
  const storageVersion = `${describeEtcdMinor(lowest)}.0`;
  return etcdVersionFindings({
    self: wanted.node,
    members: members.map(({ address, version }) => ({ address, version, storageVersion })),
    talosVersion: wanted.talosVersion,
    downgrading: false,
    allowDowngrade: false,
    snapshot: wanted.etcdSnapshot !== undefined,
  }).map((finding) => onHop(leg, finding));
}

function isOlder(release: string, than: string): boolean {
  const [one, other] = [talosMinor(release), talosMinor(than)];
  return one !== undefined && other !== undefined && compareVersions(release, than) < 0;
}

function etcdBefore(release: string): string | undefined {
  try {
    return etcdVersionOf(release);
  } catch (error) {
    if (error instanceof VersionError) return undefined;
    throw error;
  }
}

/** If Kubernetes isn't upgraded on the way, the running version must work with every hop. The settings apply to the last step. */
function kubernetesFindings(
  version: string,
  legs: readonly UpgradeLeg[],
  kubernetes: string | undefined,
  { kubernetes: onWay }: NodeWithHops,
): Finding[] {
  const ahead = legs.map((leg) => leg.wanted.talosVersion);
  if (onWay !== undefined && kubernetes !== undefined) {
    const stops = kubernetesStops(kubernetes, [version, ...ahead], onWay.releases);
    return "problem" in stops
      ? [
          permanentFinding(
            "kubernetes-release",
            `on the way ${[version, ...ahead].join(" -> ")}: ${stops.problem}`,
            "Choose a talosVersion and a kubernetesVersion that work together at every step; upgrade.kubernetes.releases adds a release.",
          ),
        ]
      : [];
  }
  const [first, ...others] = kubernetes === undefined ? [] : releasesNotRunning(kubernetes, ahead);
  if (kubernetes === undefined || first === undefined) return [];
  const { oldest, newest } = supportedKubernetesRange(first) ?? { oldest: "", newest: "" };
  const steps = kubernetesSteps(kubernetes, [version, ...ahead]) ?? [];
  return [
    permanentFinding(
      "kubernetes-release",
      `Kubernetes ${kubernetes} does not run on every Talos release of ${[version, ...ahead].join(" -> ")}: Talos ${first} runs Kubernetes ${oldest} to ${newest}` +
        (others.length === 0 ? "" : `; ${others.join(", ")} cannot run it either`),
      steps.length > 1
        ? `Kubernetes is not upgraded on the way unless kubernetesVersion is set. In steps: ${describeSteps(steps)}.`
        : "Kubernetes is not upgraded on the way unless kubernetesVersion is set.",
    ),
  ];
}

/** The version that actually runs; undefined if the API is not asked or does not answer (the guard reports that later). */
export async function readRunningKubernetes(context: UpgradeContext): Promise<string | undefined> {
  try {
    return await (await context.kubernetes())?.version();
  } catch (error) {
    if (error instanceof KubernetesError) return undefined;
    throw error;
  }
}
