import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ContainerSpec } from "./manifests.ts";

/** A mount in a container: its path on the node and in the container. */
export interface Mount {
  from: string;
  to: string;
  readOnly: boolean;
  propagation: "private" | "slave" | "shared";
}

export interface ContainerOptions {
  name: string;
  /** An empty folder for this container. */
  folder: string;
  /** The process whose mount namespace is the node's. */
  namespaceOf: number;
  binary: string;
  entryPoint: string;
  /** Additional programs of the image, by path. */
  programs: Readonly<Record<string, string>>;
  args: readonly string[];
  environment: Readonly<Record<string, string>>;
  mounts: readonly Mount[];
  security: NonNullable<ContainerSpec["securityContext"]>;
  user: number;
  hostPID: boolean;
  log: (line: string) => void;
}

/** A container that is restarted when its process exits, as with `restartPolicy: Always`. */
export class Container {
  readonly name: string;
  readonly #options: ContainerOptions;
  readonly #said: string[] = [];
  #process: ChildProcess | undefined;
  #stopping = false;
  #ended: Promise<void> = Promise.resolve();
  /** How each process ended that wasn't stopped by us. */
  readonly exits: string[] = [];

  constructor(options: ContainerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The last 2,000 lines that its processes wrote. */
  get output(): string {
    return this.#said.join("\n");
  }

  start(): void {
    const { folder, namespaceOf, hostPID, args } = this.#options;
    const root = join(folder, "root");
    mkdirSync(root, { recursive: true });
    mkdirSync(join(folder, "image"), { recursive: true });
    for (const [path, content] of Object.entries(this.#options.programs)) {
      mkdirSync(join(folder, "image", dirname(path)), { recursive: true });
      writeFileSync(join(folder, "image", path), content, { mode: 0o755 });
    }
    const mounts = join(folder, "mounts");
    const lines = this.#options.mounts.map(
      ({ from, to, readOnly, propagation }) => `${from} ${to} ${readOnly ? "ro" : "rw"} ${propagation}\n`,
    );
    writeFileSync(mounts, lines.join(""));
    const { privileged = false, readOnlyRootFilesystem = false } = this.#options.security;
    const script = [
      join(import.meta.dirname, "container.sh"),
      join(folder, "..", "root"),
      root,
      this.#options.binary,
      this.#options.entryPoint,
      readOnlyRootFilesystem ? "readonly" : "writable",
      identityFlags(this.#options.user) + capabilityFlags(privileged, this.#options.security),
      mounts,
      ...args,
    ];
    const child = spawn(
      "nsenter",
      [
        `--mount=/proc/${namespaceOf}/ns/mnt`,
        "unshare",
        "--mount",
        "--propagation=unchanged",
        ...(hostPID ? [] : ["--pid", "--fork", "--kill-child"]),
        "sh",
        ...script,
      ],
      { env: this.#options.environment, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => this.#keep(chunk.toString("utf8")));
    }
    this.#ended = new Promise((resolve) => {
      child.once("error", (error) => this.#keep(error.message));
      child.once("close", (code, signal) => {
        if (!this.#stopping) {
          this.exits.push(signal ?? `exit code ${code ?? "?"}`);
          // A kubelet waits 10 seconds or more; here, waiting wouldn't show anything.
          setTimeout(() => void (this.#stopping || this.start()), 500);
        }
        resolve();
      });
    });
  }

  /** Stops it, without an entry in `exits`, and starts it again: like a new pod that replaces the old one. */
  async restart(): Promise<void> {
    await this.stop();
    this.#stopping = false;
    this.start();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    // Kills the container's first process directly: the kernel drops what --kill-child asks of it once that process changes its user.
    for (const child of childrenOf(this.#process?.pid)) killProcess(child);
    this.#process?.kill("SIGKILL");
    await this.#ended;
  }

  #keep(text: string): void {
    for (const line of text.trimEnd().split("\n")) {
      this.#said.push(line);
      this.#options.log(`${this.name}: ${line}`);
    }
    this.#said.splice(0, Math.max(0, this.#said.length - 2000));
  }
}

function childrenOf(pid: number | undefined): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it has exited in the meantime
  }
}

const identityFlags = (user: number): string =>
  user === 0 ? "" : `--reuid=${user} --regid=${user} --clear-groups `;

function capabilityFlags(privileged: boolean, security: ContainerOptions["security"]): string {
  const dropped = security.capabilities?.drop ?? [];
  const flags: string[] = [];
  if (!privileged) {
    // What a runtime grants by default (containerd pkg/oci, DefaultUnixCaps), minus what the manifest drops.
    const kept = dropped.includes("ALL") ? [] : defaultCapabilities.filter((name) => !dropped.includes(name));
    const added = (security.capabilities?.add ?? []).map((name) => name.toUpperCase());
    const list = ["-all", ...[...kept, ...added].map((name) => `+${name.toLowerCase()}`)].join(",");
    flags.push(`--bounding-set=${list}`, `--inh-caps=-all`);
  }
  if (security.allowPrivilegeEscalation === false) flags.push("--no-new-privs");
  return flags.length === 0 ? "--inh-caps=-all" : flags.join(" ");
}

const defaultCapabilities = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
];
