import type { DiffResult } from "@pulumi/pulumi/provider/provider.js";
import type { CheckFailure } from "./check.ts";
import type { Properties, Unwrapped } from "./secrets.ts";

/** A resource of the plugin beside the upgrades. Deleting one does nothing; values come in plain, and leave with their secrets marked. */
export interface OtherResource {
  check(inputs: Properties): CheckFailure[];
  diff(urn: string, state: Properties, news: Properties): Promise<DiffResult>;
  create(urn: string, inputs: Unwrapped): Promise<{ id: string; outs: Properties }>;
  update(id: string, urn: string, state: Properties, news: Unwrapped): Promise<Properties>;
  /** A state without the outputs. */
  inputsOf(state: Properties): Properties;
}
