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

/** What a child process is started with. */
export interface ProcessOptions {
  /** Short name, used for its log and pid file. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logDirectory: string;
  /** Holds one file per running process, so that a lab that died can be cleaned up by the next one. */
  readonly runDirectory: string;
  /** For a Node program: a channel for messages, and for it to see that this process has ended. */
  readonly ipc?: boolean;
}

interface PidFile {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: tells a reused pid from ours. */
  readonly startTime: string;
}

const running = new Set<ManagedProcess>();
let exitHookInstalled = false;

/** A long-running child with a log file, that does not outlive this process when that ends in an orderly way. */
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

  /** How it ended, or undefined while it runs. */
  get exited(): string | undefined {
    return this.#exited;
  }

  /** Was it asked to end? */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Resolves with how it ended. */
  get exit(): Promise<string> {
    return this.#exit;
  }

  /** Sends a message and resolves with the answer; a process that ends instead is an error. */
  async ask(message: object): Promise<unknown> {
    const answer = once(this.#child, "message").then(([reply]) => reply as unknown);
    this.#child.send(message);
    return Promise.race([
      answer,
      this.#exit.then((how) => Promise.reject(new Error(`${this.name}: ${how}: ${this.logTail(3)}`))),
    ]);
  }

  /** The last lines of its log. */
  logTail(lines = 15): string {
    return existsSync(this.logFile)
      ? readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
      : "";
  }

  /** Asks it to end, and ends it after the grace period. */
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

  /** Ends it at once, without waiting; for the last moment of this process. */
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

/** When a process was started, in the kernel's ticks; undefined when there is none of that id. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the command in parentheses and may hold spaces; the rest counts from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended already; its parent just has not asked.
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Ends the processes that a lab left behind when it was killed. Returns their names. */
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
