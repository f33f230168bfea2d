import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Listener, isApiReady } from "./apiServer.ts";
import { ApiServers, type WantedApiServer } from "./apiServers.ts";
import {
  type ComponentContext,
  controllerManagerArgs,
  etcdArgs,
  etcdClientPort,
  kwokArgs,
  schedulerArgs,
} from "./commands.ts";
import type { StaticPodName } from "../node/machine/componentConfigs.ts";
import { authoritiesOf, type ControlPlaneSettings } from "./configuration.ts";
import {
  type Authorities,
  issueKubeconfig,
  loadAuthorities,
  SecretFolder,
  writeClusterSecrets,
} from "./credentials.ts";
import type { FrontDoorAnswer, FrontDoorRequest } from "./frontDoor.ts";
import { acceptsConnections, loopbackAddress } from "./loopback.ts";
import { ManagedProcess } from "./process.ts";

/** Absolute paths of the control plane's programs, by name. */
export type KubernetesTools = Record<
  "etcd" | "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" | "kwok",
  string
>;

/** A kube-apiserver as defined by a control plane's settings. */
export type ServerOfControlPlane = Omit<WantedApiServer, "command">;

/** A control plane's folder, programs and callbacks. */
export interface ControlPlaneOptions {
  readonly directory: string;
  readonly tools: KubernetesTools;
  /** Folders with programs of other releases, by release: a component runs the release that its image names. Default: those in `tools`, whatever the image. */
  readonly builds?: Readonly<Record<string, string>>;
  readonly log: (line: string) => void;
  /** Called when a process has exited without being asked to. */
  readonly onCrash: () => void;
  /** How long kube-apiserver may take to become ready. */
  readonly startTimeoutMilliseconds: number;
}

const frontDoor = fileURLToPath(new URL("frontDoorProcess.ts", import.meta.url));
const stages = fileURLToPath(new URL("stages.yaml", import.meta.url));

