/** The images of Kubernetes components in a machine configuration: which ones there are, and how to read and set their releases. */
import { configMeaning } from "./configMeaning.ts";
import {
  configText,
  isLeaf,
  isTreeList,
  isTreeMap,
  parseConfig,
  parseTree,
  textOf,
  type Tree,
  type TreeMap,
} from "./configTree.ts";
import { pointerKeys } from "./jsonPatch.ts";

/** A component whose release the machine configuration names. */
export type KubernetesComponent =
  "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "kube-proxy" | "kubelet";

interface Place {
  /** In the v1alpha1 document. */
  readonly path: readonly [string, string];
  /** In its own document, since contract v1.14. */
  readonly kind: string;
  /** Talos's default if the configuration names no image (siderolabs/talos pkg/machinery/constants). */
  readonly repository: string;
}

const places: Readonly<Record<KubernetesComponent, Place>> = {
  "kube-apiserver": {
    path: ["cluster", "apiServer"],
    kind: "KubeAPIServerConfig",
    repository: "registry.k8s.io/kube-apiserver",
  },
  "kube-controller-manager": {
    path: ["cluster", "controllerManager"],
    kind: "KubeControllerManagerConfig",
    repository: "registry.k8s.io/kube-controller-manager",
  },
  "kube-scheduler": {
    path: ["cluster", "scheduler"],
    kind: "KubeSchedulerConfig",
    repository: "registry.k8s.io/kube-scheduler",
  },
  "kube-proxy": {
    path: ["cluster", "proxy"],
    kind: "KubeProxyConfig",
    repository: "registry.k8s.io/kube-proxy",
  },
  kubelet: {
    path: ["machine", "kubelet"],
    kind: "KubeletConfig",
    repository: "ghcr.io/siderolabs/kubelet",
  },
};

/** In upgrade order. */
export const kubernetesComponents = Object.keys(places) as KubernetesComponent[];

/** The static pods of a control plane, in upgrade order. */
export const staticPodComponents = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;

/** The images by component; a component without one is absent. */
export type KubernetesImages = Partial<Record<KubernetesComponent, string>>;

/** The images in a machine configuration. Throws `ConfigTextError`. */
export function readImages(config: string): KubernetesImages {
  const documents = parseConfig(config);
  const found = kubernetesComponents.flatMap((component): [KubernetesComponent, string][] => {
    const image = documents
      .map((document) => textOf(document, ...(imageKeys(document, component) ?? ["\0"])))
      .find((text) => text !== undefined);
    return image === undefined ? [] : [[component, image]];
  });
  return Object.fromEntries(found);
}

/**
 * The configuration with these images; undefined removes one. Returns the same text if nothing changes. Throws `ConfigTextError`.
 * @param images only changes these components
 */
export function setImages(
  config: string,
  images: Partial<Record<KubernetesComponent, string | undefined>>,
): string {
  const has = readImages(config);
  const changed = (Object.keys(images) as KubernetesComponent[]).filter(
    (component) => images[component] !== has[component],
  );
  if (changed.length === 0) return config;
  const documents = parseConfig(config);
  return configText(
    documents.map((document) =>
      changed.reduce<TreeMap>((tree, component) => {
        const keys = imagePlace(documents, document, component);
        return keys === undefined ? tree : (setText(tree, keys, images[component]) as TreeMap);
      }, document),
    ),
  );
}

/** Whether the configuration disables kube-proxy, for example because Cilium replaces it. Its image is irrelevant then. Throws `ConfigTextError`. */
export function isProxyDisabled(config: string): boolean {
  return parseConfig(config).some((document) =>
    textOf(document, "kind") === places["kube-proxy"].kind
      ? textOf(document, "enabled") === "false"
      : textOf(document, "kind") === undefined &&
        textOf(document, ...places["kube-proxy"].path, "disabled") === "true",
  );
}

/** Components whose image one of these patches sets: its owner pins it, and nothing else changes it. Throws `ConfigTextError`. */
export function pinnedComponents(patches: readonly string[]): ReadonlySet<KubernetesComponent> {
  const trees = patches.flatMap((patch) => parseTree(patch));
  return new Set(
    kubernetesComponents.filter((component) => trees.some((tree) => namesComponent(tree, component))),
  );
}

/**
 * A configuration that leaves a node's Kubernetes unchanged: differing images are replaced by the node's own, except those that a patch pins.
 * @param running the node's configuration
 * @param patches the patches in the configuration
 */
export function keepRunningImages(wanted: string, running: string, patches: readonly string[]): string {
  const own = readImages(running);
  return setImages(
    wanted,
    Object.fromEntries(unpinnedComponents(patches).map((component) => [component, own[component]])),
  );
}

