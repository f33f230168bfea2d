import type { StaticPodName } from "../machine/componentConfigs.ts";
import { kubeletImage } from "../machine/kubernetesImages.ts";
import type { Machine } from "../machine/machine.ts";
import type { MachineConfig } from "../machine/machineConfig.ts";
import type { ResourceContent } from "../machine/resourceContent.ts";
import type { ResourceType } from "./resourceType.ts";
import { wireStruct } from "../machine/wireStruct.ts";

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

const componentConfigTypes: ResourceType[] = [
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

function kubeletSpec({ hostname }: Machine, machine: MachineConfig): ResourceContent {
  const common = { image: kubeletImage(machine), args: [], expectedNodename: hostname };
  const config = { apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration" };
  return {
    id: "kubelet",
    spec: { ...common, config },
    message: { ...common, config: wireStruct(config) },
  };
}

const onControlPlane =
  (contents: (node: Machine) => ResourceContent[] | undefined): ResourceType["contents"] =>
  (node) =>
    (node.config?.role === "controlplane" ? contents(node) : undefined) ?? [];

const staticPodTypes: ResourceType[] = [
  {
    type: "StaticPods.kubernetes.talos.dev",
    namespace: "k8s",
    codec: "StaticPod",
    contents: onControlPlane(({ boot }) => boot?.staticPods.manifests()),
  },
  {
    type: "StaticPodStatuses.kubernetes.talos.dev",
    namespace: "k8s",
    codec: "StaticPodStatus",
    columns: [["Ready", '{.conditions[?(@.type=="Ready")].status}']],
    contents: onControlPlane(({ boot, hostname }) => boot?.staticPods.statuses(hostname)),
  },
];

/** What Talos reports about the Kubernetes components it runs. */
export const kubernetesTypes: ResourceType[] = [...componentConfigTypes, ...staticPodTypes];
