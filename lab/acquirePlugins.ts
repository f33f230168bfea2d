import { execFile } from "node:child_process";
import { connect } from "node:net";
import { cachedPlugin, type PluginSdk } from "../tools/pluginCache.ts";

/** Fetches the published plugins, as the engine does on a user's first `pulumi up`. If that fails, the lab starts without them. */

/** Download hosts of the engine: Pulumi's own plugins, and those released on GitHub. */
const hosts = ["get.pulumi.com", "api.github.com"];

/** Long enough for a handshake over a satellite link, short enough for someone who waits. */
const connectTimeout = 3_000;
/** A plugin is about 60 MB. */
const installTimeout = 90_000;

/** The plugins that aren't installed, if the engine may fetch them and their hosts are reachable. */
export async function findAcquirable(
  sdks: readonly PluginSdk[],
  env: NodeJS.ProcessEnv,
  reachable: (env: NodeJS.ProcessEnv) => Promise<boolean> = hostsReachable,
): Promise<PluginSdk[]> {
  const missing = sdks.filter((sdk) => cachedPlugin(sdk, env) === undefined);
  const forbidden = /^(1|t|true)$/i.test(env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] ?? "");
  return missing.length > 0 && !forbidden && (await reachable(env)) ? missing : [];
}

/** Asks the engine for each plugin. A failed download is reported, and the lab goes on without that plugin. */
export async function acquirePlugins(
  pulumi: string,
  sdks: readonly PluginSdk[],
  say: (line: string) => void,
  timeout = installTimeout,
): Promise<void> {
  for (const { name, version, server } of sdks) {
    say(`provider ${name}: fetching the published plugin v${version}`);
    const from = server === undefined ? [] : ["--server", server];
    const failure = await install(pulumi, [name, version, ...from], timeout);
    if (failure !== undefined) say(`provider ${name}: ${failure}`);
  }
}

/** What went wrong, or undefined. */
function install(pulumi: string, args: string[], timeout: number): Promise<string | undefined> {
  const options = {
    timeout,
    killSignal: "SIGKILL",
    env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
  } as const;
  return new Promise((resolve) => {
    execFile(pulumi, ["plugin", "install", "resource", ...args], options, (error, _stdout, stderr) => {
      if (error === null) resolve(undefined);
      else if (error.killed === true) resolve(`not fetched within ${timeout / 1000} s`);
      else resolve(`not fetched: ${stderr.trim().split("\n").at(-1) || error.message}`);
    });
  });
}

/** Whether every host, or the proxy in front of them, accepts a connection. */
async function hostsReachable(env: NodeJS.ProcessEnv): Promise<boolean> {
  const proxy = URL.parse(env["HTTPS_PROXY"] || env["https_proxy"] || "");
  const targets =
    proxy === null
      ? hosts.map((host) => ({ host, port: 443 }))
      : [{ host: proxy.hostname, port: Number(proxy.port || (proxy.protocol === "https:" ? 443 : 80)) }];
  const answers = await Promise.all(targets.map(acceptsConnection));
  return answers.every((answer) => answer);
}

function acceptsConnection(target: { host: string; port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ ...target, timeout: connectTimeout });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", end(true));
    socket.once("timeout", end(false));
    socket.once("error", end(false));
  });
}
