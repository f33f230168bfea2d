import { existsSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Stack } from "@pulumi/pulumi/automation/index.js";
import { labFiles } from "./layout.ts";

/** The holder of a stack in the file backend, as the engine writes it (pkg/backend/diy/lock.go). */
interface Lock {
  pid: number;
  hostname: string;
}

/**
 * A killed engine leaves its lock on the stack. The lock is removed only if its owner is certainly dead; if any lock belongs to
 * a running engine, or to another machine, all of them stay.
 */
export async function releaseDeadLocks(stack: Stack, say: (line: string) => void): Promise<void> {
  const locks = locksOf(stack.name);
  if (locks.length === 0 || !locks.every(isDead)) return;
  await stack.cancel();
  const pids = locks.map(({ pid }) => pid).join(", ");
  say(`removed the lock of an earlier run, whose engine (process ${pids}) was killed`);
}

function locksOf(stackName: string): Lock[] {
  const folder = join(labFiles.backend, ".pulumi", "locks", "organization", "talos-iscsi", stackName);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => {
      try {
        return [JSON.parse(readFileSync(join(folder, file), "utf8")) as Lock];
      } catch {
        return []; // released in the meantime
      }
    });
}

function isDead(lock: Lock): boolean {
  if (lock.hostname !== hostname()) return false;
  try {
    process.kill(lock.pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
