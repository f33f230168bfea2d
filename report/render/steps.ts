import type { TimelineStep } from "../model/timeline.ts";

/** How the steps of an upgrade are shown: the three that only look are one. */
export const phases = [
  { id: "check", label: "check", steps: ["inspect", "settled?", "guard"] },
  { id: "pull", label: "pull", steps: ["pull"] },
  { id: "drain", label: "drain", steps: ["drain"] },
  { id: "install", label: "install", steps: ["install"] },
  { id: "reboot", label: "reboot", steps: ["reboot"] },
  { id: "verify", label: "verify", steps: ["verify"] },
  { id: "uncordon", label: "uncordon", steps: ["uncordon", "storage"] },
] as const;

export type PhaseId = (typeof phases)[number]["id"];

/** A step of another name is one that this report does not know yet: it counts as a look. */
export function phaseOf(step: string): PhaseId {
  return phases.find(({ steps }) => (steps as readonly string[]).includes(step))?.id ?? "check";
}

/** Seconds of each phase, all its runs together. */
export function phaseSeconds(steps: readonly TimelineStep[]): Map<PhaseId, number> {
  const seconds = new Map<PhaseId, number>();
  for (const step of steps) {
    const id = phaseOf(step.name);
    seconds.set(id, (seconds.get(id) ?? 0) + step.seconds);
  }
  return seconds;
}

/** `4.2`, `95` */
export function formatSeconds(value: number | undefined): string {
  if (value === undefined) return "–";
  return value < 10 ? value.toFixed(1) : String(Math.round(value));
}
