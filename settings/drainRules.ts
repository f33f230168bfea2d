import type { Problem } from "../components/csi/problems.ts";
import type { GivenSettings } from "./given.ts";
import { parseDuration } from "./schema.ts";

/** A pod that is deleted after its drain has ended is never deleted. */
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
    reason: "is not less than upgrade.drain.timeout: the drain would end before it deletes a pod",
  });
}
