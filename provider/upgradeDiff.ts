import { approvalProperty } from "./approval.ts";
import { changedInputs, type DetailedDiffResult } from "./detailedDiff.ts";
import type { Properties } from "./secrets.ts";
import { alwaysSecret, withoutCredentials } from "./state.ts";

/**
 * The inputs that make an upgrade of the node due. Credentials only serve to reach it. For a worker, changed control planes are not a change: the gate reads
 * the current ones right before the upgrade. A changed Kubernetes release belongs to KubernetesUpgrade. A new approval doesn't change the node either.
 */
export function upgradeInputs({
  kubernetesVersion: _kubernetes,
  [approvalProperty]: _approval,
  ...inputs
}: Properties): Properties {
  const { controlPlanes, ...rest } = withoutCredentials(inputs);
  return inputs["role"] === "worker" ? rest : { ...rest, controlPlanes };
}

/** Inputs that alone don't change the node; they are not shown next to other changes either. */
const notShownBesideOthers = [...alwaysSecret, approvalProperty, "rollout", "kubernetesVersion"];

/**
 * What a preview shows of a changed node: one line for what it will run, and its other changed inputs. If no input changed, the engine decides: it retries an
 * upgrade that failed.
 */
export function upgradeDetails(before: Properties, after: Properties): DetailedDiffResult {
  const ofWorker = after["role"] === "worker" ? ["controlPlanes"] : [];
  const changes = changedInputs(before, after, [...notShownBesideOthers, ...ofWorker]);
  const changed = Object.keys(changes);
  if (changed.length === 0) return {};
  const { talosVersion, schematicId, image, ...others } = changes;
  // The image contains the release and the schematic, so it gets its own line if both changed or neither did. After drift the image is unchanged and they are
  // not.
  const isOne = (talosVersion === undefined) !== (schematicId === undefined);
  const summarized = isOne || image === undefined ? { talosVersion, schematicId } : { image };
  const line = Object.entries(summarized).flatMap(([key, kind]) =>
    kind === undefined ? [] : [[key, kind] as const],
  );
  return { changes: true, changed, details: { ...Object.fromEntries(line), ...others } };
}
