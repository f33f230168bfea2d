import { clusterSection, kubernetesDocuments, kubernetesImage } from "./kubernetesImages.ts";
import type { MachineConfig } from "./machineConfig.ts";

/** The components that run as static pods, in upgrade order. */
export const staticPodNames = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const;
export type StaticPodName = (typeof staticPodNames)[number];

const sections = {
  "kube-apiserver": "apiServer",
  "kube-controller-manager": "controllerManager",
  "kube-scheduler": "scheduler",
} as const;

/** The settings from which Talos creates a component's static pod: a separate resource, whose version is in the pod's annotations. */
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

/** The container's command, with the flags that the configuration adds. */
export function componentCommand(name: StaticPodName, { extraArgs }: ComponentConfig): string[] {
  const flags = Object.entries(extraArgs).flatMap(([flag, values]) =>
    values.map((value) => `--${flag}=${value}`),
  );
  return [`/usr/local/bin/${name}`, ...flags];
}

const record = (value: unknown): Record<string, unknown> => (value ?? {}) as Record<string, unknown>;
