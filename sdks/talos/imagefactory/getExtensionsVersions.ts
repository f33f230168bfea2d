import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as inputs from "../types/input.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetExtensionsVersionsArgs> = {
  token: "talos:imageFactory/getExtensionsVersions:getExtensionsVersions",
  parameters: { exactFilters: true, filters: true, talosVersion: true },
};

/**
 * Lists the system extensions that the factory has for a Talos version.
 *
 * @example
 * const { extensionsInfos } = await talos.imagefactory.getExtensionsVersions({
 *   talosVersion: "v1.13.9",
 *   exactFilters: { names: ["siderolabs/iscsi-tools"] },
 * });
 */
export function getExtensionsVersions(
  args: GetExtensionsVersionsArgs,
  opts?: pulumi.InvokeOptions,
): Promise<GetExtensionsVersionsResult> {
  return invoke(fn, args, opts);
}

/** {@link getExtensionsVersions} for arguments that other resources provide. */
export function getExtensionsVersionsOutput(
  args: GetExtensionsVersionsOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetExtensionsVersionsResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getExtensionsVersions} takes. */
export interface GetExtensionsVersionsArgs {
  /** Keep the extensions with exactly these names. */
  exactFilters?: inputs.imageFactory.GetExtensionsVersionsExactFilters;
  /** Keep the extensions whose names contain one of these. */
  filters?: inputs.imageFactory.GetExtensionsVersionsFilters;
  /** The Talos version, for example `v1.13.9`. */
  talosVersion: string;
}

/** What {@link getExtensionsVersionsOutput} takes. */
export interface GetExtensionsVersionsOutputArgs {
  /** Keep the extensions with exactly these names. */
  exactFilters?: pulumi.Input<inputs.imageFactory.GetExtensionsVersionsExactFiltersArgs | undefined>;
  /** Keep the extensions whose names contain one of these. */
  filters?: pulumi.Input<inputs.imageFactory.GetExtensionsVersionsFiltersArgs | undefined>;
  /** The Talos version, for example `v1.13.9`. */
  talosVersion: pulumi.Input<string>;
}

/** What {@link getExtensionsVersions} returns. */
export interface GetExtensionsVersionsResult {
  /** The filter: extensions with exactly these names. */
  readonly exactFilters?: outputs.imageFactory.GetExtensionsVersionsExactFilters;
  /** The extensions. */
  readonly extensionsInfos: outputs.imageFactory.GetExtensionsVersionsExtensionsInfo[];
  /** The filter: extensions whose names contain one of these. */
  readonly filters?: outputs.imageFactory.GetExtensionsVersionsFilters;
  /** The provider's name for this result. */
  readonly id: string;
  /** The Talos version. */
  readonly talosVersion: string;
}
