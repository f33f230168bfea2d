import type { EventLog } from "./events.ts";

export type ServiceState =
  "Initialized" | "Preparing" | "Waiting" | "Running" | "Stopping" | "Finished" | "Failed" | "Starting";

/** A service as the node runs it. */
export interface Service {
  readonly id: string;
  readonly state: ServiceState;
  /** undefined: it has no health check, like extension services. */
  readonly healthy: boolean | undefined;
  readonly healthMessage: string;
  readonly changed: Date;
  readonly events: readonly { msg: string; state: ServiceState; at: Date }[];
}

/** The services of one boot. */
export class ServiceTable {
  readonly #services = new Map<string, Service>();
  readonly #log: EventLog;
  readonly #changed: () => void;

  constructor(log: EventLog, changed: () => void) {
    this.#log = log;
    this.#changed = changed;
  }

  list(): Service[] {
    return [...this.#services.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get(id: string): Service | undefined {
    return this.#services.get(id);
  }

  isUp(id: string): boolean {
    const service = this.#services.get(id);
    return service?.state === "Running" && service.healthy !== false;
  }

  /** Sets a service's state; setting the same state again changes nothing. */
  put(id: string, state: ServiceState, message: string, healthy?: boolean, actorId = ""): void {
    const before = this.#services.get(id);
    if (before?.state === state && before.healthy === healthy) return;
    const now = new Date();
    const healthMessage =
      healthy === undefined ? "" : healthy ? "Health check successful" : "Health check failed";
    this.#services.set(id, {
      id,
      state,
      healthy,
      healthMessage,
      changed: now,
      events: [...(before?.events ?? []), { msg: message, state, at: now }].slice(-16),
    });
    this.#log.emit(
      "ServiceStateEvent",
      {
        service: id,
        action: state.toUpperCase(),
        message,
        health: { unknown: healthy === undefined, healthy: healthy === true, lastMessage: healthMessage },
      },
      actorId,
    );
    this.#changed();
  }

  stopAll(actorId: string, except: readonly string[] = []): void {
    for (const { id, state } of this.list()) {
      if (except.includes(id) || state === "Finished") continue;
      this.put(id, "Finished", "Service finished successfully", undefined, actorId);
    }
  }
}

/** The services of a node, by role, release and extensions. */
export function expectedServices(node: {
  role: "controlplane" | "worker";
  minor: number;
  extensions: readonly string[];
}): string[] {
  const services = ["apid", "auditd", "containerd", "cri", "kubelet", "machined", "syslogd", "udevd"];
  if (node.role === "controlplane") services.push("etcd", "trustd");
  if (node.extensions.includes("iscsi-tools")) {
    services.push("ext-iscsid");
    // Removed in iscsi-tools v0.2.0, which came with Talos 1.10 (siderolabs/extensions storage/iscsi-tools).
    if (node.minor < 10) services.push("ext-tgtd");
  }
  return services;
}
