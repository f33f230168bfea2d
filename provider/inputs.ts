import type { TalosCredentials } from "../talos/api/credentials.ts";
import type { SnapshotSettings } from "./snapshot/folder.ts";

/** The inputs of a NodeUpgrade, as the steps use them: plain values, every default filled in. */
export interface NodeUpgradeInputs {
  /** For people: `cp1`. */
  name: string;
  node: string;
  endpoint?: string;
  role: "controlplane" | "worker";
  talosVersion: string;
  schematicId: string;
  image: string;
  /** What the settings call the image; a preflight's nodes alone have it. */
  imageName?: string;
  extensions: string[];
  services: string[];
  files: string[];
  controlPlanes: string[];
  kubernetesVersion?: string;
  clientConfiguration: TalosCredentials;
  kubeconfig?: string;
  prePull: boolean;
  drain: { enabled: boolean; timeoutSeconds: number };
  timeoutSeconds: number;
  allowSkew: boolean;
  /** Where a snapshot of etcd goes before the first control plane is disturbed. */
  etcdSnapshot?: SnapshotSettings;
  /** Let etcd take its data to an older minor release where the wanted Talos runs one. */
  etcdDowngrade: boolean;
}

const defaults = {
  extensions: [] as string[],
  services: [] as string[],
  files: [] as string[],
  prePull: true,
  drain: { enabled: true, timeoutSeconds: 300 },
  timeoutSeconds: 1800,
  allowSkew: false,
  etcdDowngrade: false,
};

/** Inputs that `checkInputs` has passed, with the defaults. */
export function nodeUpgradeInputs(checked: Record<string, unknown>): NodeUpgradeInputs {
  const given = checked as unknown as Partial<NodeUpgradeInputs> & NodeUpgradeInputs;
  return { ...defaults, ...given, drain: { ...defaults.drain, ...(given.drain as object | undefined) } };
}

/** `cp1 (127.10.0.11)` */
export function nodeLabel({ name, node }: { name: string; node: string }): string {
  return name === node ? node : `${name} (${node})`;
}
