import type { Problem } from "../components/csi/problems.ts";
import { readable } from "./schema.ts";
import { at, listAt } from "./raw.ts";
import { newestGenerated } from "../talos/iscsi.ts";
import { badRelease, extensionAvailable, extensionName } from "../talos/extensions.ts";
import { kubernetesProblem } from "../talos/releases.ts";
import { contractAtLeast, contractOf, parseContract, parseVersion } from "../talos/version.ts";

/** The extension this program is about. */
export const iscsiTools = "siderolabs/iscsi-tools";

/** The value if it is a release or contract that can be reasoned about; its form is the schema's matter. */
export function wellFormed(value: unknown, parse: (text: string) => unknown): string | undefined {
  return typeof value === "string" && readable(parse)(value) ? value : undefined;
}

/** Releases, contract and Kubernetes: what does not fit together, and what is known to be bad. */
export function checkVersions(
  raw: unknown,
  problems: Problem[],
  warnings: Problem[],
  { generated }: { generated: boolean },
): void {
  const extensions = listAt(
    raw,
    "image",
    "schematic",
    "customization",
    "systemExtensions",
    "officialExtensions",
  ).filter((name) => typeof name === "string");
  const wanted = extensions.length > 0 ? extensions : [iscsiTools];
  const contract = wellFormed(at(raw, "talosContract"), parseContract);
  const running = at(raw, "cluster", "secrets") !== undefined;
  const kubernetes = at(raw, "kubernetesVersion");
  const places = [
    { path: "talosVersion", value: at(raw, "talosVersion") },
    ...listAt(raw, "cluster", "nodes").map((node, index) => ({
      path: `cluster.nodes[${index}].talosVersion`,
      value: at(node, "talosVersion"),
    })),
  ];
  for (const { path, value } of places) {
    const version = wellFormed(value, parseVersion);
    if (version === undefined) continue;
    for (const extension of wanted) {
      if (extensionAvailable(extension, version) === false) {
        problems.push({
          path,
          reason: `is ${version}, which has no extension ${extensionName(extension)}; choose a newer release, or take it out of image.schematic`,
        });
      }
    }
    const bad = badRelease(version, wanted);
    if (bad !== undefined)
      problems.push({ path, reason: `is ${version}: ${bad.reason}; use ${bad.instead} (${bad.source})` });
    if (contract !== undefined && contractAtLeast(contract, parseVersion(version).minor + 1)) {
      problems.push({
        path: "talosContract",
        reason: `is ${contract}, newer than ${path} (${version}); a release cannot read a newer machine configuration`,
      });
    }
    if (typeof kubernetes === "string" && /^v\d+\.\d+\.\d+/.test(kubernetes)) {
      const unsupported = kubernetesProblem(version, kubernetes);
      if (unsupported !== undefined)
        problems.push({ path: "kubernetesVersion", reason: `does not fit ${path}: ${unsupported}` });
    }
  }
  const judged = problems.some(({ path }) => path === "talosContract");
  if (generated && !judged && contract !== undefined && contractAtLeast(contract, newestGenerated + 1)) {
    problems.push({
      path: "talosContract",
      reason: `is ${contract}, but the Talos provider can generate machine configurations up to v1.${newestGenerated} only; nodes run newer releases with an older contract, so leave it at the one the cluster was made with`,
    });
  }
  if (running && at(raw, "talosContract") === undefined) {
    problems.push({
      path: "talosContract",
      reason:
        "is missing; a running cluster (cluster.secrets) needs it: the Talos minor release it was made with, such as v1.12",
    });
  }
  if (running && kubernetes === undefined) {
    problems.push({
      path: "kubernetesVersion",
      reason:
        "is missing; a running cluster (cluster.secrets) needs it: the Kubernetes release it runs, or applying its configuration would change that",
    });
  }
  const version = wellFormed(at(raw, "talosVersion"), parseVersion);
  if (!running && contract !== undefined && version !== undefined && contract !== contractOf(version)) {
    warnings.push({
      path: "talosContract",
      reason: `is ${contract} while talosVersion is ${version}; right for a cluster that was made with ${contract}, else leave it out`,
    });
  }
}
