import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { imageOfRelease, imagesIn, releaseOf } from "../../talos/kubernetesImages.ts";
import { waitFor } from "../context.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError, type KubernetesClient, type Manifest } from "../kubernetes.ts";
import { answered } from "../steps/drain.ts";
import { moveImage } from "./configuration.ts";
import { KubernetesUpgradeError, type Work, type WorkNode } from "./work.ts";

/** kube-proxy's release in the configuration of every control plane: their manifests are made from it. It restarts nothing by itself. */
export async function moveProxy(work: Work): Promise<void> {
  for (const one of work.controlPlanes) {
    if (one.node.pinned.includes("kube-proxy")) continue;
    work.part(`kube-proxy ${work.inputs.kubernetesVersion} in the configuration of ${one.node.name}`);
    one.context.timer.start();
    await one.context.gate.inTurn(() => moveImage(work, one, "kube-proxy", undefined));
  }
}

/**
 * Applies the manifests that a control plane makes of its configuration, where the cluster has them otherwise, and waits for what they roll out. Talos itself applies
 * them once, when the cluster is new.
 */
export async function applyManifests(work: Work): Promise<void> {
  const [one] = work.controlPlanes;
  if (one === undefined) return;
  const { context } = one;
  work.part("bootstrap manifests");
  context.timer.start();
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) return;
  const wanted = await answered(context, async () =>
    withClusterIps(kubernetes, await freshManifests(work, one)),
  );
  const due: Manifest[] = [];
  for (const manifest of wanted) {
    const changes = await answered(context, () => manifestChanges(kubernetes, manifest));
    if (changes.length > 0) due.push(manifest);
  }
  if (due.length === 0) return;
  await work.requireOpen(one);
  await context.gate.applyManifests(due);
  await rolledOut(work, one, kubernetes, due);
}

/** What applying them would change, a line each: for the preview. kube-proxy is shown with the release that it is going to have. */
export async function foreseenManifests(work: Work): Promise<string[]> {
  const [one] = work.controlPlanes;
  const kubernetes = await one?.context.kubernetes();
  if (one === undefined || kubernetes === undefined) return [];
  const call = { deadlineMs: one.context.patience.probeMs * 5, signal: work.signal };
  const all = (await one.context.talos.bootstrapManifests(call)).filter(isManifest);
  const pinned = one.node.pinned.includes("kube-proxy");
  const later = pinned ? all : all.map((manifest) => withProxy(manifest, work.inputs.kubernetesVersion));
  const lines: string[] = [];
  for (const manifest of await withClusterIps(kubernetes, later))
    lines.push(...(await manifestChanges(kubernetes, manifest)));
  return lines;
}

/** Talos makes the manifests anew a moment after its configuration has changed. */
async function freshManifests(work: Work, { node, context }: WorkNode): Promise<Manifest[]> {
  const { talos, patience } = context;
  const call = { deadlineMs: patience.probeMs * 5, signal: work.signal };
  const image = imagesIn((await talos.machineConfiguration(call)) ?? "version: v1alpha1")["kube-proxy"];
  const found = await waitFor(context, context.timer.end, async () => {
    try {
      const manifests = (await talos.bootstrapManifests(call)).filter(isManifest);
      const proxy = manifests.find(isProxy);
      return proxy === undefined || image === undefined || proxyImage(proxy) === image
        ? manifests
        : undefined;
    } catch (error) {
      if (!(error instanceof TalosError) || !isTransient(error)) throw error;
      return undefined;
    }
  });
  if (found !== undefined) return found;
  throw new KubernetesUpgradeError(
    `${nodeLabel(node)}, bootstrap manifests`,
    `Talos has not made them with ${image ?? ""} within ${work.inputs.timeoutSeconds} s`,
    "Run `pulumi up` again: it goes on from here.",
  );
}

/** Addresses of Services cannot change once they are given. */
async function withClusterIps(kubernetes: KubernetesClient, manifests: Manifest[]): Promise<Manifest[]> {
  return Promise.all(
    manifests.map(async (manifest) => {
      if (manifest.kind !== "Service" || manifest.apiVersion !== "v1") return manifest;
      const live = (await read(kubernetes, manifest)) as { spec?: Record<string, unknown> } | undefined;
      if (live === undefined) return manifest;
      const { clusterIP, clusterIPs } = live.spec ?? {};
      return { ...manifest, spec: { ...(manifest["spec"] as object), clusterIP, clusterIPs } };
    }),
  );
}

