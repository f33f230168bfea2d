import type { InvokeResult } from "@pulumi/pulumi/provider/provider.js";
import type { TalosAuthority } from "./issue.ts";
import { unwrap, wrap, type Properties } from "../secrets.ts";

/** The plugin function that issues credentials. */
export const clientCredentialsFunction = "talos-node:index:clientCredentials";

/**
 * Credentials for the Talos API from the cluster's CA, `authority: { cert, key }`. A function rather than a resource: it stores and deletes nothing.
 * @param now milliseconds since 1970
 */
export async function clientCredentials(args: Properties, now: number): Promise<InvokeResult> {
  const { cert = "", key = "" } = (unwrap(args).values["authority"] ?? {}) as Partial<TalosAuthority>;
  // Loaded on first use: most previews issue no certificate.
  const { issueCredentials, IssueError } = await import("./issue.ts");
  try {
    const issued = await issueCredentials({ cert, key }, now);
    return { outputs: wrap({ clientConfiguration: issued }, ["clientConfiguration"]), failures: [] };
  } catch (error) {
    if (!(error instanceof IssueError)) throw error;
    return { outputs: {}, failures: [{ property: "authority", reason: error.message }] };
  }
}
