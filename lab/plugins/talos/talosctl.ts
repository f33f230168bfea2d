import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** talosctl failed. The message is its output, without the paths of our temporary files. */
export class TalosctlError extends Error {
  /** The gRPC code in its output, such as `InvalidArgument`, if a server answered. */
  readonly code: string | undefined;
  /** It was stopped because of its timeout. */
  readonly timedOut: boolean;

  constructor(command: string, output: string, timedOut = false) {
    super(`talosctl ${command}: ${output}`);
    this.name = "TalosctlError";
    this.timedOut = timedOut;
    this.code = /code = (\w+)/.exec(output)?.[1];
  }
}

const PREFIX = "talos-iscsi-stand-in-";
let swept: Promise<void> | undefined;

/** The engine kills a plugin that doesn't exit in time, so nothing is cleaned up: the next plugin does it. */
async function sweepLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : Number.NaN;
    if (Number.isInteger(pid) && !isAlive(pid)) {
      // Folders of another user stay: they aren't ours to remove.
      await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
    }
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

export interface Output {
  stdout: string;
  stderr: string;
}

/**
 * Files that talosctl reads and writes. Secrets only pass through them, never through the command line,
 * which every user of the machine can read. Only the owner can read the folder, and it is removed afterwards.
 */
export class Workspace {
  readonly path: string;
  readonly #signal: AbortSignal;

  private constructor(path: string, signal: AbortSignal) {
    this.path = path;
    this.#signal = signal;
  }

  static async use<T>(signal: AbortSignal, work: (workspace: Workspace) => Promise<T>): Promise<T> {
    swept ??= sweepLeftovers();
    await swept;
    const path = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
    try {
      await chmod(path, 0o700);
      return await work(new Workspace(path, signal));
    } finally {
      await rm(path, { recursive: true, force: true });
    }
  }

  async write(name: string, content: string): Promise<string> {
    const path = join(this.path, name);
    await writeFile(path, content, { mode: 0o600 });
    return path;
  }

  /** talosctl's standard output. */
  async talosctl(args: string[], options: { timeoutMs: number }): Promise<string> {
    return (await this.run(args, options)).stdout;
  }

  /**
   * Runs talosctl without access to the user's own talosconfig.
   *
   * @throws TalosctlError if it fails, takes longer than `timeoutMs`, or is canceled by the user.
   */
  async run(args: string[], options: { timeoutMs: number }): Promise<Output> {
    const command = args[0] ?? "";
    const program = process.env["TALOS_ISCSI_TALOSCTL"] ?? "talosctl";
    const { TALOSCONFIG: _talosconfig, ...env } = process.env;
    return new Promise((resolve, reject) => {
      execFile(
        program,
        args,
        {
          cwd: process.cwd(),
          env: { ...env, HOME: this.path },
          maxBuffer: 64 * 1024 * 1024,
          timeout: Math.max(1, Math.ceil(options.timeoutMs)),
          killSignal: "SIGKILL",
          signal: this.#signal,
        },
        (error, stdout, stderr) => {
          if (error === null) {
            resolve({ stdout, stderr });
          } else {
            reject(new TalosctlError(command, this.#explain(error, program, stderr), error.killed === true));
          }
        },
      );
    });
  }

  #explain(
    error: Error & { code?: string | number | null; killed?: boolean },
    program: string,
    stderr: string,
  ): string {
    if (this.#signal.aborted) {
      return "cancelled";
    }
    if (error.code === "ENOENT") {
      return `${program} was not found: put talosctl on PATH, or its path into TALOS_ISCSI_TALOSCTL`;
    }
    const said = stderr
      .replaceAll(`${this.path}/`, "")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "" && line !== "generating PKI and tokens")
      .join("; ");
    if (error.killed === true) {
      return said === "" ? "no answer in time" : `no answer in time; last seen: ${said}`;
    }
    return said === "" ? `failed (${String(error.code ?? "killed")})` : said.replace(/^error: /i, "");
  }
}