/** What an apply would change, a line each; nothing where the cluster has it like that. Of a Secret no value is shown. */
async function manifestChanges(kubernetes: KubernetesClient, manifest: Manifest): Promise<string[]> {
  const { kind, metadata } = manifest;
  const label = `${kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name}`;
  const [before, after] = [await read(kubernetes, manifest), await kubernetes.tryManifest(manifest)];
  if (before === undefined) return [`+ ${label}`];
  const [old, next] = [leaves(before), leaves(after)];
  const paths = [...new Set([...old.keys(), ...next.keys()])].filter(
    (path) => old.get(path) !== next.get(path),
  );
  if (paths.length > 0 && kind === "Secret") return [`~ ${label}`];
  return paths.map(
    (path) => `~ ${label}: ${path}: ${old.get(path) ?? "none"} -> ${next.get(path) ?? "none"}`,
  );
}

async function read(
  kubernetes: KubernetesClient,
  { apiVersion, kind, metadata }: Manifest,
): Promise<object | undefined> {
  const { namespace, name } = metadata;
  try {
    const selection = { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) };
    return (await kubernetes.objects(selection))[0];
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 404) return undefined;
    throw error;
  }
}

/** What the server keeps for itself. */
const servers =
  /^(?:status|metadata\.(?:managedFields|resourceVersion|generation|uid|creationTimestamp|selfLink))\b|^(?:apiVersion|kind)$/;

function leaves(object: unknown, path = "", found = new Map<string, string>()): Map<string, string> {
  if (servers.test(path)) return found;
  if (typeof object !== "object" || object === null) {
    if (object !== undefined && object !== null) found.set(path, JSON.stringify(object));
  } else if (object instanceof Date) found.set(path, object.toISOString());
  else if (Array.isArray(object)) object.forEach((item, index) => leaves(item, `${path}[${index}]`, found));
  else
    for (const [key, value] of Object.entries(object))
      leaves(value, path === "" ? key : `${path}.${key}`, found);
  return found;
}

interface Workload {
  metadata?: { generation?: number };
  spec?: { replicas?: number };
  status?: {
    observedGeneration?: number;
    desiredNumberScheduled?: number;
    updatedNumberScheduled?: number;
    numberUnavailable?: number;
    replicas?: number;
    updatedReplicas?: number;
    unavailableReplicas?: number;
  };
}

/** DaemonSets and Deployments among them run everywhere as they are to be. */
async function rolledOut(
  work: Work,
  { context }: WorkNode,
  kubernetes: KubernetesClient,
  applied: readonly Manifest[],
): Promise<void> {
  for (const manifest of applied.filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment")) {
    const label = `${manifest.kind} ${manifest.metadata.namespace ?? ""}/${manifest.metadata.name}`;
    work.part(`rollout of ${label}`);
    context.timer.start();
    let last = "";
    const done = await waitFor(context, context.timer.end, async () => {
      try {
        last = notRolledOut((await read(kubernetes, manifest)) ?? {});
      } catch (error) {
        if (!(error instanceof KubernetesError) || !error.transient) throw error;
        last = error.message;
      }
      context.progress.detail(`waiting: ${last}`);
      return last === "" ? true : undefined;
    });
    if (done === true) continue;
    throw new KubernetesUpgradeError(
      label,
      `its pods do not run as the manifest says within ${work.inputs.timeoutSeconds} s: ${last}`,
      "No kubelet was touched. Look at its pods; then run `pulumi up` again: it goes on from here.",
    );
  }
}

function notRolledOut({ metadata, spec, status = {} }: Workload): string {
  if ((status.observedGeneration ?? 0) < (metadata?.generation ?? 0))
    return "its controller has not seen it yet";
  const wanted = status.desiredNumberScheduled ?? spec?.replicas ?? 0;
  const updated = status.updatedNumberScheduled ?? status.updatedReplicas ?? 0;
  const missing = status.numberUnavailable ?? status.unavailableReplicas ?? 0;
  if (wanted === 0) return "";
  return updated < wanted || missing > 0
    ? `${updated} of ${wanted} are updated, ${missing} are unavailable`
    : "";
}

function isManifest(object: Record<string, unknown>): object is Manifest {
  const name = (object["metadata"] as { name?: unknown } | undefined)?.name;
  return (
    typeof object["apiVersion"] === "string" && typeof object["kind"] === "string" && typeof name === "string"
  );
}

function isProxy({ kind, metadata }: Manifest): boolean {
  return kind === "DaemonSet" && metadata.name === "kube-proxy";
}

interface PodTemplate {
  template?: { spec?: { containers?: { name?: string; image?: string }[] } };
}

function proxyImage({ spec }: Manifest): string | undefined {
  const { containers = [] } = (spec as PodTemplate).template?.spec ?? {};
  return containers.find(({ name }) => name === "kube-proxy")?.image;
}

function withProxy(manifest: Manifest, release: string): Manifest {
  if (!isProxy(manifest) || releaseOf(proxyImage(manifest)) === release) return manifest;
  const later = structuredClone(manifest);
  const { containers = [] } = (later["spec"] as PodTemplate).template?.spec ?? {};
  for (const container of containers)
    if (container.name === "kube-proxy")
      container.image = imageOfRelease("kube-proxy", container.image, release);
  return later;
}
