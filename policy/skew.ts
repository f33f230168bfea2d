import type { PolicyResource, StackValidationPolicy } from "@pulumi/policy";
import { kubernetesReleasesBetween } from "../talos/kubernetesPath.ts";
import { versionSkew } from "../talos/releases.ts";
import { compareVersions, contractOf, parseVersion, VersionError } from "../talos/version.ts";
import { isRecord } from "../talos/values.ts";
import { byCluster } from "./clusters.ts";
import { kubernetesUpgradeType, nodeUpgradeType, preflightType } from "./types.ts";

/**
 * Talos is tested from one minor release to the next. Held against what runs on each node, where that is known (a state, a saved preview), and against
 * the other nodes of the cluster, which is known always.
 */
export const upgradeSkew: StackValidationPolicy = {
  name: "upgrade-skew",
  displayName: "Upgrades go one minor release at a time",
  description:
    "No node skips a minor release of Talos, and no two nodes of a cluster are more than one apart.",
  enforcementLevel: "mandatory",
  severity: "high",
  remediationSteps:
    "Set talosVersion to a release of the next minor, finish that rollout, and continue from there.",
  validateStack: ({ resources }, reportViolation) => {
    const ofRollouts = resources.filter(({ type }) => type === nodeUpgradeType || type === preflightType);
    for (const members of byCluster(ofRollouts)) checkCluster(members, reportViolation);
    for (const { urn, type, props } of resources)
      if (type === kubernetesUpgradeType)
        for (const problem of kubernetesProblems(props)) reportViolation(problem, urn);
  },
};

/** The nodes of one cluster, with its preflight. */
function checkCluster(
  resources: readonly PolicyResource[],
  reportViolation: (message: string, urn?: string) => void,
): void {
  const nodes = resources
    .filter(({ type }) => type === nodeUpgradeType)
    .map(({ urn, name, props }) => ({
      urn,
      name: typeof props["name"] === "string" ? props["name"] : name,
      wanted: releaseIn(props["talosVersion"]),
      running: releaseIn(props["runningVersion"]),
    }));
  const ways = minorsOnPath(resources);
  for (const { urn, name, wanted, running } of nodes) {
    const step = wanted === undefined || running === undefined ? undefined : stepBetween(running, wanted);
    if (step === undefined || (step.allowed && step.adjacent)) continue;
    // upgrade.through: automatic goes through each of them, one rollout each.
    if (step.via.length > 0 && step.via.every((contract) => ways.get(name)?.has(contract))) continue;
    const way = step.via.length === 0 ? "" : ` Go through ${step.via.join(", ")}, one rollout each.`;
    reportViolation(
      `${name} runs ${running} and would run ${wanted}: ${withoutAdvice(step.reason)}.${way}`,
      urn,
    );
  }
  const apart = mostDistantPair(
    nodes.flatMap(({ name, wanted }) => (wanted === undefined ? [] : [{ name, wanted }])),
  );
  if (apart !== undefined)
    reportViolation(
      `${apart[0].name} would run ${apart[0].wanted} and ${apart[1].name} ${apart[1].wanted}, more than one minor release apart in one cluster. Upgrade the older one first.`,
    );
}

/** Kubernetes is upgraded one minor release at a time, and never downgraded. The running release is known from a state or a saved preview. */
function kubernetesProblems({ kubernetesVersion, running, through }: Record<string, unknown>): string[] {
  const wanted = kubernetesRelease(kubernetesVersion);
  if (wanted === undefined || !isRecord(running)) return [];
  const releases = Object.values(running)
    .filter(isRecord)
    .flatMap((components) => Object.values(components))
    .flatMap((version) => kubernetesRelease(version) ?? [])
    .sort(compareVersions);
  const minor = (version: string): number => parseVersion(version).minor;
  const [oldest, newest] = [releases[0], releases.at(-1)];
  if (oldest === undefined || newest === undefined) return [];
  if (minor(wanted) < minor(newest))
    return [
      `Kubernetes would go from ${newest} to ${wanted}: downgrades by a minor release are not possible.`,
    ];
  // upgrade.through: automatic goes through each of them, a complete upgrade each.
  const known = Array.isArray(through) ? through.map(String) : [];
  return kubernetesReleasesBetween(oldest, wanted, known) === undefined
    ? [`Kubernetes would go from ${oldest} to ${wanted}, skipping minor releases. Go through each of them.`]
    : [];
}

/** The minor releases that the preflight takes each node through, by the node's name. */
function minorsOnPath(
  resources: readonly { type: string; props: Record<string, unknown> }[],
): Map<string, Set<string>> {
  const given = resources.filter(({ type }) => type === preflightType).map(({ props }) => props["hops"]);
  return new Map(
    given.filter(isRecord).flatMap(({ ways, nodes }) =>
      Object.entries(isRecord(nodes) ? nodes : {}).map(([name, node]) => {
        const way = isRecord(ways) && isRecord(node) ? ways[String(node["way"])] : undefined;
        const releases = (Array.isArray(way) ? (way as unknown[]) : [])
          .filter(isRecord)
          .map((hop) => releaseIn(hop["talosVersion"]))
          .filter((version) => version !== undefined);
        return [name, new Set<string>(releases.map(contractOf))] as const;
      }),
    ),
  );
}

interface Wanted {
  name: string;
  wanted: string;
}

function mostDistantPair(nodes: readonly Wanted[]): [Wanted, Wanted] | undefined {
  for (const a of nodes) {
    const b = nodes.find((other) => stepBetween(a.wanted, other.wanted)?.adjacent === false);
    if (b !== undefined) return [a, b];
  }
  return undefined;
}

// The reason's own advice is for who runs the upgrade, and may name the override that this policy is there to prevent.
function withoutAdvice(reason: string): string {
  return reason.split(/; Talos tests|\. Go through/)[0] ?? reason;
}

function releaseIn(value: unknown): string | undefined {
  return typeof value === "string" && value.startsWith("v") ? value : undefined;
}

/** Undefined for anything else, such as the two releases of an upgrade that was not finished. */
function kubernetesRelease(value: unknown): string | undefined {
  const isRelease = typeof value === "string" && /^v1\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?$/.test(value);
  return isRelease ? value : undefined;
}

/** Undefined for what is no release: a state may hold the name of a build of one's own. */
function stepBetween(from: string, to: string): ReturnType<typeof versionSkew> | undefined {
  try {
    return versionSkew(from, to);
  } catch (error) {
    if (error instanceof VersionError) return undefined;
    throw error;
  }
}
