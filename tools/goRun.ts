import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** Environment for go: the user's own (GOFLAGS, GOPROXY, …), without the variables that would change what is built. */
export function goEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GOOS: _os, GOARCH: _arch, ...rest } = env;
  // GOWORK: ignore a go.work in a parent folder. GOOS and GOARCH: the tools run on this machine.
  return { ...rest, CGO_ENABLED: "0", GOWORK: "off", GO111MODULE: "on" };
}

export interface GoRunOptions {
  /** Receives each line of stdout. Default: the lines go to the log, like stderr. */
  readonly onOutput?: (line: string) => void;
  /** Whether a line of stderr is only for us and stays out of the log. */
  readonly isNoise?: (line: string) => boolean;
}

/** Runs go commands in a module's folder, one at a time, with a shared log. */
export class GoRun {
  /** The last lines that went to the log. */
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
    // Its own process group, so that stopping it also stops the compilers and linkers it started.
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

/** Interrupts go so that it can remove its temporary files; kills it after five seconds. */
async function interrupt(pid: number | undefined, group: boolean, ended: () => unknown): Promise<void> {
  if (pid === undefined) {
    return;
  }
  const send = (signal: NodeJS.Signals): void => {
    try {
      process.kill(group ? -pid : pid, signal);
    } catch {
      // Already exited.
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

/** Quotes an argument for a shell if necessary. */
export function quoteArgument(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument}'`;
}
