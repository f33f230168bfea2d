import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

/** Start options of a child process. */
export interface ProcessOptions {
  /** Short name, used for its log and PID file. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logDirectory: string;
  /** Holds one file per running process, so that a lab can clean up after one that died. */
  readonly runDirectory: string;
  /** For a Node.js program: an IPC channel for messages; its closing also tells the program that this process has ended. */
  readonly ipc?: boolean;
}

interface PidFile {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: distinguishes our process from one that reuses its PID. */
  readonly startTime: string;
}

const running = new Set<ManagedProcess>();
let exitHookInstalled = false;

/** A long-running child process with a log file. It doesn't outlive this process, unless this process is killed. */
export class ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #pidFile: string;
  readonly #exit: Promise<string>;
  #exited: string | undefined;
  #stopping = false;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    mkdirSync(options.logDirectory, { recursive: true, mode: 0o700 });
    mkdirSync(options.runDirectory, { recursive: true, mode: 0o700 });
    this.logFile = join(options.logDirectory, `${options.name}.log`);
    const log = openSync(this.logFile, "a", 0o600);
    try {
      this.#child = spawn(options.command, options.args, {
        stdio: ["ignore", log, log, ...(options.ipc === true ? (["ipc"] as const) : [])],
      });
    } finally {
      closeSync(log);
    }
    this.#pidFile = join(options.runDirectory, `${options.name}-${this.#child.pid ?? 0}.json`);
    this.#exit = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(`could not be started: ${error.message}`));
      this.#child.once("exit", (code, signal) =>
        resolve(signal === null ? `exit code ${code}` : `ended by ${signal}`),
      );
    }).then((how) => {
      this.#exited = how as string;
      running.delete(this);
      rmSync(this.#pidFile, { force: true });
      return this.#exited;
    });
    const pid = this.#child.pid;
    if (pid !== undefined) {
      const content: PidFile = { pid, startTime: startTimeOf(pid) ?? "" };
      writeFileSync(this.#pidFile, JSON.stringify(content), { mode: 0o600 });
      running.add(this);
      installExitHook();
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How it ended, or undefined while it is running. */
  get exited(): string | undefined {
    return this.#exited;
  }

  /** Whether it was asked to stop. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Resolves with how it ended. */
  get exit(): Promise<string> {
    return this.#exit;
  }

  /** Sends a message and resolves with the answer; rejects if the process exits instead. */
  async ask(message: object): Promise<unknown> {
    const answer = once(this.#child, "message").then(([reply]) => reply as unknown);
    this.#child.send(message);
    return Promise.race([
      answer,
      this.#exit.then((how) => Promise.reject(new Error(`${this.name}: ${how}: ${this.logTail(3)}`))),
    ]);
  }

  logTail(lines = 15): string {
    return existsSync(this.logFile)
      ? readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
      : "";
  }

  /** Asks it to stop, and kills it after the grace period. */
  async stop(graceMilliseconds = 5000): Promise<void> {
    this.#stopping = true;
    if (this.#exited !== undefined) return;
    this.#child.kill("SIGTERM");
    const timeout = new AbortController();
    const late = sleep(graceMilliseconds, "late", { signal: timeout.signal }).catch(() => "cancelled");
    if ((await Promise.race([this.#exit, late])) === "late") {
      this.#child.kill("SIGKILL");
      await this.#exit;
    }
    timeout.abort();
  }

  /** Kills it without waiting, right before this process exits. */
  kill(): void {
    this.#child.kill("SIGKILL");
    rmSync(this.#pidFile, { force: true });
  }
}

function installExitHook(): void {
  if (exitHookInstalled) return;
  exitHookInstalled = true;
  process.once("exit", () => {
    for (const child of running) child.kill();
  });
}

/** Start time of a process in kernel ticks; undefined if the PID doesn't exist. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the command in parentheses and may contain spaces, so count the rest from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has already ended; its parent just hasn't reaped it.
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Kills the processes left behind by a killed lab. Returns their names. */
export async function reapLeftovers(runDirectory: string): Promise<string[]> {
  if (!existsSync(runDirectory)) return [];
  const reaped: string[] = [];
  for (const file of readdirSync(runDirectory).filter((name) => name.endsWith(".json"))) {
    const path = join(runDirectory, file);
    const { pid, startTime } = JSON.parse(readFileSync(path, "utf8")) as PidFile;
    if (startTimeOf(pid) === startTime) {
      process.kill(pid, "SIGKILL");
      for (let waited = 0; startTimeOf(pid) === startTime && waited < 5000; waited += 20) await sleep(20);
      reaped.push(file.slice(0, file.lastIndexOf("-")));
    }
    rmSync(path, { force: true });
  }
  return reaped;
}
