import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";

/** A lock that is held: a file that its holder keeps touching. */
export interface Lock {
  /** Gives the lock back. Safe to call twice; does not wait, so that a signal handler can call it. */
  release(): void;
}

interface Holder {
  readonly token: string;
  readonly pid: number;
  readonly host: string;
}

export interface LockOptions {
  /** Called once when somebody else holds the lock. */
  readonly onWait?: (holder: string) => void;
  readonly signal?: AbortSignal;
  /** How long a lock lives that nobody touches, in milliseconds. */
  readonly staleAfter?: number;
}

/**
 * Takes the lock, waiting for as long as another living process holds it.
 *
 * It saves work and is not what keeps results right: two processes that both believe to hold it build the same
 * thing twice, and each puts its result in place with a rename. So breaking a dead holder's lock may be simple.
 */
export async function takeLock(file: string, options: LockOptions = {}): Promise<Lock> {
  const staleAfter = options.staleAfter ?? 20_000;
  const holder: Holder = { token: randomUUID(), pid: process.pid, host: hostname() };
  let waited = false;
  for (;;) {
    options.signal?.throwIfAborted();
    if (await createExclusively(file, JSON.stringify(holder))) {
      return held(file, holder.token, staleAfter);
    }
    const other = await readHolder(file);
    if (other !== "gone") {
      if (await isStale(file, other, staleAfter)) {
        await breakLock(file);
        continue;
      }
      if (!waited) {
        waited = true;
        options.onWait?.(
          other === "unreadable" ? "another process" : `process ${other.pid} on ${other.host}`,
        );
      }
    }
    await delay(250, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

function held(file: string, token: string, staleAfter: number): Lock {
  const heartbeat = setInterval(() => {
    const now = new Date();
    // Failing means that the lock was taken away or its folder deleted; the build goes on, see takeLock.
    utimes(file, now, now).catch(() => undefined);
  }, staleAfter / 5);
  heartbeat.unref();
  return {
    release() {
      clearInterval(heartbeat);
      try {
        if ((JSON.parse(readFileSync(file, "utf8")) as Holder).token === token) {
          rmSync(file);
        }
      } catch {
        // Not there any more, or somebody else's by now: nothing to give back.
      }
    },
  };
}

async function createExclusively(file: string, content: string): Promise<boolean> {
  try {
    const handle = await open(file, "wx");
    await handle.writeFile(content);
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      return false;
    }
    throw error;
  }
}

async function readHolder(file: string): Promise<Holder | "unreadable" | "gone"> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Holder;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "gone" : "unreadable";
  }
}

async function isStale(file: string, holder: Holder | "unreadable", staleAfter: number): Promise<boolean> {
  if (holder !== "unreadable" && holder.host === hostname() && !isAlive(holder.pid)) {
    return true;
  }
  try {
    return Date.now() - (await stat(file)).mtimeMs > staleAfter;
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Renames first, so that of several processes that see the same dead holder only one removes its file. */
async function breakLock(file: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
    await rm(aside);
  } catch {
    // Another process was quicker.
  }
}
