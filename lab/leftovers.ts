import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { daemonFile, labFiles } from "./layout.ts";

/**
 * What a lab leaves behind that was not stopped but killed (a power cut, SIGKILL): processes that hold its addresses, and
 * a folder of a cluster that is no more.
 */
export function reapLeftovers(say: (line: string) => void): void {
  if (!existsSync(labFiles.dir)) return;
  const pids = labProcesses();
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it ended meanwhile
    }
  }
  rmSync(labFiles.dir, { recursive: true, force: true });
  say(
    `removed what an earlier lab left behind${pids.length === 0 ? "" : ` (${pids.length} processes ended)`}`,
  );
}

/** Processes that run from this lab's own folder: each names it in its command line, nothing else does. */
function labProcesses(): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => isOfLab(commandLine(entry)))
    .map(Number);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(join("/proc", pid, "cmdline"), "utf8").split("\0");
  } catch {
    return []; // ended meanwhile
  }
}

const programs = /^(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kwok)$/;

function isOfLab([program = "", ...args]: string[]): boolean {
  const name = program.split("/").at(-1) ?? "";
  if (args[0] === daemonFile) return true;
  return programs.test(name) && args.some((arg) => arg.includes(`${labFiles.dir}/`));
}
