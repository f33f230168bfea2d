import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";

/** When the engine is killed and nobody reads the plugin's output, the plugin's process must exit. */

const root = join(import.meta.dirname, "../..");
const sessions = new Set<ServerHttp2Session>();
let child: ChildProcess | undefined;
let engine: Http2Server | undefined;

function killEngine(): void {
  engine?.close();
  for (const session of sessions) session.destroy();
  sessions.clear();
}
afterEach(() => {
  child?.kill("SIGKILL");
  killEngine();
});

/** Starts the plugin of this folder and waits until it serves. */
async function start(folder: string, port: number, env: NodeJS.ProcessEnv = process.env) {
  const plugin = spawn(process.execPath, [join(folder, "start.cjs"), `127.0.0.1:${port}`], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child = plugin;
  const exited = once(plugin, "exit");
  // It serves once its first line, the port, is printed.
  expect(String((await once(plugin.stdout, "data"))[0])).toMatch(/^\d+/);
  return { plugin, exited };
}

async function listen(): Promise<number> {
  // Any HTTP/2 server passes for an engine, since the channel only watches the connection.
  const listening = createServer().listen(0, "127.0.0.1");
  engine = listening;
  listening.on("session", (session) => sessions.add(session));
  await once(listening, "listening");
  return (listening.address() as AddressInfo).port;
}

const folders = ["provider", "plugin"];

it.each(folders)(
  "the plugin in %s/ exits with its engine",
  async (folder) => {
    const { plugin, exited } = await start(folder, await listen());
    await expect.poll(() => sessions.size, { timeout: 10_000 }).toBeGreaterThan(0);
    plugin.stdout.destroy();
    plugin.stderr.destroy();
    killEngine();
    expect((await exited)[0]).toBe(1);
  },
  30_000,
);

it.each(folders)(
  "the plugin in %s/ exits if its engine is gone before the first connection, as in `pulumi preview | head -1`",
  async (folder) => {
    const port = await listen();
    killEngine();
    const { exited } = await start(folder, port);
    expect((await exited)[0]).toBe(1);
  },
  30_000,
);

it("a proxy of the environment is not used for the local engine", async () => {
  const proxy = "http://127.0.0.1:9";
  const { plugin } = await start("provider", await listen(), {
    ...process.env,
    ...{ http_proxy: proxy, https_proxy: proxy, grpc_proxy: proxy, no_proxy: "", no_grpc_proxy: "" },
  });
  await expect.poll(() => sessions.size, { timeout: 10_000 }).toBeGreaterThan(0);
  expect(plugin.exitCode).toBe(null);
}, 30_000);
