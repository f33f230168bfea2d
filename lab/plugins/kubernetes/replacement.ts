import { diffInputs } from "../diff.ts";
import type { DiffKind, DiffResult } from "../plugin.ts";
import { isObject } from "../values.ts";
import type { Properties } from "../values.ts";
import { groupOf, isAutonamed, metadataText, typeMeta } from "./object.ts";

/** Fields of an object that the API or the provider lets nobody change: a change makes a new object. */
const always = ["kind", "metadata.name", "metadata.namespace"];

const selector = ["spec.selector"];
const podSpecMutable = ["spec.activeDeadlineSeconds", "spec.tolerations"];

/** By group and kind; what the published provider 4.34 replaces for, and what the API refuses to change. */
const fixed: Record<string, readonly string[]> = {
  "apps/DaemonSet": selector,
  "apps/Deployment": selector,
  "apps/ReplicaSet": selector,
  "apps/StatefulSet": [
    ...selector,
    "spec.podManagementPolicy",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
  ],
  "batch/Job": [...selector, "spec.completions", "spec.parallelism", "spec.template"],
  "rbac.authorization.k8s.io/ClusterRoleBinding": ["roleRef"],
  "rbac.authorization.k8s.io/RoleBinding": ["roleRef"],
  "scheduling.k8s.io/PriorityClass": ["value", "preemptionPolicy"],
  "storage.k8s.io/CSIDriver": ["spec.attachRequired", "spec.volumeLifecycleModes"],
  "storage.k8s.io/StorageClass": ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"],
  "/ConfigMap": ["binaryData", "data", "immutable"],
  "/PersistentVolume": ["spec.csi", "spec.hostPath", "spec.iscsi", "spec.nfs"],
  "/PersistentVolumeClaim": [
    "spec.accessModes",
    "spec.selector",
    "spec.storageClassName",
    "spec.volumeName",
    "spec.dataSource",
  ],
  "/Pod": ["spec"],
  "/ResourceQuota": ["spec.scopes"],
  "/Secret": ["type", "data", "stringData", "immutable"],
  "/Service": ["spec.clusterIP"],
};

/** Settings of the provider that lift a rule. */
export interface MutableSettings {
  readonly configMapMutable: boolean;
  readonly secretMutable: boolean;
}

/** Compares inputs, field by field, and says which changes need a new object. */
export function diffObject(
  oldInputs: Properties,
  inputs: Properties,
  ignore: readonly string[],
  settings: MutableSettings,
): DiffResult {
  const type = typeMeta(inputs);
  const key = type === undefined ? "" : `${groupOf(type.apiVersion)}/${type.kind}`;
  const paths = [
    ...always,
    // Another version of the same group is the same object.
    ...(sameGroup(oldInputs, inputs) ? [] : ["apiVersion"]),
    ...fixedFields(key, oldInputs, inputs, settings),
  ];
  const { detailed = {} } = diffInputs(oldInputs, inputs);
  const kept = Object.entries(detailed)
    .filter(([path]) => !ignore.some((ignored) => covers(ignored, path)))
    .map(([path, kind]): [string, DiffKind] => {
      const mutable = key === "/Pod" && podMayChange(path);
      return [path, !mutable && paths.some((fixedPath) => covers(fixedPath, path)) ? replaced(kind) : kind];
    });
  const replaces = kept.some(([, kind]) => kind.endsWith("-replace"));
  return {
    changes: kept.length > 0,
    detailed: Object.fromEntries(kept),
    // Two objects cannot have one name, so a name that stays must be free first.
    deleteBeforeReplace: replaces && sameObject(oldInputs, inputs) && !isAutonamed(inputs),
  };
}

function fixedFields(
  key: string,
  oldInputs: Properties,
  inputs: Properties,
  settings: MutableSettings,
): readonly string[] {
  const immutable = oldInputs["immutable"] === true || inputs["immutable"] === true;
  if (key === "/ConfigMap" && settings.configMapMutable && !immutable) return [];
  if (key === "/Secret" && settings.secretMutable && !immutable) return ["type"];
  return fixed[key] ?? [];
}

function replaced(kind: DiffKind): DiffKind {
  return kind.endsWith("-replace") ? kind : (`${kind}-replace` as DiffKind);
}

/** Is `path` that field, or inside it? */
function covers(field: string, path: string): boolean {
  return path === field || (path.startsWith(field) && [".", "["].includes(path.charAt(field.length)));
}

function podMayChange(path: string): boolean {
  return (
    podSpecMutable.some((field) => covers(field, path)) ||
    /^spec\.(init)?[cC]ontainers\[\d+\]\.image$/.test(path)
  );
}

function sameGroup(one: Properties, other: Properties): boolean {
  const [a, b] = [typeMeta(one), typeMeta(other)];
  return a !== undefined && b !== undefined && groupOf(a.apiVersion) === groupOf(b.apiVersion);
}

function sameObject(one: Properties, other: Properties): boolean {
  if (!isObject(one["metadata"]) || !isObject(other["metadata"])) return true;
  return (
    metadataText(one, "name") === metadataText(other, "name") &&
    metadataText(one, "namespace") === metadataText(other, "namespace")
  );
}
