import { randomBytes } from "node:crypto";
import { isArray, isObject, Secret, Unknown } from "../values.ts";
import type { PlainValue, Properties, PropertyValue } from "../values.ts";

/** A Kubernetes object as plain JSON. */
export interface KubernetesObject {
  [key: string]: PlainValue | undefined;
  apiVersion: string;
  kind: string;
  metadata: Metadata;
}

/** The metadata that this plugin reads. */
export type Metadata = { [key: string]: PlainValue } & { name: string; namespace?: string };

/** Kinds that have no namespace. Others of these groups have one; kinds of other groups are looked up in the cluster. */
const clusterScoped: Record<string, readonly string[]> = {
  "": ["Namespace", "Node", "PersistentVolume", "ComponentStatus"],
  apps: [],
  batch: [],
  autoscaling: [],
  policy: [],
  "events.k8s.io": [],
  "coordination.k8s.io": [],
  "discovery.k8s.io": [],
  "networking.k8s.io": ["IngressClass", "IPAddress", "ServiceCIDR"],
  "node.k8s.io": ["RuntimeClass"],
  "rbac.authorization.k8s.io": ["ClusterRole", "ClusterRoleBinding"],
  "scheduling.k8s.io": ["PriorityClass"],
  "storage.k8s.io": ["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
  "apiextensions.k8s.io": ["CustomResourceDefinition"],
  "apiregistration.k8s.io": ["APIService"],
  "certificates.k8s.io": ["CertificateSigningRequest", "ClusterTrustBundle"],
  "admissionregistration.k8s.io": [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
  ],
  "flowcontrol.apiserver.k8s.io": ["FlowSchema", "PriorityLevelConfiguration"],
  "snapshot.storage.k8s.io": ["VolumeSnapshotClass", "VolumeSnapshotContent"],
};

/** Has this kind a namespace? `undefined`: only the cluster knows. */
export function isNamespaced(apiVersion: string, kind: string): boolean | undefined {
  const kinds = clusterScoped[groupOf(apiVersion)];
  return kinds === undefined ? undefined : !kinds.includes(kind);
}

export function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
}

/** `apiVersion` and `kind` as inputs carry them. */
export function typeMeta(inputs: Properties): { apiVersion: string; kind: string } | undefined {
  const { apiVersion, kind } = inputs;
  return typeof apiVersion === "string" && typeof kind === "string" ? { apiVersion, kind } : undefined;
}

/** The metadata of inputs; none yet where it is unknown as a whole. */
function metadataOf(inputs: Properties): Properties {
  const { metadata } = inputs;
  return isObject(metadata) ? metadata : {};
}

/** A text in the metadata; `undefined` where it is absent or not known yet. */
export function metadataText(inputs: Properties, key: "name" | "namespace"): string | undefined {
  const value = metadataOf(inputs)[key];
  const plain = value instanceof Secret ? value.value : value;
  return typeof plain === "string" && plain !== "" ? plain : undefined;
}

export function annotationOf(inputs: Properties, name: string): string | undefined {
  const annotations = metadataOf(inputs)["annotations"];
  const value = isObject(annotations) ? annotations[name] : undefined;
  return typeof value === "string" ? value : undefined;
}

/** Marks objects whose name was made by the provider: they are replaced by a new one before the old one goes. */
const autonamedAnnotation = "pulumi.com/autonamed";

export function isAutonamed(inputs: Properties): boolean {
  return annotationOf(inputs, autonamedAnnotation) === "true";
}

/** Gives an object without a name that of its predecessor, or a new one. */
export function withName(inputs: Properties, oldInputs: Properties, resourceName: string): Properties {
  const { metadata } = inputs;
  // Unknown as a whole, or a name that is not known yet: it will come.
  if (metadata instanceof Unknown || metadata instanceof Secret) return inputs;
  const given = metadataOf(inputs);
  if ((given["name"] ?? "") !== "" || (given["generateName"] ?? "") !== "") return inputs;
  const before = isAutonamed(oldInputs) ? metadataText(oldInputs, "name") : undefined;
  const name = before ?? `${resourceName.toLowerCase()}-${randomBytes(4).toString("hex")}`;
  const annotations = isObject(given["annotations"]) ? given["annotations"] : {};
  return {
    ...inputs,
    metadata: { ...given, name, annotations: { ...annotations, [autonamedAnnotation]: "true" } },
  };
}

/** Gives an object without a namespace the default one. */
export function withNamespace(inputs: Properties, namespace: string): Properties {
  const { metadata } = inputs;
  if (metadata instanceof Unknown || metadata instanceof Secret) return inputs;
  const given = metadataOf(inputs);
  if ((given["namespace"] ?? "") !== "") return inputs;
  return { ...inputs, metadata: { ...given, namespace } };
}

/** The provider's id: `namespace/name`, or the name alone. */
export function idOf(object: { metadata: Metadata }): string {
  const { name, namespace } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

export function parseId(id: string): { name: string; namespace?: string } {
  const slash = id.indexOf("/");
  return slash < 0 ? { name: id } : { namespace: id.slice(0, slash), name: id.slice(slash + 1) };
}

/** How errors and progress call an object. */
export function displayName(inputs: Properties, fallback: string): string {
  const type = typeMeta(inputs);
  const name = metadataText(inputs, "name") ?? fallback;
  const namespace = metadataText(inputs, "namespace");
  return `${type?.kind ?? "object"} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

/** kubectl's way of naming a kind exactly: `DaemonSet.v1.apps`, `Namespace.v1.` for the core group. */
export function kindArgument({ apiVersion, kind }: { apiVersion: string; kind: string }): string {
  const group = groupOf(apiVersion);
  const version = group === "" ? apiVersion : (apiVersion.split("/")[1] ?? "");
  return `${kind}.${version}.${group}`;
}

/** Values of every secret in some properties, for taking them out of messages. */
export function secretTexts(value: PropertyValue | undefined, inSecret = false): string[] {
  if (value instanceof Secret) return secretTexts(value.value, true);
  if (isArray(value)) return value.flatMap((element) => secretTexts(element, inSecret));
  if (isObject(value)) return Object.values(value).flatMap((element) => secretTexts(element, inSecret));
  return inSecret && typeof value === "string" ? [value] : [];
}
