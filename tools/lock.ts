import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";

/** A held lock: a file that its holder keeps touching. */
export interface Lock {
  /** Releases the lock. Safe to call twice. Synchronous, so that a signal handler can call it. */
  release(): void;
}

interface Holder {
  readonly token: string;
  readonly pid: number;
  readonly host: string;
}

/** Since when the waiting process has seen the lock untouched, by its own monotonic clock, so that suspending a laptop does not break the lock. */
interface WatchedLock {
  readonly touched: number;
  readonly since: number;
}

export interface LockOptions {
  /** Called once if another process holds the lock. */
  readonly onWait?: (holder: string) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds after which an untouched lock counts as abandoned. Default: 20000. */
  readonly staleAfter?: number;
}

/**
 * Takes the lock, waiting as long as another live process holds it.
 *
 * The lock only saves work; correctness does not depend on it. If two processes both think they hold it, they build
 * the same thing twice, and each renames its result into place. So breaking a dead holder's lock can be simple.
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
    // This fails if the lock was broken or its folder deleted. The build goes on, see takeLock.
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
        // The file is gone, or another process has just taken the lock: nothing to release.
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

/** The current state of another process's lock; undefined if it is gone. */
async function readLock(file: string): Promise<{ holder?: Holder; touched: number } | undefined> {
  try {
    const [content, { mtimeMs: touched }] = await Promise.all([readFile(file, "utf8"), stat(file)]);
    // The file is empty for an instant, until its holder has written to it.
    return content === "" ? { touched } : { holder: JSON.parse(content) as Holder, touched };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}

/** Whether the holder is known to be dead. Only possible for a process on this machine. */
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

/** Renames first, so that only one of several processes that see the same dead holder removes its file. */
async function breakLock(file: string): Promise<void> {
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
    await rm(aside);
  } catch {
    // Another process was faster.
  }
}
