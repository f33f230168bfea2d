import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
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
  #kubeconfig: number | undefined;

  constructor(access: ClusterAccess) {
    this.#access = access;
  }

  /** The namespace of the kubeconfig's context, for objects that name none. */
  async contextNamespace(): Promise<string | undefined> {
    const view = this.run(["config", "view", "--minify", "--output=jsonpath={..namespace}"]);
    const { stdout } = await view.catch(() => ({ stdout: "" }));
    return stdout.trim() === "" ? undefined : stdout.trim();
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<KubectlAnswer> {
    const chunks: string[] = [];
    const ended = await this.#spawn(args, options, (chunk) => void chunks.push(chunk));
    const lines = ended.stderr.split("\n").filter((line) => line.trim() !== "");
    const isWarning = (line: string) => line.startsWith("Warning: ");
    if (ended.failure !== undefined) {
      throw new KubectlError(
        explain(
          ended.failure,
          lines.filter((line) => !isWarning(line)),
        ),
      );
    }
    return {
      stdout: chunks.join(""),
      warnings: lines.filter(isWarning).map((line) => line.slice("Warning: ".length)),
    };
  }

  /**
   * Follows one object: `seen` gets its JSON for every change until it answers true. Fails when the signal is aborted
   * and when kubectl gives up.
   */
  async watch(args: readonly string[], signal: AbortSignal, seen: (json: string) => boolean): Promise<void> {
    const enough = new AbortController();
    let text = "";
    const ended = await this.#spawn(
      [...args, "--watch", "--output=json"],
      { signal: AbortSignal.any([signal, enough.signal]) },
      (chunk) => {
        text += chunk;
        // Objects come indented, one after the other: only the end of one has its brace in the first column.
        for (
          let end = text.indexOf("\n}\n");
          end >= 0 && !enough.signal.aborted;
          end = text.indexOf("\n}\n")
        ) {
          if (seen(text.slice(0, end + 2))) enough.abort();
          text = text.slice(end + 3);
        }
      },
    );
    if (!enough.signal.aborted)
      throw new KubectlError(explain(ended.failure ?? "ended", [ended.stderr.trim()]));
  }

  /** `failure` is undefined after a success. */
  #spawn(
    args: readonly string[],
    options: RunOptions,
    output: (chunk: string) => void,
  ): Promise<{ failure: string | undefined; stderr: string }> {
    const program = process.env["TALOS_ISCSI_KUBECTL"] ?? "kubectl";
    const { argv, kubeconfig } = this.#arguments(args);
    return new Promise((resolve) => {
      const child = spawn(program, argv, {
        stdio: ["pipe", "pipe", "pipe", ...(kubeconfig === undefined ? [] : [kubeconfig])],
        killSignal: "SIGKILL",
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      }) as ChildProcessWithoutNullStreams;
      let stderr = "";
      let failure: string | undefined;
      child.stdout.setEncoding("utf8").on("data", output);
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
      child.once("error", (error: NodeJS.ErrnoException) => {
        if (error.name === "AbortError") failure = "cancelled";
        else failure = error.code === "ENOENT" ? notFound(program) : error.message;
        if (child.pid === undefined) resolve({ failure, stderr });
      });
      child.once("close", (code, signal) => {
        if (code !== 0) failure ??= `kubectl ended with ${signal ?? `exit code ${String(code)}`}`;
        resolve({ failure, stderr });
      });
      // kubectl may end before it has read everything, and says why by its exit code.
      child.stdin.on("error", () => undefined);
      child.stdin.end(options.input ?? "");
    });
  }

  #arguments(args: readonly string[]): { argv: string[]; kubeconfig: number | undefined } {
    const { context, cluster, kubeconfig: given } = this.#access;
    const inside = given !== undefined && isKubeconfig(given);
    return {
      argv: [
        ...args,
        ...(given === undefined ? [] : [`--kubeconfig=${inside ? "/dev/fd/3" : given}`]),
        ...(context === undefined ? [] : [`--context=${context}`]),
        ...(cluster === undefined ? [] : [`--cluster=${cluster}`]),
      ],
      kubeconfig: inside ? (this.#kubeconfig ??= nameless(given)) : undefined,
    };
  }
}

/**
 * An open file with this content that has no name any more. The engine ends its plugins with SIGKILL, and a kubeconfig
 * must not stay behind when nothing can clean up.
 */
function nameless(content: string): number {
  const folder = mkdtempSync(join(tmpdir(), "talos-iscsi-"));
  try {
    const file = join(folder, "kubeconfig");
    writeFileSync(file, content, { mode: 0o600 });
    return openSync(file, "r");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function notFound(program: string): string {
  return `${program} was not found: put kubectl on PATH, or its path into TALOS_ISCSI_KUBECTL`;
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

function explain(failure: string, lines: readonly string[]): string {
  const said = lines
    // client-go's own log lines, which repeat what kubectl says last.
    .filter((line) => line !== "" && !/^[EIW]\d{4} /.test(line))
    .map((line) => line.replaceAll(/error when (creating|patching|applying patch to)[^:]*"STDIN": /g, ""))
    .join("; ");
  return failure === "cancelled" || said === "" ? failure : said;
}
