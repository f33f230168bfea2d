import { loadTalosApi } from "../../../talos/api/load.ts";

/** An event on the wire: `data` is one of the API's ...Event messages. */
export interface WireEvent {
  id: string;
  actorId: string;
  data: { type_url: string; value: Buffer };
}

type Kind = "SequenceEvent" | "PhaseEvent" | "TaskEvent" | "ServiceStateEvent" | "MachineStatusEvent";

/** The events of one boot. A reboot starts an empty log, as on real Talos. */
export class EventLog {
  readonly #events: (WireEvent & { at: number })[] = [];
  readonly #watchers = new Set<(event: WireEvent) => void>();
  #next = 0;

  emit(kind: Kind, message: object, actorId = ""): void {
    const value = loadTalosApi().message(`machine.${kind}`).encode(message);
    const event = {
      // Sorts by time, as real event IDs do.
      id: `${Date.now().toString(32).padStart(10, "0")}${(this.#next++).toString(32).padStart(10, "0")}`,
      actorId,
      data: { type_url: `talos/runtime/machine.${kind}`, value },
      at: Date.now(),
    };
    this.#events.push(event);
    if (this.#events.length > 1000) this.#events.shift();
    for (const watcher of this.#watchers) watcher(event);
  }

  /** Sends the requested number of past events, then every new one until the signal aborts. */
  async watch(
    request: { tailEvents: number; tailId: string; tailSeconds: number; withActorId: string },
    send: (event: WireEvent) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const wanted = (event: WireEvent): boolean =>
      request.withActorId === "" || event.actorId === request.withActorId;
    const deliver = (event: WireEvent): void => {
      if (wanted(event)) send(event);
    };
    this.#past(request).forEach(deliver);
    this.#watchers.add(deliver);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    this.#watchers.delete(deliver);
  }

  #past(request: { tailEvents: number; tailId: string; tailSeconds: number }): WireEvent[] {
    if (request.tailEvents !== 0) {
      return request.tailEvents < 0 ? [...this.#events] : this.#events.slice(-request.tailEvents);
    }
    if (request.tailId !== "") return this.#events.filter((event) => event.id > request.tailId);
    if (request.tailSeconds > 0) {
      return this.#events.filter((event) => event.at >= Date.now() - request.tailSeconds * 1000);
    }
    return [];
  }
}
