import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetOverlaysVersionsArgs> = {
  token: "talos:imageFactory/getOverlaysVersions:getOverlaysVersions",
  parameters: { filters: true, talosVersion: true },
};

/** Lists the board overlays (for single-board computers) that the factory has for a Talos version. */
export function getOverlaysVersions(
  args: GetOverlaysVersionsArgs,
  opts?: pulumi.InvokeOptions,
): Promise<GetOverlaysVersionsResult> {
  return invoke(fn, args, opts);
}

/** {@link getOverlaysVersions} for arguments that other resources provide. */
export function getOverlaysVersionsOutput(
  args: GetOverlaysVersionsOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetOverlaysVersionsResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getOverlaysVersions} takes. */
export interface GetOverlaysVersionsArgs {
  /** Keep the overlays whose names contain this. */
  filters?: inputs.imageFactory.GetOverlaysVersionsFilters;
  /** The Talos version, for example `v1.13.9`. */
  talosVersion: string;
}

/** What {@link getOverlaysVersionsOutput} takes. */
export interface GetOverlaysVersionsOutputArgs {
  /** Keep the overlays whose names contain this. */
  filters?: pulumi.Input<inputs.imageFactory.GetOverlaysVersionsFiltersArgs | undefined>;
  /** The Talos version, for example `v1.13.9`. */
  talosVersion: pulumi.Input<string>;
}

/** What {@link getOverlaysVersions} returns. */
export interface GetOverlaysVersionsResult {
  /** The filter: overlays whose names contain this. */
  readonly filters?: outputs.imageFactory.GetOverlaysVersionsFilters;
  /** The provider's name for this result. */
  readonly id: string;
  /** The overlays. */
  readonly overlaysInfos: outputs.imageFactory.GetOverlaysVersionsOverlaysInfo[];
  /** The Talos version. */
  readonly talosVersion: string;
}
