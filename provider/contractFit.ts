import { coded } from "../talos/errorCodes.ts";
import { contractAtLeast, parseVersion, VersionError } from "../talos/version.ts";
import type { CheckFailure } from "./check.ts";
import { nodeLabel } from "./inputs.ts";
import { nodesByName } from "../talos/nodesByName.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/**
 * Rejects nodes that would get a release older than the contract of the cluster's configurations: it can't read its configuration, and the machine would not
 * come back. Settings without a contract can't be checked: theirs is that of the cluster's first `up`. A node that already runs the release has proved that it
 * can read it.
 */
export function checkReleaseReadsContract(before: Properties, inputs: Properties): CheckFailure[] {
  const { contract, nodes } = inputs;
  // A new cluster starts with a contract that all of its nodes can read.
  if (before["nodes"] === undefined || hasUnknown(before["nodes"])) return [];
  if (typeof contract !== "string" || hasUnknown(contract) || hasUnknown(nodes)) return [];
  const last = new Map(nodesByName(before["nodes"]).map(([name, node]) => [name, node["talosVersion"]]));
  const old = nodesByName(nodes).flatMap(([name, { node, talosVersion }]) =>
    typeof talosVersion === "string" &&
    last.get(name) !== talosVersion &&
    isOlderThanContract(talosVersion, contract)
      ? [`${nodeLabel({ name, node: String(node) })} ${talosVersion}`]
      : [],
  );
  if (old.length === 0) return [];
  return [
    {
      property: "",
      reason: coded(
        "contract-too-new",
        `the cluster's machine configurations have the contract ${contract}, which an older Talos release cannot read: ${old.join(", ")} would not come back`,
        `Set their talosVersion to ${contract}.x or newer; the contract stays the one that the cluster was created with.`,
      ),
    },
  ];
}

function isOlderThanContract(release: string, contract: string): boolean {
  try {
    return contractAtLeast(contract, parseVersion(release).minor + 1);
  } catch (error) {
    if (error instanceof VersionError) return false;
    throw error;
  }
}
