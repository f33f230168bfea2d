import type { Properties } from "./values.ts";

/** One problem with one input; `property` is its path, such as `nodes[1].address`. */
export interface CheckFailure {
  property: string;
  reason: string;
}

export interface CheckResult {
  /** The inputs the engine goes on with (defaults filled in). */
  inputs: Properties;
  failures?: CheckFailure[];
}

/** As providers answer that are bridged from Terraform: the engine shows the properties' names and compares the inputs itself. */
export interface DiffResult {
  /** Names of the properties that change; none: nothing does. */
  diffs: string[];
  /** Those among them for which a new resource is needed. */
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

/** Of an operation that waits: `customTimeouts` of the resource, absent when the program sets none. */
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
  /** In a preview: nothing may be changed, and what is not known yet is answered as `unknown`. */
  preview: boolean;
}

export interface CreateResult {
  id: string;
  state: Properties;
}

export interface ReadCall extends TimedCall {
  id: string;
  /** Empty at an import. */
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
 * What a stand-in has to bring along. Absent methods get the plain answer: `check` accepts, `diff` compares the inputs
 * (`diffInputs`), `read` answers what the state says, `update` is an error, `delete` does nothing.
 */
export interface ProviderPlugin {
  /** The package, such as `talos` for `pulumi-resource-talos`. */
  readonly name: string;
  /** Without a leading v. */
  readonly version: string;
  /** The provider's own settings: plain values, JSON strings where a setting is structured. */
  configure?(config: Properties): Promise<void> | void;
  check?(call: CheckCall): Promise<CheckResult> | CheckResult;
  diff?(call: DiffCall): Promise<DiffResult> | DiffResult;
  create?(call: CreateCall): Promise<CreateResult>;
  /** `undefined`: it exists no longer. */
  read?(call: ReadCall): Promise<ReadResult | undefined>;
  /** The new outputs. */
  update?(call: UpdateCall): Promise<Properties>;
  delete?(call: DeleteCall): Promise<void>;
  invoke?(call: InvokeCall): Promise<InvokeResult>;
}

/**
 * The resource exists, but did not come up as wanted: the engine keeps it in the state with these properties, reports
 * the reasons, and goes on from there at the next update.
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
