import { isDeepStrictEqual } from "node:util";
import type { Properties } from "../secrets.ts";

/** Whether two sets of inputs are equal apart from the rollout policy. */
export function sameButForPolicy(before: Properties, after: Properties): boolean {
  const { rollout: _before, ...restBefore } = before;
  const { rollout: _after, ...restAfter } = after;
  return isDeepStrictEqual(restBefore, restAfter);
}
