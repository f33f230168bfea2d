import { kubernetesMinor } from "./kubernetesPath.ts";
import { supportedKubernetesRange } from "./releases.ts";
import { VersionError } from "./version.ts";

/** A step on an upgrade path that no single Kubernetes release supports throughout. */
export type UpgradePathStep = { talosVersion: string } | { kubernetesMinor: string };

/** Releases of a path that don't support this Kubernetes, oldest first. */
export function releasesNotRunning(kubernetes: string, releases: readonly string[]): string[] {
  const minor = kubernetesMinor(kubernetes);
  return minor === undefined ? [] : releases.filter((release) => !rangeIncludes(rangeOf(release), minor));
}

/**
 * The steps, in order, if Kubernetes must be upgraded on the way: as few stops as possible, and no newer Kubernetes than needed. Undefined if no known sequence
 * works.
 * @param releases the running release, the hops, and the desired release, oldest first
 */
export function kubernetesSteps(
  kubernetes: string,
  releases: readonly [string, ...string[]],
): UpgradePathStep[] | undefined {
  const last = rangeOf(releases.at(-1) ?? releases[0]);
  let minor = kubernetesMinor(kubernetes);
  const steps: UpgradePathStep[] = [];
  let at = 0;
  while (minor !== undefined && last !== undefined) {
    const from = at;
    while (at + 1 < releases.length && rangeIncludes(rangeOf(releases[at + 1]), minor)) at++;
    const here = releases[at] ?? releases[0];
    if (at > from || at === releases.length - 1) steps.push({ talosVersion: here });
    if (at === releases.length - 1) return steps;
    const newest = rangeOf(here)?.newest;
    if (newest === undefined) return undefined;
    const next = Math.max(minor, Math.min(newest, last.oldest));
    if (next === minor) return undefined;
    steps.push({ kubernetesMinor: `v1.${next}` });
    minor = next;
  }
  return undefined;
}

/**
 * The steps, in order, if both Talos and Kubernetes change: Kubernetes first if the new Talos doesn't support the old one, otherwise Talos first, which the new
 * Kubernetes may need. Undefined if unknown, or if nothing is left to do.
 */
export function stepsForBothUpgrades(
  talos: { from: string; to: string },
  kubernetes: { from: string; to?: string | undefined },
): UpgradePathStep[] | undefined {
  const [here, there] = [rangeOf(talos.from), rangeOf(talos.to)];
  const from = kubernetesMinor(kubernetes.from);
  if (here === undefined || there === undefined || from === undefined || from > there.newest)
    return undefined;
  if (from < there.oldest && here.newest < there.oldest) return undefined;
  const goal = Math.max(from, there.oldest, kubernetesMinor(kubernetes.to ?? "") ?? 0);
  if (goal > there.newest) return undefined;
  const steps: UpgradePathStep[] = [];
  let at = from;
  const upTo = (minor: number): void => {
    if (minor > at) steps.push({ kubernetesMinor: `v1.${minor}` });
    at = Math.max(at, minor);
  };
  upTo(there.oldest);
  if (talos.from !== talos.to) steps.push({ talosVersion: talos.to });
  upTo(goal);
  return steps.length === 0 ? undefined : steps;
}

/** `1) set talosVersion to v1.10.9 and run \`pulumi up\`; 2) upgrade Kubernetes to v1.31; 3) …` */
export function describeSteps(steps: readonly UpgradePathStep[]): string {
  return steps
    .map((step, index) =>
      "talosVersion" in step
        ? `${index + 1}) set talosVersion to ${step.talosVersion} and run \`pulumi up\``
        : `${index + 1}) set kubernetesVersion to ${step.kubernetesMinor}, one minor release per \`pulumi up\``,
    )
    .join("; ");
}

interface Range {
  oldest: number;
  newest: number;
}

function rangeOf(release: string | undefined): Range | undefined {
  try {
    const supported = release === undefined ? undefined : supportedKubernetesRange(release);
    if (supported === undefined) return undefined;
    return {
      oldest: kubernetesMinor(`${supported.oldest}.0`) ?? 0,
      newest: kubernetesMinor(`${supported.newest}.0`) ?? 0,
    };
  } catch (error) {
    if (error instanceof VersionError) return undefined;
    throw error;
  }
}

function rangeIncludes(range: Range | undefined, minor: number): boolean {
  return range === undefined || (range.oldest <= minor && minor <= range.newest);
}
