import semver from "semver";
import type { KubernetesTimeline } from "../model/kubernetes.ts";
import type { Image, Timeline } from "../model/timeline.ts";

/** How reports write times and images. */

/** `4.2 s`, `48 s`, `6 min 5 s`, `1 h 12 min` */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 === 0 ? "" : ` ${whole % 60} s`}`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? "" : ` ${minutes % 60} min`}`;
}

/** `2026-11-21 03:04 UTC` */
export function formatMoment(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** `03:04:05` */
export function formatClockTime(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}

/** `v1.13.9`, and the schematic too where the release alone does not tell two images apart. */
export function formatImage(image: Image | undefined, other?: Image): string {
  if (image === undefined) return "not known yet";
  if (other === undefined || other.version !== image.version || other.schematicId === image.schematicId)
    return image.version;
  return `${image.version} (${image.schematicId === "" ? "no schematic" : image.schematicId.slice(0, 8)})`;
}

/** How a node's upgrade ended: `upgraded`, `rolled back`, `changed` (another schematic), `failed at verify`, `stopped at drain` */
export function describeOutcome({ result, failedStep, from, to }: Timeline): string {
  if (result === "failed") return `failed at ${failedStep ?? "a step"}`;
  if (result === "cancelled") return `stopped at ${failedStep ?? "a step"}`;
  const [before, after] = [semver.parse(from.version), semver.parse(to.version)];
  if (before === null || after === null || semver.eq(before, after)) return "changed";
  return semver.lt(after, before) ? "rolled back" : "upgraded";
}

/** `3 min 12 s on 2026-10-02` */
export function describeLastUpgrade(last: Timeline): string {
  const day = new Date(last.started).toISOString().slice(0, 10);
  return `${last.result === "upgraded" ? formatDuration(last.seconds) : describeOutcome(last)} on ${day}`;
}

/** `Kubernetes v1.35.4 to v1.36.1: done in 4 min 2 s.` */
export function describeKubernetesUpgrade({ from, to, ended, seconds }: KubernetesTimeline): string {
  const words = {
    upgraded: "done in",
    postponed: "waits for a later `pulumi up` after",
    failed: "failed after",
    cancelled: "stopped after",
  };
  return `Kubernetes ${from} to ${to}: ${words[ended]} ${formatDuration(seconds)}.`;
}
