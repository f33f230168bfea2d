import { clusterSection, kubeletImage, kubernetesDocuments, kubernetesImage } from "./kubernetesImages.ts";
import type { MachineConfig } from "./machineConfig.ts";
import type { SimulatedNode } from "./node.ts";
import type { ResourceContent, ResourceType } from "./resourceTypes.ts";
import { wireStruct } from "./wireStruct.ts";

/** The components that run as static pods, in the order in which they are upgraded. */
export const staticPodNames = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;
export type StaticPodName = (typeof staticPodNames)[number];

const sections = {
  "kube-apiserver": "apiServer",
  "kube-controller-manager": "controllerManager",
  "kube-scheduler": "scheduler",
} as const;

/** What of a machine configuration Talos makes a component's static pod from: a resource of its own, whose version the pod is annotated with. */
export interface ComponentConfig {
  image: string;
  extraArgs: Record<string, string[]>;
  environmentVariables: Record<string, string>;
}

export function componentConfig(
  name: StaticPodName,
  config: Pick<MachineConfig, "documents">,
): ComponentConfig {
  const section = componentSection(name, config);
  const own = config.documents.find(({ kind }) => kind === kubernetesDocuments[name]);
  const args = { ...record(section?.["extraArgs"]), ...record(own?.["extraArgs"]) };
  return {
    image: kubernetesImage(config, name, section),
    extraArgs: Object.fromEntries(
      Object.entries(args).map(([flag, value]) => [flag, [value].flat().map(String)]),
    ),
    environmentVariables: record(section?.["env"]) as Record<string, string>,
  };
}

export function componentSection(
  name: StaticPodName,
  config: Pick<MachineConfig, "documents">,
): ReturnType<typeof clusterSection> {
  return clusterSection(config, sections[name]);
}

/** As in the pod: the command, and the flags that the configuration adds. */
export function componentCommand(name: StaticPodName, { extraArgs }: ComponentConfig): string[] {
  const flags = Object.entries(extraArgs).flatMap(([flag, values]) =>
    values.map((value) => `--${flag}=${value}`),
  );
  return [`/usr/local/bin/${name}`, ...flags];
}

const record = (value: unknown): Record<string, unknown> => (value ?? {}) as Record<string, unknown>;

const ofStaticPod = (
  type: string,
  name: StaticPodName,
  codec: string,
  more: object = { enabled: true },
): ResourceType => ({
  type: `${type}.kubernetes.talos.dev`,
  namespace: "controlplane",
  codec,
  contents: ({ boot }) => {
    const found = boot?.staticPods.config(name);
    if (found === undefined) return [];
    const { config, version } = found;
    const spec = { ...more, ...config };
    const extraArgs: object = Object.fromEntries(
      Object.entries(config.extraArgs).map(([flag, values]) => [flag, { values }]),
    );
    return [{ id: name, version, spec, message: { ...spec, extraArgs } }];
  },
});

export const componentConfigTypes: ResourceType[] = [
  ofStaticPod("APIServerConfigs", "kube-apiserver", "APIServerConfig", {}),
  ofStaticPod("ControllerManagerConfigs", "kube-controller-manager", "ControllerManagerConfig"),
  ofStaticPod("SchedulerConfigs", "kube-scheduler", "SchedulerConfig"),
  {
    type: "KubeletSpecs.kubernetes.talos.dev",
    namespace: "k8s",
    codec: "KubeletSpec",
    sensitive: true,
    contents: (node) => (node.config === undefined ? [] : [kubeletSpec(node, node.config)]),
  },
];

function kubeletSpec({ hostname }: SimulatedNode, machine: MachineConfig): ResourceContent {
  const common = { image: kubeletImage(machine), args: [], expectedNodename: hostname };
  const config = { apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" };
  return {
    id: "kubelet",
    spec: { ...common, config },
    message: { ...common, config: wireStruct(config) },
  };
}
