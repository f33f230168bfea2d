import { approvalProperty } from "./approval.ts";
import { changedInputs, type DetailedDiffResult } from "./detailedDiff.ts";
import type { Properties } from "./secrets.ts";
import { alwaysSecret, withoutCredentials } from "./state.ts";

/**
 * What an upgrade of the node is about. Credentials are how it is reached. A worker whose cluster has other control planes now is the same worker: whoever is
 * there is looked at when it is upgraded. The cluster's Kubernetes is only looked at, too: another one is the KubernetesUpgrade's affair. Neither is another
 * approval a change of the node.
 */
export function ofNode({
  kubernetesVersion: _kubernetes,
  [approvalProperty]: _approval,
  ...inputs
}: Properties): Properties {
  const { controlPlanes, ...rest } = withoutCredentials(inputs);
  return inputs["role"] === "worker" ? rest : { ...rest, controlPlanes };
}

/** Inputs that are no change of a node by themselves: they are not shown beside one either. */
const apart = [...alwaysSecret, approvalProperty, "rollout", "kubernetesVersion"];

/**
 * What a preview shows of a node that changes: one line of what it is to run, and what else is wanted of it. Where the inputs are those of the last time the engine decides:
 * an upgrade that has failed is taken up again.
 */
export function upgradeDetails(before: Properties, after: Properties): DetailedDiffResult {
  const ofWorker = after["role"] === "worker" ? ["controlPlanes"] : [];
  const changes = changedInputs(before, after, [...apart, ...ofWorker]);
  const changed = Object.keys(changes);
  if (changed.length === 0) return {};
  const { talosVersion, schematicId, image, ...others } = changes;
  // The image names the release and the schematic: it is the line where both change, or neither. After a drift it is as it was, and they are not.
  const isOne = (talosVersion === undefined) !== (schematicId === undefined);
  const told = isOne || image === undefined ? { talosVersion, schematicId } : { image };
  const line = Object.entries(told).flatMap(([key, kind]) =>
    kind === undefined ? [] : [[key, kind] as const],
  );
  return { changes: true, changed, details: { ...Object.fromEntries(line), ...others } };
}
