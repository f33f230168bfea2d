import type { MachineConfig } from "./machineConfig.ts";

/** The documents that configure Kubernetes components as of contract v1.14. */
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

/** What Talos runs if a configuration names no image. The real default depends on the Talos release; here, one is enough. */
const byDefault = "v1.35.4";

const repositories: Record<Component, string> = {
  "kube-apiserver": "registry.k8s.io/kube-apiserver",
  "kube-controller-manager": "registry.k8s.io/kube-controller-manager",
  "kube-scheduler": "registry.k8s.io/kube-scheduler",
  "kube-proxy": "registry.k8s.io/kube-proxy",
  kubelet: "ghcr.io/siderolabs/kubelet",
};

/** Whether a Kubernetes or Talos registry has this image, even through a mirror. */
export function isKubernetesImage(reference: string): boolean {
  return /\/(?:kube-(?:apiserver|controller-manager|scheduler|proxy)|kubelet):v\d+\.\d+\.\d+[\w.-]*$/.test(
    reference,
  );
}

/** A section of `cluster` in the v1alpha1 document. */
export function clusterSection({ documents }: Documents, name: string): Section {
  return mainSection(documents, "cluster", name);
}

/** A component's image, as named in the configuration. */
export function kubernetesImage({ documents }: Documents, component: Component, section: Section): string {
  const own = documents.find(({ kind }) => kind === kubernetesDocuments[component]);
  const image = own?.["image"] ?? section?.["image"];
  return typeof image === "string" ? image : `${repositories[component]}:${byDefault}`;
}

/** All kubelet startup settings in a configuration. */
export function kubeletOf(config: MachineConfig): string {
  const { documents, acceptedClusterCas } = config;
  const section = mainSection(documents, "machine", "kubelet");
  return JSON.stringify([
    // It reads its CAs at startup (siderolabs/talos v1.13 controllers/k8s/kubelet_service.go).
    mainSection(documents, "cluster", "ca")?.["crt"],
    acceptedClusterCas,
    section,
    kubernetesImage(config, "kubelet", section),
    documents.filter(({ kind }) => kind === kubernetesDocuments.kubelet),
  ]);
}

/** The kubelet release in a configuration, `v1.35.4`. */
export function kubeletRelease(config: MachineConfig): string {
  return /:(v\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)/.exec(kubeletImage(config))?.[1] ?? "";
}

/** The kubelet image in a configuration. */
export function kubeletImage(config: MachineConfig): string {
  return kubernetesImage(config, "kubelet", mainSection(config.documents, "machine", "kubelet"));
}

function mainSection(documents: MachineConfig["documents"], part: string, name: string): Section {
  const main = documents.find(({ kind }) => kind === undefined) as
    Record<string, Record<string, Section> | undefined> | undefined;
  return main?.[part]?.[name];
}