/** etcd and the Kubernetes components of one cluster, as real processes on one loopback address. */
export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #settings: ControlPlaneSettings;
  readonly #secrets: SecretFolder;
  #authorities: Authorities;
  /** The CAs that issued the secrets, as text for comparison. */
  #issuedBy: string;
  readonly #address: string;
  readonly #processes = new Map<string, { process: ManagedProcess; args: string }>();
  readonly #apiServers: ApiServers;
  /** A lab fault: the front door refuses all connections. */
  #closed = false;

  private constructor(
    options: ControlPlaneOptions,
    settings: ControlPlaneSettings,
    secrets: SecretFolder,
    authorities: Authorities,
    address: string,
  ) {
    this.#options = options;
    this.#settings = settings;
    this.#secrets = secrets;
    this.#authorities = authorities;
    this.#issuedBy = authoritiesOf(settings);
    this.#address = address;
    this.#apiServers = new ApiServers({
      address,
      startTimeoutMilliseconds: options.startTimeoutMilliseconds,
      start: (wanted) => ({
        context: this.#context(wanted.settings),
        secrets: this.#secrets,
        authorities: this.#authorities,
        nodeAddresses: wanted.nodeAddresses,
        runDirectory: this.#runDirectory,
        ...(wanted.listener === undefined ? {} : { auditLog: `audit-${wanted.name}.log` }),
      }),
      openTo: (listener) => this.#openTo(listener),
      started: (server) => this.#watch(server.process),
      log: options.log,
    });
  }

  /** Creates the secrets of a control plane from its settings. Doesn't start anything yet. */
  static async prepare(options: ControlPlaneOptions, settings: ControlPlaneSettings): Promise<ControlPlane> {
    const address = await loopbackAddress(settings.endpoint);
    const secrets = new SecretFolder(join(options.directory, "pki"));
    const authorities = await issueSecrets(secrets, settings, address);
    return new ControlPlane(options, settings, secrets, authorities, address);
  }

  /** Path of a kubeconfig with full access. */
  get adminKubeconfigFile(): string {
    return this.#secrets.path("admin.kubeconfig");
  }

  /** Whether a kube-apiserver is running (it may still be starting). */
  get running(): boolean {
    return this.#apiServers.running;
  }

  /** Starts everything that isn't running, with the given settings; replaces processes that run with other settings. */
  async ensure(
    settings: ControlPlaneSettings,
    servers: readonly ServerOfControlPlane[],
    rolling: boolean,
  ): Promise<void> {
    await this.#ensureEtcd();
    await this.#reissue(settings);
    await this.#apiServers.ensure(
      servers.map((server) => this.#wanted(server)),
      rolling,
    );
    const context = this.#context(settings);
    await Promise.all([
      this.#ensureComponent("kube-controller-manager", settings, controllerManagerArgs(context)),
      this.#ensureComponent("kube-scheduler", settings, schedulerArgs(context)),
      this.#ensureTool("kwok", kwokArgs(context, stages)),
    ]);
  }

  /** Whether the kube-apiserver of a control plane is ready, with the settings it should have. */
  async serverAnswers(server: ServerOfControlPlane): Promise<boolean> {
    return this.#apiServers.answers(this.#wanted(server));
  }

  #wanted(server: ServerOfControlPlane): WantedApiServer {
    return { ...server, command: this.#command("kube-apiserver", server.settings) };
  }

  #command(name: StaticPodName, { images }: ControlPlaneSettings): string {
    const release = /:(v[^@]+)/.exec(images[name])?.[1] ?? "";
    const folder = this.#options.builds?.[release];
    return folder === undefined ? this.#options.tools[name] : join(folder, name);
  }

  /** Makes the endpoint refuse all connections, whatever runs behind it, or serve again. */
  async close(closed: boolean): Promise<void> {
    this.#closed = closed;
    await this.#openTo(this.#apiServers.open);
  }

  /** Whether the Kubernetes API answers. */
  async answers(): Promise<boolean> {
    return isApiReady({ host: this.#address, port: portOf(this.#settings.endpoint) }, this.#secrets);
  }

  /** Stops all processes; etcd's data stays. */
  async stop(): Promise<void> {
    const components = [...this.#processes]
      .filter(([name]) => name !== "etcd")
      .map(([, entry]) => entry.process);
    await Promise.all(components.map((process) => process.stop(2000)));
    await this.#apiServers.stop();
    await this.#processes.get("etcd")?.process.stop();
    this.#processes.clear();
  }

  /** Deletes etcd's data: the cluster is gone. */
  wipe(): void {
    rmSync(this.#etcdDirectory, { recursive: true, force: true });
  }

  get #etcdDirectory(): string {
    return join(this.#options.directory, "etcd");
  }

  #context(settings: ControlPlaneSettings): ComponentContext {
    return {
      settings,
      address: this.#address,
      file: (name) => this.#secrets.path(name),
      dataDirectory: this.#etcdDirectory,
      logDirectory: join(this.#options.directory, "logs"),
    };
  }

  /** After a CA rotation: reissues everything, and stops the processes that read it only at startup. */
  async #reissue(settings: ControlPlaneSettings): Promise<void> {
    const authorities = authoritiesOf(settings);
    if (authorities === this.#issuedBy) return;
    this.#authorities = await issueSecrets(this.#secrets, settings, this.#address);
    this.#issuedBy = authorities;
    const clients = ["kube-controller-manager", "kube-scheduler", "kwok"];
    await Promise.all(clients.map(async (name) => this.#processes.get(name)?.process.stop()));
  }

  async #ensureEtcd(): Promise<void> {
    const etcd = await this.#ensureTool("etcd", etcdArgs(this.#context(this.#settings)));
    while (!(await acceptsConnections(this.#address, etcdClientPort))) {
      if (etcd.exited !== undefined)
        throw new Error(`etcd: ${etcd.exited}: ${etcd.logTail(3)} (${etcd.logFile})`);
      await sleep(20);
    }
  }

  #ensureComponent(
    name: StaticPodName,
    settings: ControlPlaneSettings,
    args: string[],
  ): Promise<ManagedProcess> {
    return this.#ensureProcess(name, this.#command(name, settings), args);
  }

  #ensureTool(name: keyof KubernetesTools, args: string[]): Promise<ManagedProcess> {
    return this.#ensureProcess(name, this.#options.tools[name], args);
  }

  async #ensureProcess(name: string, command: string, args: string[], ipc = false): Promise<ManagedProcess> {
    const wanted = [command, ...args].join("\0");
    const before = this.#processes.get(name);
    if (before !== undefined && before.process.exited === undefined) {
      if (before.args === wanted) return before.process;
      await before.process.stop();
    }
    const started = new ManagedProcess({
      name,
      command,
      args,
      ipc,
      logDirectory: join(this.#options.directory, "logs"),
      runDirectory: this.#runDirectory,
    });
    this.#processes.set(name, { process: started, args: wanted });
    this.#watch(started);
    return started;
  }

  /** Makes the endpoint forward connections there, or refuse them. */
  async #openTo(wanted: Listener | undefined): Promise<void> {
    const backend = this.#closed ? null : (wanted ?? null);
    const running = this.#processes.get("endpoint")?.process;
    if (backend === null && (running === undefined || running.exited !== undefined)) return;
    const port = String(portOf(this.#settings.endpoint));
    const door = await this.#ensureProcess(
      "endpoint",
      process.execPath,
      [frontDoor, this.#address, port],
      true,
    );
    const { problem } = (await door.ask({ backend } satisfies FrontDoorRequest)) as FrontDoorAnswer;
    if (problem !== undefined) throw new Error(`the endpoint ${this.#settings.endpoint.href}: ${problem}`);
  }

  #watch(process: ManagedProcess): void {
    void process.exit.then((how) => {
      if (process.stopping) return;
      this.#options.log(`${process.name}: ${how}: ${process.logTail(2)}`);
      // Wait a moment, so that a process that can't run doesn't overload the machine.
      setTimeout(this.#options.onCrash, 2000).unref();
    });
  }

  get #runDirectory(): string {
    return join(this.#options.directory, "run");
  }
}

async function issueSecrets(
  secrets: SecretFolder,
  settings: ControlPlaneSettings,
  address: string,
): Promise<Authorities> {
  const authorities = await loadAuthorities(settings);
  await writeClusterSecrets(secrets, settings, authorities, address);
  const server = `https://${address}:${portOf(settings.endpoint)}`;
  const users = {
    "controller-manager": { name: "system:kube-controller-manager" },
    scheduler: { name: "system:kube-scheduler" },
    kwok: { name: "lab-kubelets", organizations: ["system:masters"] },
    admin: { name: "admin", organizations: ["system:masters"] },
  };
  await Promise.all(
    Object.entries(users).map(async ([file, user]) =>
      secrets.write(
        `${file}.kubeconfig`,
        await issueKubeconfig(settings, authorities.kubernetes, user, server),
      ),
    ),
  );
  return authorities;
}

function portOf(endpoint: URL): number {
  return Number(endpoint.port || "443");
}
