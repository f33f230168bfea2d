import type { TalosActor } from "../../talos/api/talosClient.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import type { NodeRemover } from "../kubernetes.ts";
import { acquireHostLock } from "./hostLock.ts";

/** Creates clients that can disturb a node or a cluster. */
export interface ActingClients {
  /** Resolves once the client library is loaded; connecting itself is immediate. */
  talos(): Promise<(connection: TalosConnection) => TalosActor>;
  kubernetes(kubeconfig: string): Promise<NodeRemover>;
  /** Waits for other processes of this machine; absent if there are none. */
  hostLock?: (cluster: string, signal: AbortSignal, waiting: () => void) => Promise<() => void>;
}

const sealed = new WeakMap<SealedClients, ActingClients>();

/** Sealed access to clients that can disturb nodes: callers pass it on, and only the gate opens it. Tests seal their own clients. */
export class SealedClients {
  /** Prevents other types from being structurally compatible. */
  protected readonly sealed = true;

  constructor(inside: ActingClients) {
    sealed.set(this, inside);
  }
}

/** The clients of a real cluster. Each library is loaded on first use. */
export function sealRealClients(): SealedClients {
  return new SealedClients({
    talos: async () => (await import("../../talos/api/actor.ts")).connectActor,
    kubernetes: async (kubeconfig) => (await import("../kubernetesApi.ts")).connectNodeRemover(kubeconfig),
    hostLock: acquireHostLock,
  });
}

/** Opens the seal. Only for `provider/gate`: a lint rule keeps every other module from importing it. */
export function unsealClients(acting: SealedClients): ActingClients {
  const inside = sealed.get(acting);
  if (inside === undefined) throw new Error("these acting clients were not made by this module");
  return inside;
}

/** A configuration to apply in a mode that doesn't reboot. */
export interface ConfigurationRequest {
  data: string;
  mode: "NO_REBOOT" | "STAGED";
  /** Running services may restart. A change that only the next boot or installation reads takes nothing from the cluster. */
  disturbs: boolean;
  /** The configuration itself changes, not only its formatting, so it must be approved. Default: true. */
  changes?: boolean;
  /** The change needs a node without volumes. */
  drained?: boolean;
  /** The kind of approved change it needs. Default: a configuration change. */
  as?: "configuration" | "kubernetes";
}
