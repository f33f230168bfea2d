import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetDisksArgs> = {
  token: "talos:machine/getDisks:getDisks",
  parameters: { clientConfiguration: true, endpoint: true, node: true, selector: true, timeouts: true },
};

/**
 * Reads the disks of a machine. To choose the disk that Talos installs to, `machine.install.diskSelector` in the
 * machine configuration is the better way: the machine evaluates it itself, every time.
 */
export function getDisks(args: GetDisksArgs, opts?: pulumi.InvokeOptions): Promise<GetDisksResult> {
  return invoke(fn, args, opts);
}

/** {@link getDisks} for arguments that other resources provide. */
export function getDisksOutput(
  args: GetDisksOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetDisksResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getDisks} takes. */
export interface GetDisksArgs {
  /** The credentials to read them with. */
  clientConfiguration: inputs.machine.GetDisksClientConfiguration;
  /** Address to connect to. Default: `node`. */
  endpoint?: string;
  /** The machine. */
  node: string;
  /** A CEL expression over a `disk`, for example `disk.transport == "nvme"`. Default: every disk. */
  selector?: string;
  /** How long reading may take. */
  timeouts?: inputs.machine.GetDisksTimeouts;
}

/** What {@link getDisksOutput} takes. */
export interface GetDisksOutputArgs {
  /** The credentials to read them with. */
  clientConfiguration: pulumi.Input<inputs.machine.GetDisksClientConfigurationArgs>;
  /** Address to connect to. Default: `node`. */
  endpoint?: pulumi.Input<string | undefined>;
  /** The machine. */
  node: pulumi.Input<string>;
  /** A CEL expression over a `disk`, for example `disk.transport == "nvme"`. Default: every disk. */
  selector?: pulumi.Input<string | undefined>;
  /** How long reading may take. */
  timeouts?: pulumi.Input<inputs.machine.GetDisksTimeoutsArgs | undefined>;
}

/** What {@link getDisks} returns. */
export interface GetDisksResult {
  /** The credentials that read them. */
  readonly clientConfiguration: outputs.machine.GetDisksClientConfiguration;
  /** The disks that match the selector. */
  readonly disks: outputs.machine.GetDisksDisk[];
  /** The address the provider connected to. */
  readonly endpoint: string;
  /** The provider's name for this result. */
  readonly id: string;
  /** The machine. */
  readonly node: string;
  /** The CEL expression over a `disk`. */
  readonly selector?: string;
  /** How long reading may take. */
  readonly timeouts?: outputs.machine.GetDisksTimeouts;
}
