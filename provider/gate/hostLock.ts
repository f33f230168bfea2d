import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../clock.ts";
import { backoff } from "../timeouts.ts";

/**
 * Waits until no other process of this machine disturbs the cluster, such as a second plugin of the same engine, or the `up` of another stack. The process that
 * listens on the cluster's socket holds the lock; the OS closes the socket when its process dies, so there is nothing to clean up.
 * @param cluster the cluster's key
 * @param waiting called once if another process holds the lock
 * @returns releases the lock
 */
export async function acquireHostLock(
  cluster: string,
  signal: AbortSignal,
  waiting: () => void,
): Promise<() => void> {
  const path = socketPath(createHash("sha256").update(cluster).digest("hex").slice(0, 32));
  const pause = backoff(realClock, 250, 2_000);
  for (let first = true; ; first = false) {
    const end = await tryListen(path);
    if (end !== undefined) return end;
    if (first) waiting();
    if (await isStaleSocket(path)) rmSync(path, { force: true });
    else await realClock.sleep(pause(), signal);
  }
}

/** Abstract sockets (Linux) and pipes (Windows) are not files; elsewhere the socket is a file in the user's own runtime folder. */
function socketPath(id: string): string {
  const name = `talos-iscsi-${id}`;
  if (process.platform === "linux") return `\0${name}`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
}

/** Undefined while another process listens. */
async function tryListen(path: string): Promise<(() => void) | undefined> {
  const server = createServer((socket) => socket.destroy());
  const listening = Promise.withResolvers<boolean>();
  server.once("listening", () => listening.resolve(true));
  server.once("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EADDRINUSE" || error.code === "EACCES") listening.resolve(false);
    else listening.reject(error);
  });
  server.listen(path);
  // Holding the lock must not keep the process alive.
  server.unref();
  return (await listening.promise) ? () => void server.close() : undefined;
}

/** A socket file outlives its process; then nobody answers. */
async function isStaleSocket(path: string): Promise<boolean> {
  if (process.platform === "linux" || process.platform === "win32") return false;
  const socket = connect(path);
  const answered = Promise.withResolvers<boolean>();
  socket.once("connect", () => answered.resolve(false));
  socket.once("error", (error: NodeJS.ErrnoException) => answered.resolve(error.code === "ECONNREFUSED"));
  const leftOver = await answered.promise;
  socket.destroy();
  return leftOver;
}
