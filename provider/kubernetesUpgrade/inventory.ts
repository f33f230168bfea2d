import { hasManifestInventory } from "../../talos/features.ts";
import type { Finding } from "../guards/finding.ts";
import type { KubernetesClient, Manifest } from "../kubernetes.ts";
import type { ClusterLook } from "./look.ts";

/** Marks the inventory an object belongs to (siderolabs/go-kubernetes ssa/inventory.go, the annotation of cli-utils). */
const ownerAnnotation = "config.k8s.io/owning-inventory";

/** Where Talos and talosctl list the manifests they have applied (siderolabs/talos pkg/machinery/constants). */
const inventoryConfigMap = { namespace: "kube-system", name: "talos-bootstrap-manifests-inventory" };

/** Kinds whose names may contain colons, which ConfigMap keys may not. */
const rbacKinds = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];

/**
 * Whether every control plane keeps an inventory of the bootstrap manifests.
 * @param planned judge nodes by their desired Talos release, since they are upgraded first
 */
export function keepsInventory({ nodes }: ClusterLook, planned: boolean): boolean {
  return nodes
    .filter(({ node }) => node.role === "controlplane")
    .every(({ node, talosVersion }) => {
      try {
        return hasManifestInventory(planned ? (node.talosVersion ?? talosVersion) : talosVersion);
      } catch {
        // A custom Talos build whose tag is no release.
        return false;
      }
    });
}

/** The manifest as a member of Talos's inventory. Without the annotation, a server-side apply would remove it. */
export function withInventoryOwner(manifest: Manifest): Manifest {
  const { metadata } = manifest;
  const annotations = { ...(metadata["annotations"] as object), [ownerAnnotation]: inventoryConfigMap.name };
  return { ...manifest, metadata: { ...metadata, annotations } };
}

export function isInventoried(object: Manifest | undefined): boolean {
  return ownerOf(object) === inventoryConfigMap.name;
}

function ownerOf(object: Manifest | undefined): string | undefined {
  const annotations = object?.metadata["annotations"] as Record<string, string> | undefined;
  return annotations?.[ownerAnnotation];
}

/** Objects in another inventory are not adopted, as in talosctl by default (`AdoptIfNoInventory`). */
export function foreignFinding(label: string, object: Manifest | undefined): Finding | undefined {
  const owner = ownerOf(object);
  if (owner === undefined || owner === inventoryConfigMap.name) return undefined;
  return {
    code: "kubernetes-manifest-owner",
    problem: `${label} is a bootstrap manifest of Talos, but belongs to the inventory ${owner}`,
    hint: `Remove it from one of the two: the manifests of the machine configuration, or ${owner} (its annotation ${ownerAnnotation}).`,
    mayPass: false,
  };
}

export interface InventoryLook {
  /** The inventory with all of them, to be applied; undefined if it is complete. */
  readonly due: Manifest | undefined;
  /** How many of them it lacks. */
  readonly missing: number;
  /** Labels of entries that Talos no longer generates. */
  readonly leftovers: readonly string[];
}

/** @param objects the manifests as the server has them, or would have them, with a namespace only for namespaced kinds */
export async function readInventory(
  kubernetes: KubernetesClient,
  objects: readonly Manifest[],
): Promise<InventoryLook> {
  const empty: Manifest = { apiVersion: "v1", kind: "ConfigMap", metadata: { ...inventoryConfigMap } };
  const live = await kubernetes.liveManifest(empty);
  const listed = Object.keys((live?.["data"] as object | undefined) ?? {});
  const wanted = objects.map(inventoryKey);
  const missing = wanted.filter((key) => !listed.includes(key));
  const isThere = live !== undefined && missing.length === 0;
  const data = Object.fromEntries([...listed, ...missing].map((key) => [key, ""]));
  return {
    due: isThere ? undefined : { ...empty, data },
    missing: missing.length,
    // Talos 1.13.0 listed some cluster-scoped kinds with a namespace.
    leftovers: listed
      .filter((key) => !wanted.some((one) => one === key || (one.startsWith("_") && key.endsWith(one))))
      .map(describeKey),
  };
}

/** `kube-system_kube-proxy_apps_DaemonSet` (fluxcd/cli-utils pkg/object/objmetadata.go). */
function inventoryKey({ apiVersion, kind, metadata: { namespace = "", name } }: Manifest): string {
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  const isRights = group === "rbac.authorization.k8s.io" && rbacKinds.includes(kind);
  return [namespace, isRights ? name.replaceAll(":", "__") : name, group, kind].join("_");
}

function describeKey(key: string): string {
  const [, namespace = "", name = "", kind = ""] = /^([^_]*)_(.*)_[^_]*_([^_]*)$/.exec(key) ?? [];
  return `${kind} ${namespace === "" ? "" : `${namespace}/`}${name.replaceAll("__", ":")}`;
}
