import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { daemonFile, labFiles } from "./layout.ts";

/**
 * Cleans up after a lab that was killed instead of stopped (a power cut, SIGKILL): processes that hold its addresses, and the
 * folder of its former cluster.
 */
export function reapLeftovers(say: (line: string) => void): void {
  if (!existsSync(labFiles.dir)) return;
  const ended = endLabProcesses();
  rmSync(labFiles.dir, { recursive: true, force: true });
  say(`removed what an earlier lab left behind${ended === 0 ? "" : ` (${ended} processes ended)`}`);
}

/** Kills what runs from this lab's folder: plugins outlive a killed engine, and the lab too. Returns how many processes there were. */
export function endLabProcesses(): number {
  const pids = labProcesses();
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it exited in the meantime
    }
  }
  return pids.length;
}

/** Processes that run from this lab's own folder: each has it in its command line, and no other process does. */
export function labProcesses(): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => isOfLab(commandLine(entry)))
    .map(Number);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(join("/proc", pid, "cmdline"), "utf8").split("\0");
  } catch {
    return []; // exited in the meantime
  }
}

const programs = /^(etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kwok)$/;

function isOfLab([program = "", ...args]: string[]): boolean {
  const name = program.split("/").at(-1) ?? "";
  if (args[0] === daemonFile) return true;
  if (programs.test(name)) return args.some((arg) => arg.includes(`${labFiles.dir}/`));
  // The engine finds its plugins in the lab's folder: an executable, or a script that Node.js runs.
  return [program, ...args].some((arg) => arg.startsWith(join(labFiles.bin, "pulumi-resource-")));
}
