import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** Environment for go: the user's own (GOFLAGS, GOPROXY, …) but for what would build something else. */
export function goEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GOOS: _os, GOARCH: _arch, ...rest } = env;
  // GOWORK: a go.work above this folder must not take part. GOOS and GOARCH: the tools run here.
  return { ...rest, CGO_ENABLED: "0", GOWORK: "off", GO111MODULE: "on" };
}

export interface GoRunOptions {
  /** Takes each line of standard output; without it they count as written for people. */
  readonly onOutput?: (line: string) => void;
  /** Whether a line of standard error is for us alone and stays out of the log. */
  readonly isNoise?: (line: string) => boolean;
}

/** Runs go in a module's folder, one command after the other, with one log. */
export class GoRun {
  /** The last lines that go wrote for people. */
  readonly lastLines: string[] = [];
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal;
  readonly #log: ReturnType<typeof createWriteStream>;

  constructor(folder: string, env: NodeJS.ProcessEnv, log: string, signal: AbortSignal) {
    this.#folder = folder;
    this.#env = env;
    this.#signal = signal;
    this.#log = createWriteStream(log);
  }

  async run(args: readonly string[], options: GoRunOptions): Promise<number | string> {
    this.#signal.throwIfAborted();
    this.#log.write(`$ go ${args.map(quoteArgument).join(" ")}\n`);
    // A process group of its own: when it has to end, the compilers and linkers that it started end with it.
    const group = process.platform !== "win32";
    const child = spawn("go", [...args], {
      cwd: this.#folder,
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: group,
    });
    const stop = (): void => void interrupt(child.pid, group, () => child.exitCode ?? child.signalCode);
    this.#signal.addEventListener("abort", stop, { once: true });
    const ended = new Promise<number | string>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal ?? "an unknown state"));
    });
    try {
      const [result] = await Promise.all([
        ended,
        eachLine(child.stdout, (line) => (options.onOutput ?? this.#keep)(line)),
        eachLine(child.stderr, (line) => {
          if (options.isNoise?.(line) !== true) {
            this.#keep(line);
          }
        }),
      ]);
      this.#signal.throwIfAborted();
      return result;
    } finally {
      this.#signal.removeEventListener("abort", stop);
    }
  }

  readonly #keep = (line: string): void => {
    this.#log.write(`${line}\n`);
    this.lastLines.push(line);
    if (this.lastLines.length > 20) {
      this.lastLines.shift();
    }
  };

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#log.end(() => resolve()));
  }
}

/** Asks go to end, so that it removes its own temporary files; insists after five seconds. */
async function interrupt(pid: number | undefined, group: boolean, ended: () => unknown): Promise<void> {
  if (pid === undefined) {
    return;
  }
  const send = (signal: NodeJS.Signals): void => {
    try {
      process.kill(group ? -pid : pid, signal);
    } catch {
      // Ended already.
    }
  };
  send("SIGINT");
  await delay(5_000, undefined, { ref: false });
  if (ended() === null) {
    send("SIGKILL");
  }
}

async function eachLine(stream: Readable, take: (line: string) => void): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
    take(line);
  }
}

/** An argument as a person would type it. */
export function quoteArgument(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument}'`;
}
