import type { CallOptions, TalosReader } from "../talos/api/talosClient.ts";
import {
  readImages,
  isProxyDisabled,
  releaseOfImage,
  staticPodComponents,
  type KubernetesComponent,
} from "../talos/kubernetesImages.ts";

/** The Kubernetes that a stack has deployed. */
export interface WantedKubernetes {
  version: string;
  /** Components that patches pin, by the node's name: they run what their owner says. */
  pinned: Record<string, KubernetesComponent[]>;
}

/**
 * Components of a node that are not of the wanted release: the static pods that run, and what the configuration says of kube-proxy and the kubelet. Whether the kubelet runs
 * that is in the state, which is compared with the cluster.
 */
export async function kubernetesProblems(
  talos: Pick<TalosReader, "staticPod" | "machineConfiguration">,
  { name, role }: { name: string; role: "controlplane" | "worker" },
  { version, pinned }: WantedKubernetes,
  call: CallOptions,
): Promise<string[]> {
  const [config, pods] = await Promise.all([
    talos.machineConfiguration(call),
    Promise.all(
      role === "worker" ? [] : staticPodComponents.map((component) => talos.staticPod(component, call)),
    ),
  ]);
  const images = config === undefined ? {} : readImages(config);
  const hasProxy = role === "controlplane" && config !== undefined && !isProxyDisabled(config);
  const named: KubernetesComponent[] = hasProxy ? ["kube-proxy", "kubelet"] : ["kubelet"];
  const runs: [KubernetesComponent, string | undefined][] = [
    ...pods.map((pod, index): [KubernetesComponent, string | undefined] => [
      staticPodComponents[index] ?? "kube-apiserver",
      pod?.image ?? pod?.wantedImage,
    ]),
    ...named.map((component): [KubernetesComponent, string | undefined] => [component, images[component]]),
  ];
  return runs.flatMap(([component, image]) => {
    const release = releaseOfImage(image);
    if (pinned[name]?.includes(component) === true || release === version) return [];
    return [`has ${component} ${release ?? image ?? "of an unknown release"}, not ${version}`];
  });
}
