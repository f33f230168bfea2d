import { codedFailure } from "../codedFailure.ts";
import { coded } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import { imageForRelease, readImages, releaseOfImage } from "../../talos/kubernetesImages.ts";
import { pollUntil } from "../context.ts";
import type { Finding } from "../guards/finding.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError, type KubernetesClient, type Manifest } from "../kubernetes.ts";
import { retryKubernetes } from "../steps/drain.ts";
import { setComponentImage } from "./componentImage.ts";
import { foreignFinding, keepsInventory, readInventory, type InventoryLook } from "./inventory.ts";
import type { ClusterLook } from "./look.ts";
import { planManifestChange, manifestLabel, type ManifestChange } from "./manifestChange.ts";
import { KubernetesUpgradeError, refusedError, type Work, type WorkNode } from "./work.ts";
import { awaitRollouts } from "./workloads.ts";

/** Sets kube-proxy's release in every control plane's configuration, which their manifests are generated from. This restarts nothing. */
export async function setProxyRelease(work: Work): Promise<void> {
  for (const one of work.controlPlanes) {
    if (one.node.pinned.includes("kube-proxy")) continue;
    work.part(
      `kube-proxy ${work.inputs.kubernetesVersion} in the configuration of ${one.node.name}`,
      `${nodeLabel(one.node)}, kube-proxy`,
    );
    one.context.timer.start();
    await one.context.gate.underLock(() => setComponentImage(work, one, "kube-proxy", undefined));
  }
}

/**
 * Applies the manifests that a control plane generates from its configuration if the cluster's differ, and waits for the rollouts. Talos itself applies them
 * only once, when the cluster is new.
 */
export async function applyManifests(work: Work, look: ClusterLook): Promise<void> {
  const [one] = work.controlPlanes;
  if (one === undefined) return;
  const { context } = one;
  work.part("bootstrap manifests", "bootstrap manifests");
  context.timer.start();
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) return;
  const inInventory = keepsInventory(look, false);
  const [first, rest] = prerequisitesFirst(await awaitFreshManifests(work, one));
  const before = await planManifestChanges(work, one, kubernetes, first, { inInventory, isNew: false });
  await applyChanges(work, one, before);
  const isNew = before.some(({ lines }) => lines.length > 0);
  const after = await planManifestChanges(work, one, kubernetes, rest, { inInventory, isNew });
  await applyChanges(work, one, after);
  if (inInventory) {
    const objects = [...before, ...after].map(({ object }) => object);
    const { due, leftovers } = await retryKubernetes(context, () => readInventory(kubernetes, objects));
    if (due !== undefined) await applyManifest(work, one, due);
    warnOfLeftovers(work, leftovers);
  }
  const due = [...before, ...after].flatMap(({ lines, manifest }) => (lines.length > 0 ? [manifest] : []));
  await awaitRollouts(work, one, kubernetes, due);
}

/** The changed lines for the preview. kube-proxy is shown with its target release. */
export async function previewManifests(work: Work, look: ClusterLook): Promise<string[]> {
  const [one] = work.controlPlanes;
  const kubernetes = await one?.context.kubernetes();
  if (one === undefined || kubernetes === undefined) return [];
  const all = await readBootstrapManifests(work, one);
  const pinned = one.node.pinned.includes("kube-proxy");
  const later = pinned
    ? all
    : all.map((manifest) => withProxyRelease(manifest, work.inputs.kubernetesVersion));
  const inInventory = keepsInventory(look, true);
  const changes: ManifestChange[] = [];
  for (const manifest of prerequisitesFirst(later).flat())
    changes.push(await planManifestChange(kubernetes, manifest, inInventory));
  const lines = changes.flatMap((change) => change.lines);
  if (!inInventory) return lines;
  const found = await readInventory(
    kubernetes,
    changes.map(({ object }) => object),
  );
  warnOfLeftovers(work, found.leftovers);
  return [...lines, ...inventoryLines(found)];
}

/** Manifests that belong to another inventory. Unreadable ones are checked when they are applied. */
export async function manifestFindings(work: Work, look: ClusterLook, planned: boolean): Promise<Finding[]> {
  const [one] = work.controlPlanes;
  if (one === undefined || !keepsInventory(look, planned)) return [];
  try {
    const kubernetes = await one.context.kubernetes();
    if (kubernetes === undefined) return [];
    const manifests = await readBootstrapManifests(work, one);
    const found = await Promise.all(
      manifests.map(async (manifest) =>
        [manifest, await kubernetes.liveManifest(manifest)].map((object) =>
          foreignFinding(manifestLabel(manifest), object),
        ),
      ),
    );
    return found.flatMap((findings) => findings.find((finding) => finding !== undefined) ?? []);
  } catch (error) {
    if (error instanceof KubernetesError || (error instanceof TalosError && error.kind !== "cancelled"))
      return [];
    throw error;
  }
}

