import type { CheckFailure } from "./check.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/** Why a resource is refused in a preview. Also an input of the preflight, which fails with the refusals of all resources; a deployment refuses at once. */
export const refusedProperty = "refused";

/** The `refused` input for these failures; nothing if there are none. */
export function refusedInput(failures: readonly CheckFailure[]): Properties {
  return failures.length === 0 ? {} : { [refusedProperty]: failures.map(({ reason }) => reason).join("\n") };
}

/** All refusals, each once. Other problems of the rollout are warnings at that point. */
export function parseRefusals(refusals: unknown): CheckFailure[] {
  // All of them may be one unknown value.
  const given = typeof refusals === "object" && refusals !== null ? refusals : {};
  const reasons = Object.values(given as Properties).flatMap((reason) =>
    typeof reason === "string" && !hasUnknown(reason) ? [reason] : [],
  );
  return [...new Set(reasons)].map((reason) => ({ property: "", reason }));
}
