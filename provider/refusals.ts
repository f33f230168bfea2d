import type { CheckFailure } from "./check.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/** Why a resource of a preview is refused. It is an input of the preflight too, which fails with those of all resources; a deployment is refused at once. */
export const refusedProperty = "refused";

/** That input, of a resource that these things stand against; nothing where there are none. */
export function refusedInput(failures: readonly CheckFailure[]): Properties {
  return failures.length === 0 ? {} : { [refusedProperty]: failures.map(({ reason }) => reason).join("\n") };
}

/** All that is refused, each thing once. What else stands against the rollout is a warning by then. */
export function parseRefusals(refusals: unknown): CheckFailure[] {
  // All of them may be one unknown value.
  const given = typeof refusals === "object" && refusals !== null ? refusals : {};
  const told = Object.values(given as Properties).flatMap((reason) =>
    typeof reason === "string" && !hasUnknown(reason) ? [reason] : [],
  );
  return [...new Set(told)].map((reason) => ({ property: "", reason }));
}
