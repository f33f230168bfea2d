import type { TalosConnection } from "../talos/api/transport.ts";
import type { Clock } from "./clock.ts";
import { Connections } from "./connections.ts";
import { readStableFacts, type StableFacts } from "./facts.ts";
import type { NodeWithHops } from "./hops/path.ts";
import { findConfiguration, type FoundConfiguration } from "./nodeConfiguration/look.ts";
import { endpointsOf, type Surroundings } from "./session.ts";

/** How many nodes are read concurrently. All may be reached through one control plane. */
const maxConcurrentReads = 32;
/** Engines ask for all resources of a refresh within this time. */
const maxAgeMs = 60_000;

/**
 * Reads all nodes as soon as a refresh begins. Engines refresh four resources per processor at a time: one after the other, slow answers of many nodes add up.
 * Each answer is used once, by the node's own resource. Without one, the resource reads the node itself, and reports what fails.
 */
export class ReadAhead {
  readonly #surroundings: Surroundings;
  readonly #signal: AbortSignal;
  readonly #configurations = new Map<string, Reading<FoundConfiguration>>();
  readonly #facts = new Map<string, Reading<StableFacts>>();

  constructor(surroundings: Surroundings, signal: AbortSignal) {
    this.#surroundings = surroundings;
    this.#signal = signal;
  }

  /** Resolves when every node has answered, or failed to. */
  async begin(nodes: readonly NodeWithHops[]): Promise<void> {
    const dial = await this.#surroundings.talos();
    const queue = nodes.map((node) => {
      const connections = new Connections(dial, node.clientConfiguration, (address) =>
        endpointsOf(node, address),
      );
      const { clock, timeouts } = this.#surroundings;
      const signal = this.#signal;
      const connection = connections.connectionTo(node.node);
      const configuration = new Reading(clock, () =>
        findConfiguration({ surroundings: this.#surroundings, signal }, connections.to(node.node)),
      );
      const facts = new Reading(clock, () =>
        readStableFacts(connections.to(node.node), node, { deadlineMs: timeouts.probeMs * 4, signal }),
      );
      this.#configurations.set(configurationKey(connection), configuration);
      this.#facts.set(factsKey(connection, node), facts);
      return { configuration, facts, close: () => connections.close() };
    });
    const work = async (): Promise<void> => {
      for (let one = queue.shift(); one !== undefined && !this.#signal.aborted; one = queue.shift()) {
        await Promise.allSettled([one.configuration.begin(), one.facts.begin()]);
        one.close();
      }
    };
    await Promise.all(Array.from({ length: Math.min(maxConcurrentReads, queue.length) }, work));
  }

  async takeConfiguration(connection: TalosConnection): Promise<FoundConfiguration | undefined> {
    const found = await take(this.#configurations, configurationKey(connection));
    return found?.state === "unreachable" ? undefined : found;
  }

  async takeFacts(
    connection: TalosConnection,
    wanted: Pick<NodeWithHops, "files">,
  ): Promise<StableFacts | undefined> {
    return take(this.#facts, factsKey(connection, wanted));
  }
}

/** A read that runs once, when it is first wanted. */
class Reading<T> {
  readonly #clock: Clock;
  readonly #read: () => Promise<T>;
  #result: { readonly promise: Promise<T>; readonly begun: number } | undefined;

  constructor(clock: Clock, read: () => Promise<T>) {
    this.#clock = clock;
    this.#read = read;
  }

  begin(): Promise<T> {
    this.#result ??= { promise: this.#read(), begun: this.#clock.now() };
    return this.#result.promise;
  }

  get isStale(): boolean {
    return this.#result !== undefined && this.#clock.now() - this.#result.begun > maxAgeMs;
  }
}

async function take<T>(readings: Map<string, Reading<T>>, key: string): Promise<T | undefined> {
  const reading = readings.get(key);
  readings.delete(key);
  if (reading === undefined || reading.isStale) return undefined;
  try {
    return await reading.begin();
  } catch {
    // On a busy machine, many reads at once may take longer than one alone.
    return undefined;
  }
}

const configurationKey = (connection: TalosConnection): string => JSON.stringify(connection);

const factsKey = (connection: TalosConnection, { files }: Pick<NodeWithHops, "files">): string =>
  JSON.stringify([connection, files]);
