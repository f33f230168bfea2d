import { randomUUID } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { isPowerLoss, type Boot } from "../machine/boot.ts";
import { CallFailure } from "../machine/failure.ts";
import type { Machine } from "../machine/machine.ts";

/** A phase of a sequence, with the name of its only task. */
export interface Phase {
  name: string;
  task: string;
  run: () => Promise<void>;
}

export function newActorId(): string {
  return randomUUID();
}

/** The running boot; calls that need one cannot arrive without, except in the moment of a power cut. */
export function booted(node: Machine): Boot {
  if (node.boot === undefined) throw new CallFailure(status.UNAVAILABLE, "the node is going down");
  return node.boot;
}

/**
 * Runs a sequence as Talos does: one at a time, every step emits an event with the ID of the request. A failure ends the sequence with an error event. It
 * is fatal to machined, which stops everything, the API too, and reboots (siderolabs/talos v1.10 internal/app/machined/main.go).
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
    // The event still leaves.
    await boot.sleep(0.05).catch(() => undefined);
    if (!boot.power.aborted) node.powerCut("reboot");
  }
}

/** Begins a sequence and does not wait for it: that another one is at work reaches the log alone, as with machined. */
export function beginSequence(node: Machine, name: string, actorId: string, phases: Phase[]): void {
  runSequence(node, name, actorId, phases).catch((error: unknown) =>
    node.log(`${name}: ${error instanceof Error ? error.message : String(error)}`),
  );
}

/** How much of a reboot's time goes by before the API is gone. */
export const shareOfStopping = 0.3;

/** Stops everything but the API, which goes with the power. */
export function stopServices(node: Machine, actorId: string): Phase[] {
  return [
    {
      name: "cleanup",
      task: "stopAllPods",
      // Pods need time to end. Whoever has just asked for this gets it to begin watching.
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
      // The event before this one still leaves.
      await booted(node).sleep(0.02);
      node.powerCut(next);
    },
  };
}
