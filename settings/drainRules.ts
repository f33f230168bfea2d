import type { Problem } from "../components/csi/problems.ts";
import { valueAt } from "./raw.ts";
import { parseDuration } from "./schema.ts";

/** A pod that is deleted after its drain has ended is never deleted. */
export function checkDrain(raw: unknown, problems: Problem[]): void {
  const drain = valueAt(raw, "upgrade", "drain");
  if (valueAt(drain, "whenBlocked") !== "delete") return;
  const seconds = (key: string, byDefault: string): number | undefined => {
    const given = valueAt(drain, key) ?? byDefault;
    return typeof given === "string" ? parseDuration(given) : undefined;
  };
  const [blocked, whole] = [seconds("blockedTimeout", "2m"), seconds("timeout", "5m")];
  if (blocked === undefined || whole === undefined || blocked < whole) return;
  problems.push({
    path: "upgrade.drain.blockedTimeout",
    reason: "is not less than upgrade.drain.timeout: the drain would end before it deletes a pod",
  });
}
