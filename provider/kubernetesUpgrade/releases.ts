import type { ErrorCode } from "../../talos/errorCodes.ts";
import { compare, parse } from "semver";
import { describeSteps, stepsForBothUpgrades } from "../../talos/kubernetesSteps.ts";
import { kubernetesReleasesBetween, oldestKubernetesFor } from "../../talos/kubernetesPath.ts";
import { kubernetesProblem } from "../../talos/releases.ts";
import type { Finding } from "../guards/finding.ts";
import { nodeLabel } from "../inputs.ts";
import type { DeprecatedApi } from "../kubernetes.ts";
import type { KubernetesUpgradeInputs } from "./inputs.ts";
import { releasesIn, type ClusterLook } from "./look.ts";
import { skewFindings } from "./skew.ts";

/** Orders two releases, `v1.35.4` before `v1.36.0`. */
export function compareReleases(a: string, b: string): number {
  return compare(a, b);
}

function isPrerelease(release: string): boolean {
  return (parse(release)?.prerelease.length ?? 0) > 0;
}

export function minorOf(release: string): number {
  return parse(release)?.minor ?? 0;
}

const permanentFinding = (code: ErrorCode, problem: string, hint: string): Finding => ({
  code,
  problem,
  hint,
  mayPass: false,
});

/**
 * What blocks the step from the running release to the target.
 * @param planned judge nodes by their desired Talos release, since they are upgraded first
 */
export function stepFindings(
  look: ClusterLook,
  {
    kubernetesVersion: target,
    through = [],
  }: Pick<KubernetesUpgradeInputs, "kubernetesVersion"> & { through?: readonly string[] },
  planned: boolean,
): Finding[] {
  const releases = releasesIn(look);
  const [oldest, newest] = [releases[0], releases.at(-1)];
  const findings: Finding[] = [];
  if (oldest !== undefined && newest !== undefined) {
    const runs = oldest === newest ? oldest : `${oldest} to ${newest} (${describeWhoRuns(look, newest)})`;
    if (minorOf(newest) > minorOf(target)) {
      findings.push(
        permanentFinding(
          "kubernetes-downgrade",
          `the cluster runs ${runs}, and Kubernetes cannot go back to the minor release of ${target}: kube-apiserver has written objects that an older one cannot read`,
          `Set kubernetesVersion to a release of v1.${minorOf(newest)}. Going back to an earlier patch release of it is possible.`,
        ),
      );
    } else if (isPrerelease(target) && compareReleases(newest, target) > 0 && !isPrerelease(newest)) {
      findings.push(
        permanentFinding(
          "kubernetes-downgrade",
          `the cluster runs ${runs}, and ${target} is an earlier pre-release: its kube-apiserver may not be able to read the stored objects`,
          `Set kubernetesVersion to a release of v1.${minorOf(newest)} that is not a pre-release.`,
        ),
      );
    } else if (kubernetesReleasesBetween(oldest, target, through) === undefined) {
      findings.push(
        permanentFinding(
          "kubernetes-step",
          `${target} is more than one minor release away from ${oldest}, which ${describeWhoRuns(look, oldest)} runs`,
          through.length > 0
            ? "Add a release of each minor in between to upgrade.kubernetes.releases."
            : `Set upgrade.through: automatic to go through the releases in between. ${stepsHint(look, oldest, target)}`,
        ),
      );
    }
  }
  return [...findings, ...talosFindings(look, target, planned), ...skewFindings(look, target)];
}

/** If Talos changes too, the hint includes its steps. */
function stepsHint({ nodes }: ClusterLook, oldest: string, target: string): string {
  const ways = nodes.map(({ node, talosVersion }) => ({
    from: talosVersion,
    to: node.talosVersion ?? talosVersion,
  }));
  // The longest path among the nodes applies to all.
  const way = ways.find(({ from, to }) => from !== to) ?? ways[0];
  const steps = way === undefined ? undefined : stepsForBothUpgrades(way, { from: oldest, to: target });
  return steps === undefined
    ? `Or set kubernetesVersion to a release of v1.${minorOf(oldest) + 1} first, run \`pulumi up\`, and then go on to ${target}.`
    : `Or in steps: ${describeSteps(steps)}.`;
}

function describeWhoRuns({ nodes }: ClusterLook, release: string): string {
  for (const { node, runs } of nodes) {
    const component = Object.entries(runs).find(([, is]) => is === release)?.[0];
    if (component !== undefined) return `${component} on ${nodeLabel(node)}`;
  }
  return "a node";
}

/**
 * Every node's Talos must support the release. A node whose Talos needs a newer one, such as a node that has just joined with the desired release, has none
 * that it supports until Kubernetes gets there: a step on that path is no obstacle.
 */
function talosFindings({ nodes }: ClusterLook, target: string, planned: boolean): Finding[] {
  const problems = new Map<string, string[]>();
  for (const { node, talosVersion } of nodes) {
    const judged = planned ? (node.talosVersion ?? talosVersion) : talosVersion;
    let problem: string | undefined;
    try {
      const isOnTheWay = !planned && minorOf(target) < (oldestKubernetesFor(judged) ?? 0);
      problem = isOnTheWay ? undefined : kubernetesProblem(judged, target);
    } catch {
      // A custom Talos build whose tag is no release.
    }
    if (problem !== undefined) problems.set(problem, [...(problems.get(problem) ?? []), nodeLabel(node)]);
  }
  return [...problems].map(([problem, nodes]) =>
    permanentFinding(
      "kubernetes-release",
      `${nodes.join(", ")}: ${problem}`,
      "Choose a talosVersion and a kubernetesVersion that work together. Both may change in one `pulumi up`: Talos goes first.",
    ),
  );
}

/** APIs requested since the API server started that the target release no longer serves. */
export function removedApisInUse(apis: readonly DeprecatedApi[], target: string): string[] {
  const gone = apis.filter(({ removedRelease }) => {
    const minor = /^1\.(\d+)$/.exec(removedRelease)?.[1];
    return minor !== undefined && Number(minor) <= minorOf(target);
  });
  return [
    ...new Set(
      gone.map(
        ({ group, version, resource, removedRelease }) =>
          `${resource} of ${group === "" ? version : `${group}/${version}`} (gone in v${removedRelease})`,
      ),
    ),
  ].sort();
}
