import type { TalosActor } from "../../talos/api/talosClient.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import type { NodeRemover } from "../kubernetes.ts";
import { acquireHostLock } from "./hostLock.ts";

/** How clients are made that can disturb a node or a cluster. */
export interface ActingClients {
  /** Resolves once the client library is there; connecting itself is immediate. */
  talos(): Promise<(connection: TalosConnection) => TalosActor>;
  kubernetes(kubeconfig: string): Promise<NodeRemover>;
  /** Waits for other processes of this machine; absent where there are none. */
  hostTurn?: (cluster: string, signal: AbortSignal, waiting: () => void) => Promise<() => void>;
}

const sealed = new WeakMap<SealedClients, ActingClients>();

/**
 * The means to disturb nodes, sealed: whoever is handed one passes it on, and only the gate opens it. Tests put their own clients in one.
 */
export class SealedClients {
  /** Keeps anything else from being taken for one. */
  protected readonly sealed = true;

  constructor(inside: ActingClients) {
    sealed.set(this, inside);
  }
}

/** The clients of a real cluster. Each library is loaded when it is used. */
export function sealRealClients(): SealedClients {
  return new SealedClients({
    talos: async () => (await import("../../talos/api/actor.ts")).connectActor,
    kubernetes: async (kubeconfig) => (await import("../kubernetesApi.ts")).connectNodeRemover(kubeconfig),
    hostTurn: acquireHostLock,
  });
}

/** Opens the seal. For `provider/gate` alone: a lint rule keeps every other module from importing it. */
export function unsealClients(acting: SealedClients): ActingClients {
  const inside = sealed.get(acting);
  if (inside === undefined) throw new Error("these acting clients were not made by this module");
  return inside;
}

/** A configuration in a mode that does not reboot. */
export interface ConfigurationRequest {
  data: string;
  mode: "NO_REBOOT" | "STAGED";
  /** Something that runs may restart; what only the next boot or installation reads takes nothing from the cluster. */
  disturbs: boolean;
  /** What the node is configured with changes, and not only how that is written: it has to be approved. Default: true. */
  changes?: boolean;
  /** The change needs a node without volumes. */
  drained?: boolean;
  /** What an approved plan has to have for it. Default: a change of the configuration. */
  as?: "configuration" | "kubernetes";
}
