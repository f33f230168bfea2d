import type { Problem } from "../components/csi/problems.ts";
import type { GivenSettings } from "./given.ts";
import { parseDuration } from "./schema.ts";

/** With a `blockedTimeout` as long as the drain itself, no pod would ever be deleted. */
export function checkDrain(given: GivenSettings, problems: Problem[]): void {
  const drain = given.upgrade?.drain;
  if (drain?.whenBlocked !== "delete") return;
  const [blocked, whole] = [
    parseDuration(drain.blockedTimeout ?? "2m"),
    parseDuration(drain.timeout ?? "5m"),
  ];
  if (blocked === undefined || whole === undefined || blocked < whole) return;
  problems.push({
    path: "upgrade.drain.blockedTimeout",
    reason: "must be less than upgrade.drain.timeout; otherwise the drain would end before it deletes a pod",
  });
}
