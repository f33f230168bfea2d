import { randomUUID } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { isPowerLoss, type Boot } from "../machine/boot.ts";
import { CallFailure } from "../machine/failure.ts";
import type { Machine } from "../machine/machine.ts";

/** A phase of a sequence, with its only task's name. */
export interface Phase {
  name: string;
  task: string;
  run: () => Promise<void>;
}

export function newActorId(): string {
  return randomUUID();
}

/** The running boot. Calls that need one can't arrive without it, except right at a power cut. */
export function booted(node: Machine): Boot {
  if (node.boot === undefined) throw new CallFailure(status.UNAVAILABLE, "the node is going down");
  return node.boot;
}

/**
 * Runs a sequence as Talos does: one at a time, and every step emits an event with the request's ID. A failure ends the sequence with an error event. It
 * is fatal to machined, which stops everything, including the API, and reboots (siderolabs/talos v1.10 internal/app/machined/main.go).
 */
export async function runSequence(
  node: Machine,
  name: string,
  actorId: string,
  phases: Phase[],
): Promise<void> {
  const boot = booted(node);
  if (boot.busy !== undefined)
    throw new CallFailure(status.FAILED_PRECONDITION, `sequence ${boot.busy} is in progress`);
  boot.busy = name;
  const emit = (action: "NOOP" | "START" | "STOP", error?: string): void =>
    boot.events.emit(
      "SequenceEvent",
      {
        sequence: name,
        action,
        ...(error === undefined ? {} : { error: { code: "FATAL", message: error } }),
      },
      actorId,
    );
  emit("START");
  try {
    for (const { name: phase, task, run } of phases) {
      boot.events.emit("PhaseEvent", { phase, action: "START" }, actorId);
      boot.events.emit("TaskEvent", { task, action: "START" }, actorId);
      await run();
      boot.events.emit("TaskEvent", { task, action: "STOP" }, actorId);
      boot.events.emit("PhaseEvent", { phase, action: "STOP" }, actorId);
    }
    emit("STOP");
  } catch (error) {
    if (isPowerLoss(error) || boot.power.aborted) return;
    const reason = error instanceof Error ? error.message : String(error);
    node.log(`${name} failed: ${reason}`);
    emit("NOOP", reason);
    boot.setStatus("rebooting", [], actorId);
    // Let the event out first.
    await boot.sleep(0.05).catch(() => undefined);
    if (!boot.power.aborted) node.powerCut("reboot");
  }
}

/** Starts a sequence without waiting for it: if another one is in progress, that is only logged, as in machined. */
export function beginSequence(node: Machine, name: string, actorId: string, phases: Phase[]): void {
  runSequence(node, name, actorId, phases).catch((error: unknown) =>
    node.log(`${name}: ${error instanceof Error ? error.message : String(error)}`),
  );
}

/** The share of a reboot's time that passes before the API is gone. */
export const shareOfStopping = 0.3;

/** Stops everything except the API, which goes with the power. */
export function stopServices(node: Machine, actorId: string): Phase[] {
  return [
    {
      name: "cleanup",
      task: "stopAllPods",
      // Pods take time to stop. It also gives the caller time to start watching.
      run: async () => booted(node).sleep(node.timings.rebootSeconds * shareOfStopping),
    },
    {
      name: "stopEverything",
      task: "stopAllServices",
      run: async () => {
        booted(node).services.stopAll(actorId, ["apid", "machined"]);
        await node.kubernetes.stopKubelet(booted(node));
      },
    },
  ];
}

export function goDown(node: Machine, next: "reboot" | "off"): Phase {
  return {
    name: next === "reboot" ? "reboot" : "shutdown",
    task: next === "reboot" ? "reboot" : "shutdown",
    run: async () => {
      // Let the previous event out first.
      await booted(node).sleep(0.02);
      node.powerCut(next);
    },
  };
}
