import { setTimeout as sleep } from "node:timers/promises";
import { ApiServer, type ApiServerOptions, type Listener } from "./apiServer.ts";
import { authoritiesOf, type ControlPlaneSettings } from "./configuration.ts";

/** A desired kube-apiserver. */
export interface WantedApiServer {
  /** The control plane it belongs to; `shared` if one serves all of them. */
  readonly name: string;
  readonly command: string;
  readonly settings: ControlPlaneSettings;
  /** Its address, if that is fixed: it is then down for a moment while it restarts. */
  readonly listener?: Listener;
  /** Additional addresses for its certificate. */
  readonly nodeAddresses: readonly string[];
}

interface RunningApiServer {
  readonly server: ApiServer;
  readonly fingerprint: string;
}

/** Generations of the shared server alternate between this port and the next one, behind the endpoint. */
const backendPort = 16443;

/** How long in-flight requests may take to reach the old server, as with a draining load balancer. */
const drainMilliseconds = 250;

/** What the servers need from the control plane and its endpoint. */
export interface ApiServersOptions {
  readonly start: (wanted: WantedApiServer) => Omit<ApiServerOptions, "command" | "generation" | "listener">;
  readonly address: string;
  readonly startTimeoutMilliseconds: number;
  /** Makes the endpoint forward connections there, or refuse them. */
  readonly openTo: (listener: Listener | undefined) => Promise<void>;
  readonly started: (server: ApiServer) => void;
  readonly log: (line: string) => void;
}

/** The kube-apiservers of a cluster: one for all control planes, or one for each. */
export class ApiServers {
  readonly #options: ApiServersOptions;
  readonly #running = new Map<string, RunningApiServer>();
  readonly #retiring = new Set<Promise<void>>();
  #generation = 0;
  /** The server that the endpoint forwards to: it stays the same until that server ends. */
  #open: string | undefined;
  #opening: Promise<void> = Promise.resolve();

  constructor(options: ApiServersOptions) {
    this.#options = options;
  }

  /** Whether one is running (it may still be starting). */
  get running(): boolean {
    return [...this.#running.values()].some(isAlive);
  }

  /** Where the endpoint forwards to now. */
  get open(): Listener | undefined {
    const found = this.#open === undefined ? undefined : this.#running.get(this.#open);
    return found !== undefined && isAlive(found) ? found.server.listener : undefined;
  }

  runsWith(wanted: WantedApiServer): boolean {
    const found = this.#running.get(wanted.name);
    return found !== undefined && isAlive(found) && found.fingerprint === fingerprintOf(wanted);
  }

  /** Whether the server of this name is ready, with these settings. */
  async answers(wanted: WantedApiServer): Promise<boolean> {
    return this.runsWith(wanted) && ((await this.#running.get(wanted.name)?.server.answers()) ?? false);
  }

  /** Starts missing servers, replaces those with different settings, and stops those that are no longer wanted. */
  async ensure(all: readonly WantedApiServer[], rolling: boolean): Promise<void> {
    const names = new Set(all.map(({ name }) => name));
    for (const name of [...this.#running.keys()].filter((known) => !names.has(known))) await this.#end(name);
    // In parallel: a change on all control planes at once restarts all of them at once.
    const outcomes = await Promise.allSettled(all.map((wanted) => this.#ensureOne(wanted, rolling)));
    await this.#openToOne();
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ server }) => server.process.stop()));
    await Promise.all([...this.#running.values()].map(({ server }) => server.stop()));
    await Promise.all(this.#retiring);
    this.#running.clear();
    this.#open = undefined;
  }

  async #ensureOne(wanted: WantedApiServer, rolling: boolean): Promise<void> {
    if (this.runsWith(wanted)) return;
    const { address, startTimeoutMilliseconds } = this.#options;
    const before = this.#running.get(wanted.name)?.server;
    const together = rolling && wanted.listener === undefined;
    if (before !== undefined && !together) await this.#end(wanted.name);
    const generation = ++this.#generation;
    const listener = wanted.listener ?? { host: address, port: backendPort + (generation % 2) };
    let next: ApiServer | undefined;
    try {
      next = await ApiServer.start({
        ...this.#options.start(wanted),
        command: wanted.command,
        generation,
        listener,
      });
      await next.ready(startTimeoutMilliseconds);
      this.#running.set(wanted.name, { server: next, fingerprint: fingerprintOf(wanted) });
      await this.#openToOne(wanted.name);
      this.#options.started(next);
    } catch (error) {
      await next?.stop();
      this.#running.delete(wanted.name);
      await this.#openToOne();
      throw error;
    } finally {
      // Even if the new one failed: every control plane has the new configuration, so none would run the old one.
      if (before !== undefined && together) this.#retire(before);
    }
    const whose = wanted.listener === undefined ? "" : ` of ${wanted.name}`;
    this.#options.log(`kube-apiserver${whose} is ready (generation ${generation})`);
  }

  async #end(name: string): Promise<void> {
    const found = this.#running.get(name);
    this.#running.delete(name);
    if (this.#open === name) {
      await this.#openToOne();
      await sleep(drainMilliseconds);
    }
    await found?.server.stop();
  }

  /** @param newest where the endpoint forwards to if it has no server yet, or if this one has just replaced itself */
  #openToOne(newest?: string): Promise<void> {
    this.#opening = this.#opening.catch(() => undefined).then(() => this.#reopen(newest));
    return this.#opening;
  }

  async #reopen(newest?: string): Promise<void> {
    const current = this.#open !== undefined && this.open !== undefined ? this.#open : undefined;
    const other = [...this.#running].find(([, server]) => isAlive(server))?.[0];
    this.#open = current ?? newest ?? other;
    await this.#options.openTo(this.open);
  }

  #retire(server: ApiServer): void {
    const ended = sleep(drainMilliseconds)
      .then(() => server.stop())
      .finally(() => this.#retiring.delete(ended));
    this.#retiring.add(ended);
  }
}

const isAlive = ({ server }: RunningApiServer): boolean => server.process.exited === undefined;

function fingerprintOf({ settings, command, listener }: WantedApiServer): string {
  return JSON.stringify([
    settings.apiServer,
    authoritiesOf(settings),
    command,
    ...(listener === undefined ? [] : [settings.images["kube-apiserver"]]),
  ]);
}
