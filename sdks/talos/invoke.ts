import * as pulumi from "@pulumi/pulumi";
import { withPlugin } from "./plugin.ts";

/** The names of a function's arguments. The compiler ensures that none is missing. */
export type Parameters<Args> = { [Name in keyof Args]-?: true };

/** A function of the provider: its token, and the arguments to send to the plugin. */
export interface ProviderFunction<Args> {
  token: string;
  parameters: Parameters<Args>;
}

/** Calls the function now. The result is plain: it no longer marks secrets as secret. */
export function invoke<Args, Result>(
  fn: ProviderFunction<Args>,
  args: Args,
  opts: pulumi.InvokeOptions | undefined,
): Promise<Result> {
  return pulumi.runtime.invoke(fn.token, pick(fn.parameters, args), withPlugin(opts)) as Promise<Result>;
}

/** Calls the function once its arguments are known. Secrets in arguments and result stay secret. */
export function invokeOutput<Args, Result>(
  fn: ProviderFunction<Args>,
  args: { [Name in keyof Args]: unknown },
  opts: pulumi.InvokeOutputOptions | undefined,
): pulumi.Output<Result> {
  return pulumi.runtime.invokeOutput<Result>(fn.token, pick(fn.parameters, args), withPlugin(opts));
}

/** Drops arguments that the function does not have: the provider refuses unknown arguments. */
function pick<Args>(parameters: Parameters<Args>, args: { [Name in keyof Args]: unknown }): pulumi.Inputs {
  const names = Object.keys(parameters) as (keyof Args & string)[];
  return Object.fromEntries(names.map((name) => [name, args[name]]));
}
