import {
  readImages,
  isProxyDisabled,
  kubernetesComponents,
  releaseOfImage,
  staticPodComponents,
  type KubernetesComponent,
  type KubernetesImages,
} from "../../talos/kubernetesImages.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions } from "../../talos/api/talosClient.ts";
import { normalizeHost } from "../../talos/endpoint.ts";
import type { UpgradeContext } from "../context.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError, type KubernetesNode } from "../kubernetes.ts";
import { findNode } from "../steps/drain.ts";
import type { KubernetesNodeInputs } from "./inputs.ts";
import { compareReleases } from "./releases.ts";
import { readNodes } from "../readNodes.ts";

/** The Kubernetes components a node runs, as just read. */
export interface NodeLook {
  readonly node: KubernetesNodeInputs;
  /** The running Talos release. */
  readonly talosVersion: string;
  /** Images in its machine configuration. */
  readonly images: KubernetesImages;
  /** The release of each component on this node, if known. */
  readonly runs: Partial<Record<KubernetesComponent, string>>;
  /** Running images that don't reveal their release, such as those pinned by digest only. */
  readonly nameless: KubernetesImages;
  /** kube-proxy is disabled in the cluster. */
  readonly withoutProxy?: boolean;
  /** Its Kubernetes node name, if it has joined. */
  readonly kubernetesNode?: string | undefined;
}

/** All nodes that could be read, and why the others could not. */
export interface ClusterLook {
  readonly nodes: readonly NodeLook[];
  readonly silent: readonly { node: KubernetesNodeInputs; reason: string }[];
  /** Nodes in Kubernetes that are not in the inputs. */
  readonly strangers: readonly KubernetesNode[];
}

/** A node's components. kube-proxy is not a process of the node: its release is that of the manifests a control plane generates. */
export function nodeComponents({
  node,
  withoutProxy,
}: Pick<NodeLook, "node" | "withoutProxy">): readonly KubernetesComponent[] {
  if (node.role === "worker") return ["kubelet"];
  return kubernetesComponents.filter((component) => component !== "kube-proxy" || withoutProxy !== true);
}

/** Reads what every node runs. */
export async function lookAtCluster(
  contexts: readonly { node: KubernetesNodeInputs; context: UpgradeContext }[],
): Promise<ClusterLook> {
  const [first] = contexts;
  const kubelets = await listKubernetesNodes(first?.context);
  const all = await readNodes(contexts, async ({ node, context }) => {
    try {
      return await lookAtNode(node, context, kubelets);
    } catch (error) {
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
      return { node, reason: error.detail };
    }
  });
  const [nodes, silent] = [all.filter((one) => "runs" in one), all.filter((one) => "reason" in one)];
  const known = new Set(nodes.map(({ kubernetesNode }) => kubernetesNode));
  const unread = new Set(silent.flatMap(({ node }) => [node.name, normalizeHost(node.node)]));
  const strangers = kubelets.filter(
    ({ name, addresses }) =>
      !known.has(name) && ![name, ...addresses.map(normalizeHost)].some((one) => unread.has(one)),
  );
  return { nodes, silent, strangers };
}

/** Without an answer, the machine configurations tell the kubelet releases. */
async function listKubernetesNodes(context: UpgradeContext | undefined): Promise<KubernetesNode[]> {
  try {
    return (await (await context?.kubernetes())?.nodes()) ?? [];
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    return [];
  }
}

