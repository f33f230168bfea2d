import { readObject, readText, requireText } from "../read.ts";
import { durationMs } from "../duration.ts";
import type { Properties } from "../values.ts";
import { readClientConfiguration, talosconfigYaml } from "./credentials.ts";
import type { ClientConfiguration } from "./credentials.ts";
import { Workspace } from "./talosctl.ts";
import type { Output } from "./talosctl.ts";

const DEFAULT_TIMEOUT_MS = 10 * 60_000;

/** The machine to call, and the credentials for it. */
export interface NodeTarget {
  node: string;
  endpoint: string;
  client: ClientConfiguration;
}

export function readTarget(properties: Properties): NodeTarget {
  const node = requireText(properties, "node");
  return {
    node,
    endpoint: readText(properties, "endpoint") ?? node,
    client: readClientConfiguration(properties),
  };
}

/** The `timeouts` input, or else the resource's `customTimeouts`, or else ten minutes as in the published provider. */
export function operationTimeoutMs(
  properties: Properties,
  operation: "create" | "update" | "delete" | "read",
  customSeconds?: number,
): number {
  const own = readText(readObject(properties, "timeouts") ?? {}, operation);
  if (own !== undefined) {
    return durationMs(own, `timeouts.${operation}`);
  }
  return customSeconds === undefined ? DEFAULT_TIMEOUT_MS : customSeconds * 1000;
}

/** Runs talosctl against one machine. */
export interface NodeCommands {
  workspace: Workspace;
  /** With the client certificate. */
  secure(args: string[], timeoutMs: number): Promise<Output>;
}

/** Runs `work` with the commands for one machine; their talosconfig exists only during that time. */
export async function withNode<T>(
  target: NodeTarget,
  signal: AbortSignal,
  work: (commands: NodeCommands) => Promise<T>,
): Promise<T> {
  return Workspace.use(signal, async (workspace) => {
    const talosconfig = await workspace.write("talosconfig", talosconfigYaml("dynamic", target.client));
    return work({
      workspace,
      secure: (args, timeoutMs) =>
        workspace.run(
          [...args, "--talosconfig", talosconfig, "--endpoints", target.endpoint, "--nodes", target.node],
          { timeoutMs },
        ),
    });
  });
}
