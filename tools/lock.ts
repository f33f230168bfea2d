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

/** Since when a waiting process has seen the lock untouched, by its own clock: that survives a suspended laptop. */
interface WatchedLock {
  readonly touched: number;
  readonly since: number;
}

export interface LockOptions {
  /** Called once when somebody else holds the lock. */
  readonly onWait?: (holder: string) => void;
  readonly signal?: AbortSignal;
  /** How long a lock is respected that nobody touches, in milliseconds; 20000 by default. */
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
  let watched: WatchedLock | undefined;
  for (;;) {
    options.signal?.throwIfAborted();
    if (await createExclusively(file, JSON.stringify(holder))) {
      return holdLock(file, holder.token, staleAfter);
    }
    const seen = await readLock(file);
    if (seen !== undefined) {
      const stale = watched !== undefined && performance.now() - watched.since > staleAfter;
      if (isDead(seen.holder) || (stale && watched?.touched === seen.touched)) {
        await breakLock(file);
        continue;
      }
      if (watched === undefined) {
        options.onWait?.(seen.holder === undefined ? "another process" : `process ${seen.holder.pid}`);
      }
      if (watched?.touched !== seen.touched) {
        watched = { touched: seen.touched, since: performance.now() };
      }
    }
    await delay(250, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

function holdLock(file: string, token: string, staleAfter: number): Lock {
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

/** The lock of somebody else as it is now; nothing if it is gone. */
async function readLock(file: string): Promise<{ holder?: Holder; touched: number } | undefined> {
  try {
    const [content, { mtimeMs: touched }] = await Promise.all([readFile(file, "utf8"), stat(file)]);
    // Empty for the instant between its creation and its holder's name.
    return content === "" ? { touched } : { holder: JSON.parse(content) as Holder, touched };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

/** Known to be dead at once, which is possible for a process of this machine only. */
function isDead(holder: Holder | undefined): boolean {
  return holder !== undefined && holder.host === hostname() && !isAlive(holder.pid);
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
