import type { Problem } from "../components/csi/problems.ts";
import { givenExtensions, givenImageOfNode, givenImages, imageNameOf } from "./images.ts";
import { givenNodes, type GivenSettings } from "./given.ts";
import { textIfParsable } from "./parsable.ts";
import { poolsWithoutNodes } from "./pools.ts";
import { isGeneratedHere, newestGeneratedMinor } from "../talos/iscsi.ts";
import { checkReleases } from "./releases.ts";
import { findBadRelease, isExtensionAvailable, extensionName } from "../talos/extensions.ts";
import { unknownExtensionMessage } from "../talos/officialExtensions.ts";
import { kubernetesProblem, unknownReleaseReason } from "../talos/releases.ts";
import { contractAtLeast, contractOf, parseContract, parseVersion } from "../talos/version.ts";

/**
 * Checks Talos releases, contract and Kubernetes against each other, and against releases that are known to be bad.
 * @param absent keys that are not set at all; a wrongly typed one is not missing
 */
export function checkVersions(
  settings: GivenSettings,
  problems: Problem[],
  warnings: Problem[],
  { generated, absent }: { generated: boolean; absent: ReadonlySet<string> },
): void {
  const contract = textIfParsable(settings.talosContract, parseContract);
  const running = settings.cluster?.secrets !== undefined;
  const kubernetes = settings.kubernetesVersion;
  const nodes = givenNodes(settings);
  const [image, ...named] = givenImages(settings);
  const ofAll = named.filter(({ name }) =>
    nodes.some((node) => imageNameOf(node) === name && node.talosVersion === undefined),
  );
  const places = [
    {
      path: "talosVersion",
      value: settings.talosVersion,
      images: [...(image ? [image] : []), ...ofAll],
    },
    ...nodes.map((node, index) => ({
      path: `cluster.nodes[${index}].talosVersion`,
      value: node.talosVersion,
      images: [givenImageOfNode(settings, node)].filter((given) => given !== undefined),
    })),
    ...poolsWithoutNodes(settings).map(({ path, pool }) => ({
      path: `${path}.talosVersion`,
      value: pool.talosVersion,
      images: [givenImageOfNode(settings, pool)].filter((given) => given !== undefined),
    })),
  ];
  for (const { path, value, images } of places) {
    const version = textIfParsable(value, parseVersion);
    if (version === undefined) continue;
    const unknown = unknownReleaseReason(version);
    if (unknown !== undefined) {
      problems.push({ path, reason: `is ${version}, ${unknown}` });
      continue;
    }
    for (const given of images) {
      const extensions = givenExtensions(given);
      for (const extension of extensions) {
        if (isExtensionAvailable(extension, version) === false) {
          problems.push({
            path,
            reason: `is ${version}, which has no extension ${extensionName(extension)}; choose a newer release, or remove it from ${given.schematicPath}`,
          });
        }
      }
      const bad = findBadRelease(version, extensions);
      if (bad !== undefined)
        problems.push({
          path,
          reason: `is ${version}: ${bad.reason}; ${bad.instead} does not have this defect (${bad.source})`,
        });
    }
    if (contract !== undefined && contractAtLeast(contract, parseVersion(version).minor + 1)) {
      problems.push({
        path: "talosContract",
        reason: `is ${contract}, newer than ${path} (${version}); a release cannot read a newer machine configuration`,
      });
    }
    if (kubernetes !== undefined && /^v\d+\.\d+\.\d+/.test(kubernetes)) {
      const unsupported = kubernetesProblem(version, kubernetes);
      if (unsupported !== undefined)
        problems.push({ path: "kubernetesVersion", reason: `does not fit ${path}: ${unsupported}` });
    }
  }
  const strange = new Map(
    givenImages(settings).flatMap((given) =>
      givenExtensions(given).flatMap((extension): [string, Problem][] => {
        const reason = unknownExtensionMessage(extension);
        if (reason === undefined) return [];
        const path = `${given.schematicPath}.customization.systemExtensions.officialExtensions`;
        return [[`${path} ${extension}`, { path, reason }]];
      }),
    ),
  );
  warnings.push(...strange.values());
  checkReleases(settings, problems, warnings);
  const judged = problems.some(({ path }) => path === "talosContract");
  if (generated && !judged && contract !== undefined && contractAtLeast(contract, newestGeneratedMinor + 1)) {
    problems.push({
      path: "talosContract",
      reason: `is ${contract}, but machine configurations can only be generated up to v1.${newestGeneratedMinor}; nodes run newer releases with an older contract, so keep the contract the cluster was created with`,
    });
  }
  if (
    generated &&
    !running &&
    !judged &&
    contract !== undefined &&
    isGeneratedHere(contract) &&
    absent.has("kubernetesVersion")
  ) {
    problems.push({
      path: "kubernetesVersion",
      reason: `is missing; with talosContract ${contract}, the Talos provider and its default are not used to generate the machine configuration. Set the Kubernetes release to run`,
    });
  }
  if (running && absent.has("talosContract")) {
    problems.push({
      path: "talosContract",
      reason:
        "is missing; a running cluster (cluster.secrets) needs it: the Talos minor release it was created with, such as v1.12",
    });
  }
  if (running && absent.has("kubernetesVersion")) {
    problems.push({
      path: "kubernetesVersion",
      reason:
        "is missing; a running cluster (cluster.secrets) needs it: the Kubernetes release it runs now; otherwise applying the configuration would change it",
    });
  }
  const version = textIfParsable(settings.talosVersion, parseVersion);
  if (!running && contract !== undefined && version !== undefined && contract !== contractOf(version)) {
    warnings.push({
      path: "talosContract",
      reason: `is ${contract}, but talosVersion is ${version}; keep it only if the cluster was created with ${contract}`,
    });
  }
}
