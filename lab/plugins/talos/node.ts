import { readObject, readText, requireText } from "../read.ts";
import { durationMs } from "../duration.ts";
import type { Properties } from "../values.ts";
import { readClientConfiguration, talosconfigYaml } from "./credentials.ts";
import type { ClientConfiguration } from "./credentials.ts";
import { TalosctlError, Workspace } from "./talosctl.ts";
import type { Output } from "./talosctl.ts";

const DEFAULT_TIMEOUT_MS = 10 * 60_000;
const PROBE_TIMEOUT_MS = 10_000;

/** Which machine to speak to, and with which credentials. */
export interface Target {
  node: string;
  endpoint: string;
  client: ClientConfiguration;
}

export function readTarget(properties: Properties): Target {
  const node = requireText(properties, "node");
  return {
    node,
    endpoint: readText(properties, "endpoint") ?? node,
    client: readClientConfiguration(properties),
  };
}

/** The `timeouts` input, else the resource's `customTimeouts`, else ten minutes as in the published provider. */
export function timeoutOf(
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
  /** Without one, as a machine in maintenance mode is spoken to. */
  insecure(args: string[], timeoutMs: number): Promise<Output>;
  /** Does the machine answer without a client certificate: is it in maintenance mode? */
  inMaintenance(timeoutMs: number): Promise<boolean>;
}

/** Gives `work` the commands for one machine; the talosconfig they need exists only meanwhile. */
export async function withNode<T>(
  target: Target,
  signal: AbortSignal,
  work: (commands: NodeCommands) => Promise<T>,
): Promise<T> {
  return Workspace.use(signal, async (workspace) => {
    const talosconfig = await workspace.write("talosconfig", talosconfigYaml("dynamic", target.client));
    // `--insecure` has no endpoints of its own: it connects to the address given as node (talosctl v1.13).
    const insecure = (args: string[], timeoutMs: number) =>
      workspace.run([...args, "--insecure", "--nodes", target.endpoint], { timeoutMs });
    return work({
      workspace,
      insecure,
      secure: (args, timeoutMs) =>
        workspace.run(
          [...args, "--talosconfig", talosconfig, "--endpoints", target.endpoint, "--nodes", target.node],
          { timeoutMs },
        ),
      inMaintenance: async (timeoutMs) => {
        try {
          await insecure(["version"], Math.min(timeoutMs, PROBE_TIMEOUT_MS));
          return true;
        } catch (error) {
          if (!(error instanceof TalosctlError) || signal.aborted) {
            throw error;
          }
          // Before Talos 1.13 the maintenance service has no Version, but whoever says so has let us in. A configured
          // machine breaks the handshake off, which is Unavailable.
          return (
            error.code !== undefined && error.code !== "Unavailable" && error.code !== "DeadlineExceeded"
          );
        }
      },
    });
  });
}
