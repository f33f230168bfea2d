import { setTimeout as sleep } from "node:timers/promises";
import { ApiServer, type ApiServerOptions, type Listener } from "./apiServer.ts";
import { authoritiesOf, type ControlPlaneSettings } from "./configuration.ts";

/** A kube-apiserver that is to run. */
export interface WantedApiServer {
  /** The control plane that it is of; `shared` where one stands for those of all of them. */
  readonly name: string;
  readonly command: string;
  readonly settings: ControlPlaneSettings;
  /** Where it listens, if that is to be always the same: then there is a moment without it when it restarts. */
  readonly listener?: Listener;
  /** What its certificate is for besides. */
  readonly nodeAddresses: readonly string[];
}

interface RunningApiServer {
  readonly server: ApiServer;
  readonly fingerprint: string;
}

/** Generations of the shared one listen behind the endpoint on this port and the next one, in turn. */
const backendPort = 16443;

/** How long the endpoint lets a request that is on its way to a server reach it, as a load balancer that drains does. */
const drainMilliseconds = 250;

/** How the endpoint sees them. */
export interface ApiServersOptions {
  readonly start: (wanted: WantedApiServer) => Omit<ApiServerOptions, "command" | "generation" | "listener">;
  readonly address: string;
  readonly startTimeoutMilliseconds: number;
  /** Has the endpoint hand connections there, or refuse them. */
  readonly openTo: (listener: Listener | undefined) => Promise<void>;
  readonly started: (server: ApiServer) => void;
  readonly log: (line: string) => void;
}

/** The kube-apiservers of a cluster: one for all control planes, or one of each. */
export class ApiServers {
  readonly #options: ApiServersOptions;
  readonly #running = new Map<string, RunningApiServer>();
  readonly #retiring = new Set<Promise<void>>();
  #generation = 0;
  /** Which of them the endpoint leads to: it stays until that one goes. */
  #open: string | undefined;
  #opening: Promise<void> = Promise.resolve();

  constructor(options: ApiServersOptions) {
    this.#options = options;
  }

  /** Does one run (it may still be starting)? */
  get running(): boolean {
    return [...this.#running.values()].some(isAlive);
  }

  /** Where the endpoint leads to now. */
  get open(): Listener | undefined {
    const found = this.#open === undefined ? undefined : this.#running.get(this.#open);
    return found !== undefined && isAlive(found) ? found.server.listener : undefined;
  }

  runsWith(wanted: WantedApiServer): boolean {
    const found = this.#running.get(wanted.name);
    return found !== undefined && isAlive(found) && found.fingerprint === fingerprintOf(wanted);
  }

  /** Is the one of this name ready, with these settings? */
  async answers(wanted: WantedApiServer): Promise<boolean> {
    return this.runsWith(wanted) && ((await this.#running.get(wanted.name)?.server.answers()) ?? false);
  }

  /** Starts what does not run, replaces what runs with other settings, and ends those that are not wanted any more. */
  async ensure(all: readonly WantedApiServer[], rolling: boolean): Promise<void> {
    const names = new Set(all.map(({ name }) => name));
    for (const name of [...this.#running.keys()].filter((known) => !names.has(known))) await this.#end(name);
    // Side by side: what is changed on all control planes at once restarts all of them at once.
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
      // Also when the new one failed: every control plane has the new configuration, so none would run the old one.
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

  /** @param newest where it leads to if it leads nowhere yet, or if this one replaced itself */
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
