/**
 * Pulumi's Talos provider: secrets, machine configurations, bootstrap, credentials and the Image Factory.
 *
 * @example
 * import * as talos from "@pulumiverse/talos";
 *
 * const secrets = new talos.machine.Secrets("cluster", { talosVersion: "v1.13" });
 */
export { Provider, type ProviderArgs } from "./provider.ts";
export { config } from "./config.ts";
export * as client from "./client/index.ts";
export * as cluster from "./cluster/index.ts";
export * as imagefactory from "./imagefactory/index.ts";
export * as machine from "./machine/index.ts";
export * as types from "./types/index.ts";