/** Namespaces and CRDs come first: other objects depend on them. */
function prerequisitesFirst(manifests: readonly Manifest[]): [first: Manifest[], rest: Manifest[]] {
  const isFirst = ({ kind }: Manifest): boolean =>
    kind === "Namespace" || kind === "CustomResourceDefinition";
  return [manifests.filter(isFirst), manifests.filter((manifest) => !isFirst(manifest))];
}

/** @param how.isNew namespaces or kinds were just created: the API server serves them a moment later */
async function planManifestChanges(
  work: Work,
  { context }: WorkNode,
  kubernetes: KubernetesClient,
  manifests: readonly Manifest[],
  how: { inInventory: boolean; isNew: boolean },
): Promise<ManifestChange[]> {
  const changes: ManifestChange[] = [];
  for (const manifest of manifests) {
    const ask = (): Promise<ManifestChange> =>
      retryKubernetes(context, () => planManifestChange(kubernetes, manifest, how.inInventory));
    const change = await withManifestName(manifest, async () => {
      let last = await ask();
      if (how.isNew && last.unplaced !== undefined)
        await pollUntil(context, context.timer.end, async () => {
          last = await ask();
          return last.unplaced === undefined ? true : undefined;
        });
      if (last.unplaced !== undefined) throw last.unplaced;
      return last;
    });
    changes.push(change);
  }
  const foreign = changes.flatMap((change) => change.foreign ?? []);
  if (foreign.length > 0) throw refusedError(work, foreign);
  return changes;
}

async function applyChanges(work: Work, one: WorkNode, changes: readonly ManifestChange[]): Promise<void> {
  const due = changes.filter(({ lines }) => lines.length > 0);
  if (due.length === 0) return;
  await work.requireOpen(one);
  await one.context.gate.underLock(async () => {
    for (const { manifest } of due) await applyManifest(work, one, manifest);
  });
}

async function applyManifest(work: Work, { context }: WorkNode, manifest: Manifest): Promise<void> {
  work.part(`bootstrap manifest ${manifestLabel(manifest)}`, `bootstrap manifest ${manifestLabel(manifest)}`);
  await withManifestName(manifest, () =>
    retryKubernetes(context, () => context.gate.applyManifests([manifest])),
  );
}

/** Adds the manifest's name to Kubernetes errors about it. */
async function withManifestName<T>(manifest: Manifest, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    throw new KubernetesUpgradeError(
      `bootstrap manifest ${manifestLabel(manifest)}`,
      codedFailure(error),
      "No kubelet was touched. Fix this, then run `pulumi up` again: it continues from here.",
      { cause: error },
    );
  }
}

function inventoryLines({ due, missing }: InventoryLook): string[] {
  if (due === undefined) return [];
  return [`~ ${manifestLabel(due)}: ${missing} manifests more`];
}

/** They are not deleted: a node that couldn't fetch one of its `extraManifests` doesn't generate it either. */
function warnOfLeftovers(work: Work, leftovers: readonly string[]): void {
  if (leftovers.length > 0)
    work.warn(
      `the inventory of bootstrap manifests has objects that Talos no longer generates: ${leftovers.join(", ")}. They stay in the cluster. Delete unneeded ones with kubectl.`,
    );
}

async function readBootstrapManifests(work: Work, { context }: WorkNode): Promise<Manifest[]> {
  const call = { deadlineMs: context.timeouts.probeMs * 5, signal: work.signal };
  return (await context.talos.bootstrapManifests(call)).filter(isManifest);
}

/** Talos regenerates the manifests shortly after its configuration has changed. */
async function awaitFreshManifests(work: Work, { node, context }: WorkNode): Promise<Manifest[]> {
  const call = { deadlineMs: context.timeouts.probeMs * 5, signal: work.signal };
  const image = readImages((await context.talos.machineConfiguration(call)) ?? "version: v1alpha1")[
    "kube-proxy"
  ];
  const found = await pollUntil(context, context.timer.end, async () => {
    try {
      const manifests = await readBootstrapManifests(work, { node, context });
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
    coded(
      "kubernetes-not-running",
      `Talos did not render them with ${image ?? ""} within ${work.inputs.timeoutSeconds} s`,
    ),
    "Run `pulumi up` again: it continues from here.",
  );
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

function withProxyRelease(manifest: Manifest, release: string): Manifest {
  if (!isProxy(manifest) || releaseOfImage(proxyImage(manifest)) === release) return manifest;
  const later = structuredClone(manifest);
  const { containers = [] } = (later["spec"] as PodTemplate).template?.spec ?? {};
  for (const container of containers)
    if (container.name === "kube-proxy")
      container.image = imageForRelease("kube-proxy", container.image, release);
  return later;
}
