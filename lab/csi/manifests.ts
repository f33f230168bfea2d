/** The fields of Kubernetes objects that decide how a kubelet starts a pod's containers. */

export interface EnvironmentVariable {
  name: string;
  value?: string;
  valueFrom?: {
    fieldRef?: { fieldPath: string };
    secretKeyRef?: { name: string; key: string };
  };
}

export interface VolumeMount {
  name: string;
  mountPath: string;
  readOnly?: boolean;
  subPath?: string;
  mountPropagation?: string;
}

export interface Volume {
  name: string;
  emptyDir?: object;
  hostPath?: { path: string; type?: string };
  secret?: { secretName: string; defaultMode?: number };
  configMap?: { name: string; defaultMode?: number };
}

export interface ContainerSpec {
  name: string;
  image: string;
  args?: string[];
  env?: EnvironmentVariable[];
  volumeMounts?: VolumeMount[];
  securityContext?: {
    privileged?: boolean;
    allowPrivilegeEscalation?: boolean;
    readOnlyRootFilesystem?: boolean;
    capabilities?: { drop?: string[]; add?: string[] };
  };
}

export interface PodSpec {
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  hostPID?: boolean;
  securityContext?: { runAsUser?: number; runAsGroup?: number };
  containers: ContainerSpec[];
  volumes?: Volume[];
}

/** A Kubernetes object, as sent by the engine or stored by the API. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  [key: string]: unknown;
}

/** A Deployment or DaemonSet. */
export interface Workload extends Manifest {
  spec: { template: { spec: PodSpec } };
}

/** One object of a list. If it is missing, the list was rendered incorrectly. */
export function findManifest(all: readonly Manifest[], kind: string, name: string): Manifest {
  const found = all.find((one) => one.kind === kind && one.metadata.name === name);
  if (found !== undefined) return found;
  throw new Error(
    `no ${kind} ${name} among ${all.map((one) => `${one.kind} ${one.metadata.name}`).join(", ")}`,
  );
}

/** The files of a Secret or ConfigMap. */
export function filesOf(source: Manifest): Record<string, string> {
  const plain = (source["stringData"] ?? {}) as Record<string, string>;
  const data = (source["data"] ?? {}) as Record<string, string>;
  const encoded = source.kind === "Secret";
  const decoded = Object.entries(data).map(([key, value]) => [
    key,
    encoded ? Buffer.from(value, "base64").toString("utf8") : value,
  ]);
  return { ...Object.fromEntries(decoded), ...plain } as Record<string, string>;
}
