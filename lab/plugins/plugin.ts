import type { Properties } from "./values.ts";

/** One problem with one input; `property` is its path, such as `nodes[1].address`. */
export interface CheckFailure {
  property: string;
  reason: string;
}

export interface CheckResult {
  /** The inputs the engine continues with (defaults filled in). */
  inputs: Properties;
  failures?: CheckFailure[];
}

/** The answer of a provider bridged from Terraform: the engine shows the properties' names and compares the inputs itself. */
export interface DiffResult {
  /** Names of the properties that change; empty if nothing changes. */
  diffs: string[];
  /** Those that require a replacement. */
  replaces: string[];
}

/** Lines that appear under the resource in the engine's own display. */
export interface ResourceLog {
  /** Shown while the work runs, gone afterwards. */
  progress(message: string): void;
  info(message: string): void;
  warning(message: string): void;
}

interface ResourceCall {
  urn: string;
  /** The type token, such as `talos:machine/secrets:Secrets`. */
  type: string;
  /** The name the program gave the resource. */
  name: string;
  log: ResourceLog;
  /** Aborted when the user presses Ctrl-C. */
  signal: AbortSignal;
}

/** For an operation that waits: the resource's `customTimeouts`, absent if the program sets none. */
interface TimedCall extends ResourceCall {
  timeoutSeconds?: number;
}

export interface CheckCall extends ResourceCall {
  inputs: Properties;
  oldInputs: Properties;
}

export interface DiffCall extends ResourceCall {
  id: string;
  inputs: Properties;
  oldInputs: Properties;
  /** The outputs in the state. */
  state: Properties;
  ignoreChanges: string[];
}

export interface CreateCall extends TimedCall {
  inputs: Properties;
  /** In a preview, nothing may be changed; values that aren't known yet are returned as `unknown`. */
  preview: boolean;
}

export interface CreateResult {
  id: string;
  state: Properties;
}

export interface ReadCall extends TimedCall {
  id: string;
  /** Empty for an import. */
  state: Properties;
  inputs: Properties;
}

export interface ReadResult {
  id: string;
  state: Properties;
  inputs: Properties;
}

export interface UpdateCall extends TimedCall {
  id: string;
  inputs: Properties;
  oldInputs: Properties;
  state: Properties;
  preview: boolean;
}

export interface DeleteCall extends TimedCall {
  id: string;
  inputs: Properties;
  state: Properties;
}

export interface InvokeCall {
  token: string;
  args: Properties;
  preview: boolean;
  signal: AbortSignal;
  log: ResourceLog;
}

export type InvokeResult = { result: Properties } | { failures: CheckFailure[] };

/**
 * What a stand-in must implement. Absent methods get a default: `check` accepts, `diff` compares the inputs
 * (`diffInputs`), `read` returns the state, `update` fails, `delete` does nothing.
 */
export interface ProviderPlugin {
  /** The package, such as `talos` for `pulumi-resource-talos`. */
  readonly name: string;
  /** Without a leading v. */
  readonly version: string;
  /** The provider's own settings: plain values; structured settings are JSON strings. */
  configure?(config: Properties): Promise<void> | void;
  check?(call: CheckCall): Promise<CheckResult> | CheckResult;
  diff?(call: DiffCall): Promise<DiffResult> | DiffResult;
  create?(call: CreateCall): Promise<CreateResult>;
  /** `undefined`: it no longer exists. */
  read?(call: ReadCall): Promise<ReadResult | undefined>;
  /** The new outputs. */
  update?(call: UpdateCall): Promise<Properties>;
  delete?(call: DeleteCall): Promise<void>;
  invoke?(call: InvokeCall): Promise<InvokeResult>;
}

/**
 * The resource exists but didn't initialize as desired: the engine keeps it in the state with these properties, reports
 * the reasons, and continues from there at the next update.
 */
export class ResourceInitError extends Error {
  readonly id: string;
  readonly state: Properties;
  readonly inputs: Properties;
  readonly reasons: string[];

  constructor(options: { id: string; state: Properties; inputs: Properties; reasons: string[] }) {
    super(options.reasons.join("; "));
    this.name = "ResourceInitError";
    this.id = options.id;
    this.state = options.state;
    this.inputs = options.inputs;
    this.reasons = options.reasons;
  }
}
