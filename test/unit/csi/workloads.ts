import { valueAt, onlyResource } from "./recorder.ts";
import type { Registered } from "./recorder.ts";

/** A container as registered. */
export interface Container {
  name: string;
  image: string;
  args: string[];
  env?: { name: string; value?: string }[];
  securityContext: Record<string, unknown>;
  volumeMounts: {
    name: string;
    mountPath: string;
    mountPropagation?: string;
    readOnly?: boolean;
    subPath?: string;
  }[];
  livenessProbe?: { httpGet: Record<string, unknown> };
  resources: unknown;
}

export const onlyDeployment = (resources: Registered[]) =>
  onlyResource(resources, "kubernetes:apps/v1:Deployment").inputs;
export const onlyDaemonSet = (resources: Registered[]) =>
  onlyResource(resources, "kubernetes:apps/v1:DaemonSet").inputs;
export const podOf = (workload: unknown) =>
  valueAt(workload, "spec", "template", "spec") as Record<string, unknown>;
export const containersOf = (workload: unknown) => podOf(workload).containers as Container[];

export function containerNamed(workload: unknown, name: string): Container {
  const found = containersOf(workload).find((entry) => entry.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `no container ${name} among ${containersOf(workload)
      .map((entry) => entry.name)
      .join(", ")}`,
  );
}

/** The checksum of the configuration in a workload's pod template. */
export const checksumOf = (workload: unknown) =>
  valueAt(workload, "spec", "template", "metadata", "annotations", "talos-iscsi/config-checksum");

/** "Namespace/name" of every object in the cluster, with its type. */
export function objectNames(resources: Registered[]): string[] {
  return resources
    .filter(({ type }) => type.startsWith("kubernetes:"))
    .map(
      ({ inputs, type }) =>
        `${type} ${String(valueAt(inputs, "metadata", "namespace"))}/${String(valueAt(inputs, "metadata", "name"))}`,
    );
}
