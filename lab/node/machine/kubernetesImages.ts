import type { MachineConfig } from "./machineConfig.ts";

/** The documents that configure Kubernetes' components, with contract v1.14. */
export const kubernetesDocuments = {
  "kube-apiserver": "KubeAPIServerConfig",
  "kube-controller-manager": "KubeControllerManagerConfig",
  "kube-scheduler": "KubeSchedulerConfig",
  "kube-proxy": "KubeProxyConfig",
  kubelet: "KubeletConfig",
} as const;

type Component = keyof typeof kubernetesDocuments;
type Section = Record<string, unknown> | undefined;
type Documents = Pick<MachineConfig, "documents">;

/** What Talos runs where a configuration names no image: that of its own release; one will do for all of them here. */
const byDefault = "v1.35.4";

const repositories: Record<Component, string> = {
  "kube-apiserver": "registry.k8s.io/kube-apiserver",
  "kube-controller-manager": "registry.k8s.io/kube-controller-manager",
  "kube-scheduler": "registry.k8s.io/kube-scheduler",
  "kube-proxy": "registry.k8s.io/kube-proxy",
  kubelet: "ghcr.io/siderolabs/kubelet",
};

/** Is it an image that a registry of Kubernetes or Talos has, in whatever mirror? */
export function isKubernetesImage(reference: string): boolean {
  return /\/(?:kube-(?:apiserver|controller-manager|scheduler|proxy)|kubelet):v\d+\.\d+\.\d+[\w.-]*$/.test(
    reference,
  );
}

/** A section of `cluster` in the v1alpha1 document. */
export function clusterSection({ documents }: Documents, name: string): Section {
  return mainSection(documents, "cluster", name);
}

/** The image of a component, as the configuration names it. */
export function kubernetesImage({ documents }: Documents, component: Component, section: Section): string {
  const own = documents.find(({ kind }) => kind === kubernetesDocuments[component]);
  const image = own?.["image"] ?? section?.["image"];
  return typeof image === "string" ? image : `${repositories[component]}:${byDefault}`;
}

/** Everything in a configuration that the kubelet is started with. */
export function kubeletOf(config: MachineConfig): string {
  const { documents, acceptedClusterCas } = config;
  const section = mainSection(documents, "machine", "kubelet");
  return JSON.stringify([
    // It reads its authorities when it starts (siderolabs/talos v1.13 controllers/k8s/kubelet_service.go).
    mainSection(documents, "cluster", "ca")?.["crt"],
    acceptedClusterCas,
    section,
    kubernetesImage(config, "kubelet", section),
    documents.filter(({ kind }) => kind === kubernetesDocuments.kubelet),
  ]);
}

/** The release of the kubelet that a configuration names, `v1.35.4`. */
export function kubeletRelease(config: MachineConfig): string {
  return /:(v\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)/.exec(kubeletImage(config))?.[1] ?? "";
}

/** The image of the kubelet that a configuration names. */
export function kubeletImage(config: MachineConfig): string {
  return kubernetesImage(config, "kubelet", mainSection(config.documents, "machine", "kubelet"));
}

function mainSection(documents: MachineConfig["documents"], part: string, name: string): Section {
  const main = documents.find(({ kind }) => kind === undefined) as
    Record<string, Record<string, Section> | undefined> | undefined;
  return main?.[part]?.[name];
}
