import type * as pulumi from "@pulumi/pulumi";
import { invoke, invokeOutput, type ProviderFunction } from "../invoke.ts";
import type * as outputs from "../types/output.ts";

const fn: ProviderFunction<GetUrlsArgs> = {
  token: "talos:imageFactory/getUrls:getUrls",
  parameters: { architecture: true, platform: true, sbc: true, schematicId: true, talosVersion: true },
};

/** Returns the URLs of a schematic's images at the factory. Set either `platform` or `sbc`. */
export function getUrls(args: GetUrlsArgs, opts?: pulumi.InvokeOptions): Promise<GetUrlsResult> {
  return invoke(fn, args, opts);
}

/** {@link getUrls} for arguments that other resources provide. */
export function getUrlsOutput(
  args: GetUrlsOutputArgs,
  opts?: pulumi.InvokeOutputOptions,
): pulumi.Output<GetUrlsResult> {
  return invokeOutput(fn, args, opts);
}

/** What {@link getUrls} takes. */
export interface GetUrlsArgs {
  /** `amd64` or `arm64`. Default `amd64`. */
  architecture?: string;
  /** Where the machine runs, for example `metal`. */
  platform?: string;
  /** The single-board computer that it is, for example `rpi_generic`. */
  sbc?: string;
  /** The schematic's ID. */
  schematicId: string;
  /** The Talos version, for example `v1.13.9`. */
  talosVersion: string;
}

/** What {@link getUrlsOutput} takes. */
export interface GetUrlsOutputArgs {
  /** `amd64` or `arm64`. Default `amd64`. */
  architecture?: pulumi.Input<string | undefined>;
  /** Where the machine runs, for example `metal`. */
  platform?: pulumi.Input<string | undefined>;
  /** The single-board computer that it is, for example `rpi_generic`. */
  sbc?: pulumi.Input<string | undefined>;
  /** The schematic's ID. */
  schematicId: pulumi.Input<string>;
  /** The Talos version, for example `v1.13.9`. */
  talosVersion: pulumi.Input<string>;
}

/** What {@link getUrls} returns. */
export interface GetUrlsResult {
  /** `amd64` or `arm64`. */
  readonly architecture: string;
  /** The provider's name for this result. */
  readonly id: string;
  /** Where the machine runs. */
  readonly platform?: string;
  /** The single-board computer that it is. */
  readonly sbc?: string;
  /** The schematic's ID. */
  readonly schematicId: string;
  /** The Talos version. */
  readonly talosVersion: string;
  /** Where the images are. */
  readonly urls: outputs.imageFactory.GetUrlsUrls;
}
