import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";

/** The engine is killed and nobody reads the plugin's output any more: its process must not stay behind. */

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

it.each(["provider", "plugin"])(
  "the plugin in %s/ ends with its engine",
  async (folder) => {
    // To a channel that only watches its connection, any HTTP/2 server is an engine.
    const listening = createServer().listen(0, "127.0.0.1");
    engine = listening;
    listening.on("session", (session) => sessions.add(session));
    await once(listening, "listening");
    const { port } = listening.address() as AddressInfo;

    const plugin = spawn(process.execPath, [join(folder, "start.cjs"), `127.0.0.1:${port}`], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = plugin;
    const exited = once(plugin, "exit");
    // It serves: its own port is the first line.
    expect(String((await once(plugin.stdout, "data"))[0])).toMatch(/^\d+/);
    await expect.poll(() => sessions.size, { timeout: 10_000 }).toBeGreaterThan(0);
    plugin.stdout.destroy();
    plugin.stderr.destroy();
    killEngine();
    expect((await exited)[0]).toBe(1);
  },
  30_000,
);
