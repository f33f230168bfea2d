import { KubernetesError, type KubernetesClient, type Manifest } from "../kubernetes.ts";
import type { Finding } from "../guards/finding.ts";
import { foreignFinding, withInventoryOwner, isInventoried } from "./inventory.ts";

/** What applying a manifest would change. */
export interface ManifestChange {
  /** As applied. */
  readonly manifest: Manifest;
  /** As the server has it afterwards. */
  readonly object: Manifest;
  /** The changed lines; empty if the cluster already has it. A Secret's values are not shown. */
  readonly lines: readonly string[];
  /** It belongs to another inventory. */
  readonly foreign?: Finding;
  /** Its namespace or kind doesn't exist. */
  readonly unplaced?: KubernetesError;
}

/** Asks the server what an apply would change. @param inventoried whether Talos keeps an inventory of its manifests */
export async function planManifestChange(
  kubernetes: KubernetesClient,
  wanted: Manifest,
  inventoried: boolean,
): Promise<ManifestChange> {
  const label = manifestLabel(wanted);
  const before = await kubernetes.liveManifest(wanted);
  const placed = keepClusterIps(wanted, before);
  // Nodes may have gone back to a Talos before 1.13: an annotation it doesn't know about stays.
  const manifest = inventoried || isInventoried(before) ? withInventoryOwner(placed) : placed;
  const foreign = inventoried ? (foreignFinding(label, wanted) ?? foreignFinding(label, before)) : undefined;
  const rest = foreign === undefined ? {} : { foreign };
  try {
    const object = await kubernetes.tryManifest(manifest);
    return {
      manifest,
      object,
      lines: before === undefined ? [`+ ${label}`] : changedLines(before, object),
      ...rest,
    };
  } catch (error) {
    if (!(error instanceof KubernetesError) || error.status !== 404) throw error;
    return { manifest, object: manifest, lines: [`+ ${label}`], unplaced: error, ...rest };
  }
}

/** `DaemonSet kube-system/kube-proxy` */
export function manifestLabel({ kind, metadata: { namespace, name } }: Manifest): string {
  return `${kind} ${namespace === undefined ? "" : `${namespace}/`}${name}`;
}

/** Addresses of Services are immutable. */
function keepClusterIps(manifest: Manifest, live: Manifest | undefined): Manifest {
  if (manifest.kind !== "Service" || manifest.apiVersion !== "v1" || live === undefined) return manifest;
  const { clusterIP, clusterIPs } = (live["spec"] as Record<string, unknown> | undefined) ?? {};
  return { ...manifest, spec: { ...(manifest["spec"] as object), clusterIP, clusterIPs } };
}

function changedLines(before: Manifest, after: Manifest): string[] {
  const label = manifestLabel(after);
  const [old, next] = [flattenLeaves(before), flattenLeaves(after)];
  const paths = [...new Set([...old.keys(), ...next.keys()])].filter(
    (path) => old.get(path) !== next.get(path),
  );
  if (paths.length > 0 && after.kind === "Secret") return [`~ ${label}`];
  return paths.map(
    (path) => `~ ${label}: ${path}: ${old.get(path) ?? "none"} -> ${next.get(path) ?? "none"}`,
  );
}

/** Fields managed by the server. */
const serverFields =
  /^(?:status|metadata\.(?:managedFields|resourceVersion|generation|uid|creationTimestamp|selfLink))\b|^(?:apiVersion|kind)$/;

function flattenLeaves(object: unknown, path = "", found = new Map<string, string>()): Map<string, string> {
  if (serverFields.test(path)) return found;
  if (typeof object !== "object" || object === null) {
    if (object !== undefined && object !== null) found.set(path, JSON.stringify(object));
  } else if (Array.isArray(object))
    object.forEach((item, index) => flattenLeaves(item, `${path}[${index}]`, found));
  else
    for (const [key, value] of Object.entries(object))
      flattenLeaves(value, path === "" ? key : `${path}.${key}`, found);
  return found;
}