/**
 * A configuration for a joining node: with the releases of a running control plane for the images it names. The repositories stay the configuration's own.
 * @param running the control plane's configuration
 * @param patches the patches in the configuration
 */
export function useClusterReleases(wanted: string, running: string, patches: readonly string[]): string {
  const [own, given] = [readImages(running), readImages(wanted)];
  const moved = unpinnedComponents(patches).flatMap((component): [KubernetesComponent, string][] => {
    const [release, image] = [releaseOfImage(own[component]), given[component]];
    return release === undefined || image === undefined || releaseOfImage(image) === release
      ? []
      : [[component, imageForRelease(component, image, release)]];
  });
  return setImages(wanted, Object.fromEntries(moved));
}

/** Whether two configurations mean the same, but for images that no patch pins. */
export function differOnlyInImages(one: string, other: string, patches: readonly string[]): boolean {
  if (one === other) return true;
  const without = Object.fromEntries(unpinnedComponents(patches).map((component) => [component, undefined]));
  const bare = (text: string): string => configMeaning(parseConfig(setImages(text, without)));
  return bare(one) === bare(other);
}

function unpinnedComponents(patches: readonly string[]): KubernetesComponent[] {
  const pinned = pinnedComponents(patches);
  return kubernetesComponents.filter((component) => !pinned.has(component));
}

const tagged =
  /^([^@]+?)(?::(v?\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)([^@:/]*))?(?:@sha256:[0-9a-f]{64})?$/;

/** The release in an image's tag, `v1.36.1`; undefined if there is none. */
export function releaseOfImage(image: string | undefined): string | undefined {
  const version = image === undefined ? undefined : tagged.exec(image)?.[2];
  return version === undefined ? undefined : version.replace(/^v?/, "v");
}

/** An image without its tag and its digest. */
const untagged = /^(.+?)(?::[^/:@]+)?(?:@[^/]*)?$/;

/**
 * The image for another release, from the same repository and of the same variant (`-slim`, `-fat`); without one, Talos's own. A tag that is not a release is
 * replaced.
 */
export function imageForRelease(
  component: KubernetesComponent,
  image: string | undefined,
  release: string,
): string {
  const kind = (image === undefined ? undefined : tagged.exec(image)?.[3]) ?? "";
  const repository =
    (image === undefined ? undefined : untagged.exec(image)?.[1]) ?? places[component].repository;
  return `${repository}:${release}${kind}`;
}

/** A document's path to the component's image; undefined for an unrelated document. */
function imageKeys(document: TreeMap, component: KubernetesComponent): string[] | undefined {
  const { path, kind } = places[component];
  const own = textOf(document, "kind");
  if (own === undefined) return [...path, "image"];
  return own === kind ? ["image"] : undefined;
}

/** Where to write it: in the component's own document if there is one, else in the v1alpha1 document. */
function imagePlace(
  all: readonly TreeMap[],
  document: TreeMap,
  component: KubernetesComponent,
): string[] | undefined {
  const { kind } = places[component];
  const separate = all.some((other) => textOf(other, "kind") === kind);
  const here = textOf(document, "kind") === undefined ? !separate : textOf(document, "kind") === kind;
  return here ? imageKeys(document, component) : undefined;
}

function setText(tree: Tree | undefined, [key = "", ...rest]: string[], text: string | undefined): Tree {
  const map = new Map(isTreeMap(tree) ? tree : []);
  const inner = map.get(key);
  if (rest.length > 0) {
    if (text !== undefined || isTreeMap(inner)) map.set(key, setText(inner, rest, text));
  } else if (text === undefined) map.delete(key);
  else map.set(key, { text, plain: isLeaf(inner) ? inner.plain : true });
  return map;
}

function namesComponent(tree: Tree, component: KubernetesComponent): boolean {
  if (isTreeList(tree)) {
    const { path } = places[component];
    const whole = [...path, "image"].join(".");
    return tree.some((operation) => {
      const pointer = textOf(operation, "path");
      if (pointer === undefined) return false;
      const at = pointerKeys(pointer);
      if (at.join(".") === whole) return true;
      // The operation may replace the image's parent: `/cluster/apiServer` with the image in the value.
      const value = isTreeMap(operation) ? operation.get("value") : undefined;
      const isAbove = at.every((key, index) => key === path[index]);
      return (
        isAbove && isTreeMap(value) && textOf(value, ...[...path, "image"].slice(at.length)) !== undefined
      );
    });
  }
  if (!isTreeMap(tree)) return false;
  const keys = imageKeys(tree, component);
  return keys !== undefined && textOf(tree, ...keys) !== undefined;
}
