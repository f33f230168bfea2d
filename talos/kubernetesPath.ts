/** The Kubernetes minor releases between the running and the desired one, and which of them a sequence of Talos releases needs. */
import { supportedKubernetesRange } from "./releases.ts";
import { VersionError } from "./version.ts";

/**
 * The newest known patch of each minor release (kubernetes/kubernetes tags, and kubernetes/website data/releases/eol.yaml for 1.24 to 1.28; minors up to 1.34
 * are end of life). `upgrade.kubernetes.releases` overrides them.
 */
const newestPatch: Readonly<Record<number, string>> = {
  24: "v1.24.17",
  25: "v1.25.16",
  26: "v1.26.15",
  27: "v1.27.16",
  28: "v1.28.15",
  29: "v1.29.15",
  30: "v1.30.14",
  31: "v1.31.14",
  32: "v1.32.13",
  33: "v1.33.13",
  34: "v1.34.13",
  35: "v1.35.10",
  36: "v1.36.6",
  37: "v1.37.2",
};

/** `v1.35.4` gives 35; undefined for anything but a release of Kubernetes 1. */
export function kubernetesMinor(release: string): number | undefined {
  const match = /^v?1\.(\d+)(?:\.|$)/.exec(release);
  return match === null ? undefined : Number(match[1]);
}

/** One release of each minor before the desired one, oldest first: the given one, or the newest known. */
export function kubernetesReleasesBefore(wanted: string, given: readonly string[] = []): string[] {
  const known = new Map(Object.entries(newestPatch).map(([minor, release]) => [Number(minor), release]));
  for (const release of given) known.set(kubernetesMinor(release) ?? 0, release);
  const end = kubernetesMinor(wanted) ?? 0;
  return [...known]
    .filter(([minor]) => minor < end)
    .sort(([a], [b]) => a - b)
    .map(([, release]) => release);
}

/** The releases to go through from one to another, one per minor, the last one included. Undefined if one of them is unknown. */
export function kubernetesReleasesBetween(
  from: string,
  to: string,
  known: readonly string[],
): string[] | undefined {
  const [first, last] = [kubernetesMinor(from), kubernetesMinor(to)];
  if (first === undefined || last === undefined) return undefined;
  const between = Array.from({ length: Math.max(0, last - first - 1) }, (_, index) =>
    known.find((release) => kubernetesMinor(release) === first + index + 1),
  );
  return between.every((release) => release !== undefined) ? [...between, to] : undefined;
}

/** A Kubernetes upgrade by one minor release, and the Talos release that it must precede. */
export interface KubernetesStop {
  readonly kubernetes: string;
  readonly before: string;
}

/**
 * Where Kubernetes must be upgraded along a sequence of Talos releases: right before the first release that doesn't support the current one, and only as far as
 * that requires.
 * @param talos the running release, the hops, and the desired release, oldest first
 * @param known one release of each minor, including the desired one
 * @returns the stops in order, or why there is no such path
 */
export function kubernetesStops(
  kubernetes: string,
  talos: readonly [string, ...string[]],
  known: readonly string[],
): KubernetesStop[] | { problem: string } {
  const stops: KubernetesStop[] = [];
  let runs = kubernetes;
  for (const [index, release] of talos.slice(1).entries()) {
    const here = talos[index] ?? talos[0];
    for (let minor = neededMinor(release, runs); minor !== undefined; minor = neededMinor(release, runs)) {
      const next = known.find((one) => kubernetesMinor(one) === minor);
      if (next === undefined)
        return {
          problem: `no release of Kubernetes v1.${minor} is known, which is needed before Talos ${release}`,
        };
      if (!runsKubernetes(here, next))
        return {
          problem: `Talos ${release} needs Kubernetes v1.${minor}, which the Talos release before it, ${here}, does not support`,
        };
      stops.push({ kubernetes: next, before: release });
      runs = next;
    }
    if (!runsKubernetes(release, runs))
      return { problem: `Talos ${release} does not support Kubernetes ${runs}` };
  }
  return stops;
}

/** The next minor release of Kubernetes that Talos needs; undefined if the running one is new enough. */
function neededMinor(talos: string, runs: string): number | undefined {
  const [oldest, minor] = [oldestKubernetesFor(talos), kubernetesMinor(runs)];
  return oldest === undefined || minor === undefined || minor >= oldest ? undefined : minor + 1;
}

/** The oldest Kubernetes minor that a Talos release supports; undefined if unknown. */
export function oldestKubernetesFor(talos: string): number | undefined {
  return rangeOf(talos)?.[0];
}

function runsKubernetes(talos: string, kubernetes: string): boolean {
  const [range, minor] = [rangeOf(talos), kubernetesMinor(kubernetes)];
  return range === undefined || minor === undefined || (range[0] <= minor && minor <= range[1]);
}

function rangeOf(talos: string): [oldest: number, newest: number] | undefined {
  try {
    const { oldest, newest } = supportedKubernetesRange(talos) ?? {};
    if (oldest === undefined || newest === undefined) return undefined;
    return [kubernetesMinor(oldest) ?? 0, kubernetesMinor(newest) ?? Infinity];
  } catch (error) {
    if (error instanceof VersionError) return undefined;
    throw error;
  }
}
