import { execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";

/** kubectl said no; `reason` is the API's own (`NotFound`, `Conflict`, …) or one of ours for what is no answer. */
export class KubectlError extends Error {
  override readonly name = "KubectlError";
  readonly reason: string;

  constructor(said: string) {
    super(said);
    this.reason = reasonOf(said);
  }

  /** No API server answered. */
  get unreachable(): boolean {
    return this.reason === "Unreachable";
  }

  /** The object is not there, or something it needs first: its namespace, its kind. */
  get missing(): boolean {
    return this.reason === "NotFound" || this.reason === "NoMatch";
  }
}

function reasonOf(said: string): string {
  const api = /Error from server \((\w+)\)/.exec(said)?.[1];
  if (api !== undefined) return api;
  if (/no matches for kind|the server doesn't have a resource type/.test(said)) return "NoMatch";
  const noAnswer =
    /Unable to connect to the server|connection to the server .* was refused|connection refused|no such host|i\/o timeout|TLS handshake timeout|connection reset|couldn't get current server API group list|was not found: put kubectl/;
  return noAnswer.test(said) ? "Unreachable" : "Unknown";
}

/** What a run of kubectl left. */
export interface KubectlAnswer {
  readonly stdout: string;
  /** Warnings of the API server, such as those of pod security. */
  readonly warnings: readonly string[];
}

/** How a run ends early. */
export interface RunOptions {
  readonly input?: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** Where kubectl finds its cluster. */
export interface ClusterAccess {
  /** Contents of a kubeconfig, or the path of one. Absent: kubectl's own rules (KUBECONFIG, ~/.kube/config). */
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly cluster?: string | undefined;
}

/** Runs the real kubectl against one cluster. */
export class Kubectl {
  readonly #access: ClusterAccess;
  #folder: string | undefined;

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  /** The namespace of the kubeconfig's context, for objects that name none. */
  async contextNamespace(): Promise<string | undefined> {
    const { stdout } = await this.run(["config", "view", "--minify", "-o", "jsonpath={..namespace}"]).catch(
      () => ({ stdout: "" }),
    );
    return stdout.trim() === "" ? undefined : stdout.trim();
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<KubectlAnswer> {
    const { program, argv } = this.#command(args);
    return new Promise((resolve, reject) => {
      const child = execFile(
        program,
        argv,
        {
          maxBuffer: 64 * 1024 * 1024,
          killSignal: "SIGKILL",
          ...(options.timeoutMs === undefined ? {} : { timeout: Math.max(1, options.timeoutMs) }),
          ...(options.signal === undefined ? {} : { signal: options.signal }),
        },
        (error, stdout, stderr) => {
          const lines = stderr.split("\n").filter((line) => line.trim() !== "");
          const warnings = lines
            .filter((line) => line.startsWith("Warning: "))
            .map((line) => line.slice("Warning: ".length));
          if (error === null) return resolve({ stdout, warnings });
          reject(
            new KubectlError(
              explain(
                error,
                program,
                lines.filter((line) => !line.startsWith("Warning: ")),
              ),
            ),
          );
        },
      );
      // kubectl may end before it has read everything, and says why by its exit code.
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(options.input ?? "");
    });
  }

  /**
   * Follows one object: `seen` gets its JSON for every change until it answers true. Ends with an error when the signal
   * does, or when kubectl gives up.
   */
  async watch(args: readonly string[], signal: AbortSignal, seen: (json: string) => boolean): Promise<void> {
    const { program, argv } = this.#command([...args, "--watch", "-o", "json"]);
    await new Promise<void>((resolve, reject) => {
      const child = spawn(program, argv, {
        stdio: ["ignore", "pipe", "pipe"],
        signal,
        killSignal: "SIGKILL",
      });
      let text = "";
      let said = "";
      let done = false;
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        // Objects come indented, one after the other: only the end of one has its brace in the first column.
        for (let end = text.indexOf("\n}\n"); end >= 0 && !done; end = text.indexOf("\n}\n")) {
          done = seen(text.slice(0, end + 2));
          text = text.slice(end + 3);
        }
        if (done) child.kill("SIGKILL");
      });
      child.once("error", reject);
      child.once("close", () => {
        if (done) resolve();
        else reject(new KubectlError(said.trim() || "the watch ended"));
      });
    });
  }

  /** Removes the files with credentials. */
  dispose(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = undefined;
  }

  #command(args: readonly string[]): { program: string; argv: string[] } {
    const { context, cluster } = this.#access;
    const kubeconfig = this.#kubeconfigFile();
    return {
      program: process.env["TALOS_ISCSI_KUBECTL"] ?? "kubectl",
      argv: [
        ...args,
        ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
        ...(context === undefined ? [] : [`--context=${context}`]),
        ...(cluster === undefined ? [] : [`--cluster=${cluster}`]),
        // Its own, so that one run of the plugin discovers the API once and no file of the user is touched.
        `--cache-dir=${join(this.#ownFolder(), "cache")}`,
      ],
    };
  }

  #ownFolder(): string {
    // mkdtemp makes it readable for its owner only.
    if (this.#folder === undefined) {
      this.#folder = mkdtempSync(join(tmpdir(), "talos-iscsi-kubectl-"));
      process.once("exit", () => this.dispose());
    }
    return this.#folder;
  }

  #kubeconfigFile(): string | undefined {
    const given = this.#access.kubeconfig;
    if (given === undefined) return undefined;
    if (!isKubeconfig(given)) return given;
    const file = join(this.#ownFolder(), "kubeconfig");
    writeFileSync(file, given, { mode: 0o600 });
    return file;
  }
}

/** Contents, as opposed to a path? */
function isKubeconfig(text: string): boolean {
  try {
    const document: unknown = parse(text);
    return typeof document === "object" && document !== null;
  } catch {
    // Not shown: it may be a damaged kubeconfig, with its keys.
    throw new Error("kubeconfig: is neither the path of a kubeconfig nor YAML");
  }
}

function explain(
  error: Error & { code?: string | number | null; killed?: boolean },
  program: string,
  lines: readonly string[],
): string {
  if (error.name === "AbortError") return "cancelled";
  if (error.code === "ENOENT") {
    return `${program} was not found: put kubectl on PATH, or its path into TALOS_ISCSI_KUBECTL`;
  }
  const said = lines
    // client-go's own log lines, which repeat what kubectl says last.
    .filter((line) => !/^[EIW]\d{4} /.test(line))
    .map((line) => line.replaceAll(/error when (creating|patching|applying patch to)[^:]*"STDIN": /g, ""))
    .join("; ");
  return (
    said ||
    (error.killed === true ? "kubectl gave no answer in time" : `kubectl ended with ${String(error.code)}`)
  );
}
