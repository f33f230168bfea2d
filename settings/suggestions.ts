import { z } from "zod";
import { nearestName } from "../talos/nearest.ts";
import { schemasAt } from "./schemasAt.ts";

/** The known key that an unknown one most likely means: equal except for case, or one edit away. */
export function suggestKey(schema: z.ZodType, path: readonly PropertyKey[], key: string): string | undefined {
  return nearestName(knownKeys(schema, path), key);
}

/** The keys of the section at a path; none where the path leads elsewhere. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  return schemasAt(schema, path).flatMap((found) =>
    found instanceof z.ZodObject ? Object.keys(found.shape) : [],
  );
}