/** What one node runs. @param kubelets the nodes as Kubernetes reports them; without them, its configuration tells the kubelet's release */
export async function lookAtNode(
  node: KubernetesNodeInputs,
  { talos, timeouts, signal }: UpgradeContext,
  kubelets: readonly KubernetesNode[] = [],
): Promise<NodeLook> {
  const call: CallOptions = { deadlineMs: timeouts.probeMs * 2, signal };
  const [version, config, name, pods] = await Promise.all([
    talos.version(call),
    talos.machineConfiguration(call),
    talos.kubernetesNode(call),
    node.role === "controlplane"
      ? Promise.all(staticPodComponents.map((component) => talos.staticPod(component, call)))
      : [],
  ]);
  const images = config === undefined ? {} : readImages(config);
  const registered = findNode([...kubelets], name, node.node);
  const withoutProxy = config !== undefined && isProxyDisabled(config);
  const runs = new Map<KubernetesComponent, string | undefined>([
    ...staticPodComponents.map((component, index): [KubernetesComponent, string | undefined] => {
      const pod = pods[index];
      return [
        component,
        releaseOfImage(pod?.image) ?? releaseOfImage(pod?.wantedImage) ?? releaseOfImage(images[component]),
      ];
    }),
    ["kube-proxy", releaseOfImage(images["kube-proxy"])],
    [
      "kubelet",
      (registered === undefined ? undefined : kubeletRelease(registered)) ?? releaseOfImage(images.kubelet),
    ],
  ]);
  const known = nodeComponents({ node, withoutProxy }).flatMap(
    (component): [KubernetesComponent, string][] => {
      const release = runs.get(component);
      return release === undefined ? [] : [[component, release]];
    },
  );
  const nameless = staticPodComponents.flatMap((component, index): [KubernetesComponent, string][] => {
    const image = pods[index]?.image ?? pods[index]?.wantedImage ?? images[component];
    return node.role === "worker" || image === undefined || runs.get(component) !== undefined
      ? []
      : [[component, image]];
  });
  return {
    ...{ node, images, kubernetesNode: registered?.name },
    ...(withoutProxy ? { withoutProxy } : {}),
    talosVersion: version.tag,
    runs: Object.fromEntries(known),
    nameless: Object.fromEntries(nameless),
  };
}

/** The release of a node's kubelet as Kubernetes reports it; undefined before its first report. */
export function kubeletRelease({
  kubeletVersion,
}: Pick<KubernetesNode, "kubeletVersion">): string | undefined {
  return kubeletVersion === undefined ? undefined : releaseOfImage(`kubelet:${kubeletVersion}`);
}

/** The running releases, oldest first, without components that their owner pins. */
export function releasesIn({ nodes }: ClusterLook): string[] {
  const all = nodes.flatMap(({ node, runs }) =>
    Object.entries(runs).flatMap(([component, release]) =>
      node.pinned.includes(component as KubernetesComponent) ? [] : [release],
    ),
  );
  return [...new Set(all)].sort(compareReleases);
}

/** A node's components that run another release, or whose image in the configuration names another; without those that their owner pins. */
export function componentsBehind(
  look: Pick<NodeLook, "node" | "images" | "runs" | "withoutProxy">,
  release: string,
): KubernetesComponent[] {
  return nodeComponents(look).filter(
    (component) =>
      !look.node.pinned.includes(component) &&
      [look.runs[component], releaseOfImage(look.images[component])].some(
        (is) => (is ?? release) !== release,
      ),
  );
}

/** Whether every component runs the release and no configuration names another. */
export function isAtRelease({ nodes, silent }: ClusterLook, release: string): boolean {
  return silent.length === 0 && nodes.every((look) => componentsBehind(look, release).length === 0);
}

/** What each node runs, by component, for the state and for messages. */
export function releaseTable({ nodes }: ClusterLook): Record<string, Record<string, string>> {
  return Object.fromEntries(nodes.map(({ node, runs }) => [node.name, { ...runs }]));
}

/** `v1.35.4`, or `v1.35.4, v1.36.1` in the middle of an upgrade; undefined if nothing could be read. */
export function describeReleases(look: ClusterLook): string | undefined {
  const releases = releasesIn(look);
  return releases.length === 0 ? undefined : releases.join(", ");
}

/** Where an interrupted upgrade left the cluster, in sentences: operators must know what was changed. */
export function progressText(look: ClusterLook, target: string): string {
  const done = new Map<string, string[]>();
  const left = new Map<string, string[]>();
  for (const one of look.nodes) {
    for (const component of nodeComponents(one)) {
      if (one.node.pinned.includes(component)) continue;
      const list = one.runs[component] === target ? done : left;
      list.set(component, [...(list.get(component) ?? []), one.node.name]);
    }
  }
  const listed = (parts: Map<string, string[]>): string =>
    [...parts].map(([component, names]) => `${component} on ${firstNames(names)}`).join("; ");
  const unread = look.silent.map(({ node }) => node.name);
  return [
    done.size === 0 ? `No component runs ${target} yet.` : `At ${target} now: ${listed(done)}.`,
    ...(left.size === 0 || done.size === 0 ? [] : [`Not yet: ${listed(left)}.`]),
    ...(unread.length === 0 ? [] : [`Not read: ${firstNames(unread)}.`]),
  ].join(" ");
}

function firstNames(names: readonly string[]): string {
  const most = 5;
  return names.length <= most
    ? names.join(", ")
    : `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}

export function silentText({ silent }: ClusterLook): string {
  return silent.map(({ node, reason }) => `${nodeLabel(node)}: ${reason}`).join("; ");
}
