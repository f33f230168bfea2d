import type { InvokeCall, InvokeResult, ProviderPlugin } from "../plugin.ts";
import { secret } from "../values.ts";
import type { Properties, PropertyValue } from "../values.ts";

/** One resource type of the provider. */
export type ResourceHandler = Required<Pick<ProviderPlugin, "create">> &
  Pick<ProviderPlugin, "check" | "diff" | "read" | "update" | "delete">;

/** One function of the provider. */
export type FunctionHandler = (call: InvokeCall) => Promise<InvokeResult>;

/** The Talos release in the published provider 0.8.1, which determines its defaults. */
export const providerTalosVersion = "v1.13.0";
export const defaultTalosContract = "v1.13";
export const defaultKubernetesVersion = "1.36.0";

/** The provider always marks the client key as secret. */
export function withSecretClientKey(properties: Properties): Properties {
  const client = properties["clientConfiguration"];
  if (typeof client !== "object" || client === null || !("clientKey" in client)) {
    return properties;
  }
  const { clientKey, ...rest } = client as { clientKey: PropertyValue };
  return { ...properties, clientConfiguration: { ...rest, clientKey: secret(clientKey) } };
}
