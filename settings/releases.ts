import type { Problem } from "../components/csi/problems.ts";
import { findBadRelease } from "../talos/extensions.ts";
import { kubernetesMinor } from "../talos/kubernetesPath.ts";
import { contractOf, parseVersion } from "../talos/version.ts";
import { givenExtensions, givenImages } from "./images.ts";
import { valueAt, listAt } from "./raw.ts";
import { textIfParsable } from "./parsable.ts";

/** `upgrade.releases`: one of each minor release, none that is known to be bad, and none that no node goes through. */
export function checkReleases(raw: unknown, problems: Problem[], warnings: Problem[]): void {
  const releases = listAt(raw, "upgrade", "releases").map((value) => textIfParsable(value, parseVersion));
  const given = [
    valueAt(raw, "talosVersion"),
    ...listAt(raw, "cluster", "nodes").map((node) => valueAt(node, "talosVersion")),
  ];
  const minors = given.flatMap((value) => {
    const version = textIfParsable(value, parseVersion);
    return version === undefined ? [] : [parseVersion(version).minor];
  });
  const newest = Math.max(...minors);
  releases.forEach((release, index) => {
    if (release === undefined) return;
    const path = `upgrade.releases[${index}]`;
    const same = releases.findIndex(
      (other) => other !== undefined && contractOf(other) === contractOf(release),
    );
    if (same < index)
      problems.push({
        path,
        reason: `is ${release}, of the same minor release as upgrade.releases[${same}]; set one of each`,
      });
    const bad = givenImages(raw)
      .map((image) => findBadRelease(release, givenExtensions(image)))
      .find(Boolean);
    if (bad !== undefined)
      problems.push({ path, reason: `is ${release}: ${bad.reason}; use ${bad.instead} (${bad.source})` });
    if (minors.length > 0 && parseVersion(release).minor >= newest)
      warnings.push({
        path,
        reason: `has no effect: ${release} is not on the way to v1.${newest}; the last step is talosVersion`,
      });
  });
  if (releases.length > 0 && valueAt(raw, "upgrade", "through") !== "automatic")
    warnings.push({ path: "upgrade.releases", reason: "has no effect without upgrade.through: automatic" });
  problems.push(...doubleKubernetes(listAt(raw, "upgrade", "kubernetes", "releases")));
}

function doubleKubernetes(releases: readonly unknown[]): Problem[] {
  const minors = releases.map((release) =>
    typeof release === "string" ? kubernetesMinor(release) : undefined,
  );
  return minors.flatMap((minor, index): Problem[] => {
    const same = minors.indexOf(minor);
    if (minor === undefined || same === index) return [];
    const first = `upgrade.kubernetes.releases[${same}]`;
    return [
      {
        path: `upgrade.kubernetes.releases[${index}]`,
        reason: `is ${String(releases[index])}, of the same minor release as ${first}; set one of each`,
      },
    ];
  });
}
