import type { CheckFailure } from "./check.ts";
import type { DetailedDiffResult } from "./detailedDiff.ts";
import type { Properties, Unwrapped } from "./secrets.ts";

/** Inputs derived from a resource's inputs. */
export interface AddedInputs {
  /** Added inputs, or replacements. */
  added: Properties;
  /** The secret ones among them. */
  secret?: readonly string[];
  /** Inputs only used by this check: the state doesn't keep them. */
  dropped?: readonly string[];
  failures?: readonly CheckFailure[];
}

/** A plugin resource other than the upgrades. Deleting it does nothing; values arrive plain and leave with their secrets marked. */
export interface PluginResource {
  /** Inputs that are always secret, besides the credentials. */
  readonly secretInputs?: readonly string[];
  check(inputs: Properties): CheckFailure[];
  /** What blocks inputs that passed `check`, if that requires reading the nodes. */
  checkAgainstNodes?(urn: string, before: Properties, inputs: Properties): Promise<CheckFailure[]>;
  /** Derives inputs from those that passed the check and the previous ones. */
  deriveInputs?(urn: string, before: Properties, inputs: Properties): Promise<AddedInputs>;
  /** @param oldInputs as the engine shows them; the state has them as of the last change */
  diff(urn: string, state: Properties, news: Properties, oldInputs: Properties): Promise<DetailedDiffResult>;
  create(urn: string, inputs: Unwrapped): Promise<{ id: string; outs: Properties }>;
  update(id: string, urn: string, state: Properties, news: Unwrapped): Promise<Properties>;
  /** The state as a refresh finds it. Default: unchanged. */
  read?(urn: string, state: Properties): Promise<Properties>;
  /** A state without the outputs. */
  inputsOf(state: Properties): Properties;
}
