import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetVersionsArgs> = {
  token: "talos:imageFactory/getVersions:getVersions",
  parameters: { filters: true },
};

/** Lists the Talos versions that the factory can build. */
export function getVersions(args?: GetVersionsArgs, opts?: pulumi.InvokeOptions): Promise<GetVersionsResult> {
  return invoke(fn, args ?? {}, opts);
}

/** {@link getVersions} for arguments that other resources provide. */
export function getVersionsOutput(
  args?: GetVersionsOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetVersionsResult> {
  return invokeOutput(fn, args ?? {}, opts);
}

/** What {@link getVersions} takes. */
export interface GetVersionsArgs {
  /** Which versions to list. */
  filters?: inputs.imageFactory.GetVersionsFilters;
}

/** What {@link getVersionsOutput} takes. */
export interface GetVersionsOutputArgs {
  /** Which versions to list. */
  filters?: pulumi.Input<inputs.imageFactory.GetVersionsFiltersArgs | undefined>;
}

/** What {@link getVersions} returns. */
export interface GetVersionsResult {
  /** Which versions are listed. */
  readonly filters?: outputs.imageFactory.GetVersionsFilters;
  /** The provider's name for this result. */
  readonly id: string;
  /** The versions, for example `v1.13.9`. */
  readonly talosVersions: string[];
}
