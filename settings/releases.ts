import type { Problem } from "../components/csi/problems.ts";
import { findBadRelease } from "../talos/extensions.ts";
import { kubernetesMinor } from "../talos/kubernetesPath.ts";
import { contractOf, parseVersion } from "../talos/version.ts";
import { givenExtensions, givenImages } from "./images.ts";
import { givenNodes, type GivenSettings } from "./given.ts";
import { textIfParsable } from "./parsable.ts";

/** `upgrade.releases`: one per minor release, none that is known to be bad, and none that no node goes through. */
export function checkReleases(settings: GivenSettings, problems: Problem[], warnings: Problem[]): void {
  const releases = (settings.upgrade?.releases ?? []).map((value) => textIfParsable(value, parseVersion));
  const given = [settings.talosVersion, ...givenNodes(settings).map((node) => node.talosVersion)];
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
        reason: `is ${release}, of the same minor release as upgrade.releases[${same}]; list one per minor release`,
      });
    const bad = givenImages(settings)
      .map((image) => findBadRelease(release, givenExtensions(image)))
      .find(Boolean);
    if (bad !== undefined)
      problems.push({ path, reason: `is ${release}: ${bad.reason}; use ${bad.instead} (${bad.source})` });
    if (minors.length > 0 && parseVersion(release).minor >= newest)
      warnings.push({
        path,
        reason: `has no effect: ${release} is not older than v1.${newest}, and the last step is always talosVersion`,
      });
  });
  if (releases.length > 0 && settings.upgrade?.through !== "automatic")
    warnings.push({ path: "upgrade.releases", reason: "has no effect without upgrade.through: automatic" });
  problems.push(...doubleKubernetes(settings.upgrade?.kubernetes?.releases ?? []));
}

function doubleKubernetes(releases: readonly (string | undefined)[]): Problem[] {
  const minors = releases.map((release) => (release === undefined ? undefined : kubernetesMinor(release)));
  return minors.flatMap((minor, index): Problem[] => {
    const same = minors.indexOf(minor);
    if (minor === undefined || same === index) return [];
    const first = `upgrade.kubernetes.releases[${same}]`;
    return [
      {
        path: `upgrade.kubernetes.releases[${index}]`,
        reason: `is ${String(releases[index])}, of the same minor release as ${first}; list one per minor release`,
      },
    ];
  });
}
