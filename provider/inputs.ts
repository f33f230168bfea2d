import type { TalosCredentials } from "../talos/api/credentials.ts";
import type { Endpoints } from "../talos/endpoint.ts";
import { parsePolicy, type RolloutPolicy } from "./rollout/policy.ts";
import type { SnapshotSettings } from "./snapshot/folder.ts";

/** How a node is drained, every default filled in. */
export interface DrainInputs {
  enabled: boolean;
  timeoutSeconds: number;
  /** What becomes of iSCSI sessions that belong to no attachment. */
  leftoverSessions: "refuse" | "warn";
  /** What becomes of a pod that a budget holds for `blockedTimeoutSeconds`. */
  whenBlocked: "stop" | "delete";
  blockedTimeoutSeconds: number;
}

/** The inputs of a NodeUpgrade, as the steps use them: plain values, every default filled in. */
export interface NodeUpgradeInputs {
  /** For people: `cp1`. */
  name: string;
  node: string;
  endpoint?: string;
  /** Where nodes are reached that are not at their own addresses. */
  endpoints?: Endpoints;
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
  drain: DrainInputs;
  timeoutSeconds: number;
  /** Whether the next node waits for this one's storage; without `enabled` it does where a driver of this program is registered. */
  storageGate: { enabled?: boolean; timeoutSeconds: number };
  allowSkew: boolean;
  /** Where a snapshot of etcd goes before the first control plane is disturbed. */
  etcdSnapshot?: SnapshotSettings;
  /** Let etcd take its data to an older minor release where the wanted Talos runs one. */
  etcdDowngrade: boolean;
  /** What RolloutReadiness has confirmed; absent where no plan has to be approved. */
  approval?: unknown;
  /** How the rollout goes on from node to node. */
  rollout: RolloutPolicy;
}

const defaults = {
  extensions: [] as string[],
  services: [] as string[],
  files: [] as string[],
  prePull: true,
  drain: {
    enabled: true,
    timeoutSeconds: 300,
    leftoverSessions: "warn",
    whenBlocked: "stop",
    blockedTimeoutSeconds: 120,
  } satisfies DrainInputs,
  storageGate: { timeoutSeconds: 300 },
  timeoutSeconds: 1800,
  allowSkew: false,
  etcdDowngrade: false,
};

/** Inputs that `checkNodeUpgrade` has passed, with the defaults. */
export function nodeUpgradeInputs(checked: Record<string, unknown>): NodeUpgradeInputs {
  const given = checked as unknown as Partial<NodeUpgradeInputs> & NodeUpgradeInputs;
  const storageGate = { ...defaults.storageGate, ...given.storageGate };
  const drain = drainInputs(given.drain);
  return { ...defaults, ...given, drain, storageGate, rollout: parsePolicy(given.rollout) };
}

/** The same for whatever else drains a node. */
export function drainInputs(checked: unknown): DrainInputs {
  return { ...defaults.drain, ...(checked as object | undefined) };
}

/** `cp1 (127.10.0.11)` */
export function nodeLabel({ name, node }: { name: string; node: string }): string {
  return name === node ? node : `${name} (${node})`;
}
