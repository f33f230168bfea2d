import type { CheckFailure } from "./check.ts";
import type { DetailedDiffResult } from "./detailedDiff.ts";
import type { Properties, Unwrapped } from "./secrets.ts";

/** What a resource makes of its inputs. */
export interface AddedInputs {
  /** What is added to them, or takes the place of one. */
  added: Properties;
  /** Which of these are secret. */
  secret?: readonly string[];
  /** Inputs that are for this look alone: the state does not keep them. */
  dropped?: readonly string[];
  failures?: readonly CheckFailure[];
}

/** A resource of the plugin beside the upgrades. Deleting one does nothing; values come in plain, and leave with their secrets marked. */
export interface PluginResource {
  /** Inputs that are secret whatever the program says, besides the credentials. */
  readonly secretInputs?: readonly string[];
  check(inputs: Properties): CheckFailure[];
  /** What stands against inputs that `check` has passed, where that takes a look at the nodes. */
  judge?(urn: string, before: Properties, inputs: Properties): Promise<CheckFailure[]>;
  /** What it makes of inputs that passed the check, from those of the last time. */
  foresee?(urn: string, before: Properties, inputs: Properties): Promise<AddedInputs>;
  /** @param oldInputs as the engine shows them; the state has them as they were at the last change */
  diff(urn: string, state: Properties, news: Properties, oldInputs: Properties): Promise<DetailedDiffResult>;
  create(urn: string, inputs: Unwrapped): Promise<{ id: string; outs: Properties }>;
  update(id: string, urn: string, state: Properties, news: Unwrapped): Promise<Properties>;
  /** The state as a refresh finds it. Default: as it was. */
  read?(urn: string, state: Properties): Promise<Properties>;
  /** A state without the outputs. */
  inputsOf(state: Properties): Properties;
}
