import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { EventLog } from "./events.ts";
import { IscsiSessions } from "./iscsi.ts";
import { KernelLog } from "./kernelLog.ts";
import type { Slot } from "./disk.ts";
import type { NodeImage } from "./images.ts";
import type { MachineConfig } from "./machineConfig.ts";
import { ServiceTable } from "./services.ts";
import { StaticPods } from "./staticPods.ts";

/** The stages of a machine, as in its status. */
export type Stage =
  | "unknown"
  | "booting"
  | "installing"
  | "maintenance"
  | "running"
  | "rebooting"
  | "shutting down"
  | "resetting"
  | "upgrading";

export interface UnmetCondition {
  name: string;
  reason: string;
}

/** Everything that a power loss ends. */
export class Boot {
  readonly id = randomUUID();
  readonly startedAt = new Date();
  readonly events = new EventLog();
  readonly services: ServiceTable;
  readonly staticPods: StaticPods;
  readonly kernelLog = new KernelLog();
  readonly iscsi = new IscsiSessions();
  /** What machined logs in addition: `talosctl logs machined`. */
  readonly machinedLog: string[] = [];
  readonly image: NodeImage;
  /** The kernel arguments of this boot. */
  readonly kernelArgs: string[];
  /** Absent when booted from the medium. */
  readonly slot: Slot | undefined;
  /** META as loaded by this boot: what an installer writes later shows only after the next boot. */
  readonly meta: Map<string, string>;
  /** Running services that are briefly unhealthy while others restart. */
  readonly struggling = new Set<string>();
  /** Services stopped through the API. */
  readonly stopped = new Set<string>();
  readonly #power = new AbortController();
  readonly #changed: () => void;
  /** The active machine configuration. It differs from the one on disk while one is staged or tried. */
  config: MachineConfig | undefined;
  /** Set once the kubelet has started. */
  kubelet = false;
  /** A sequence that excludes others, such as an upgrade. */
  busy: string | undefined;
  stage: Stage = "booting";
  unmet: UnmetCondition[] = [];

  constructor(
    image: NodeImage,
    kernelArgs: string[],
    slot: Slot | undefined,
    meta: Map<string, string>,
    changed: () => void,
  ) {
    this.image = image;
    this.kernelArgs = kernelArgs;
    this.slot = slot;
    this.meta = meta;
    this.#changed = changed;
    this.services = new ServiceTable(this.events, changed);
    this.staticPods = new StaticPods(changed);
    this.kernelLog.kernel(`Linux version 6.18.0-talos (Talos ${image.version})`);
  }

  get power(): AbortSignal {
    return this.#power.signal;
  }

  /** Conditions only count while a machine boots or runs. In any other stage it reports ready, even on its way down (siderolabs/talos v1.13.9 controllers/runtime/machine_status.go). */
  get ready(): boolean {
    return (this.stage !== "booting" && this.stage !== "running") || this.unmet.length === 0;
  }

  setStatus(stage: Stage, unmet: UnmetCondition[] = this.unmet, actorId = ""): void {
    if (this.stage === stage && JSON.stringify(this.unmet) === JSON.stringify(unmet)) return;
    this.stage = stage;
    this.unmet = unmet;
    this.emitStatus(actorId);
    this.#changed();
  }

  emitStatus(actorId = ""): void {
    this.events.emit(
      "MachineStatusEvent",
      {
        stage: this.stage.toUpperCase().replace(" ", "_"),
        status: { ready: this.ready, unmetConditions: this.unmet },
      },
      actorId,
    );
  }

  cutPower(): void {
    this.#power.abort();
  }

  /** @throws AbortError if the power goes first */
  async sleep(seconds: number): Promise<void> {
    await delay(seconds * 1000, undefined, { signal: this.power });
  }
}

/** Whether the power is gone or the node was stopped: not an error, just the end. */
export function isPowerLoss(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
