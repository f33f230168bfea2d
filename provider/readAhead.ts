import type { RunningVersion } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";
import { Connections } from "./connections.ts";
import { readStableFacts, type StableFacts } from "./facts.ts";
import type { NodeWithHops } from "./hops/path.ts";
import { findConfiguration, type FoundConfiguration } from "./nodeConfiguration/look.ts";
import { override } from "./override.ts";
import { readNodes } from "./readNodes.ts";
import { endpointsOf, type Surroundings } from "./session.ts";

/** Engines ask for all resources of a refresh within this time. */
const maxAgeMs = 120_000;

/**
 * Reads all nodes as soon as a refresh begins. Engines refresh four resources per processor at a time: one after the other, slow answers of many nodes add up.
 * Each answer is used once, by the node's own resource. Without one, the resource reads the node itself, and reports what fails.
 */
export class ReadAhead {
  readonly #surroundings: Surroundings;
  readonly #signal: AbortSignal;
  readonly #configurations = new Map<string, Reading<FoundConfiguration>>();
  readonly #facts = new Map<string, Reading<StableFacts>>();
  readonly #looks = new Map<string, Reading<Look>>();

  constructor(surroundings: Surroundings, signal: AbortSignal) {
    this.#surroundings = surroundings;
    this.#signal = signal;
  }

  /** Resolves when every node has answered, or failed to. */
  async begin(nodes: readonly NodeWithHops[]): Promise<void> {
    const { clock, timeouts } = this.#surroundings;
    const [end, signal] = [clock.now() + maxAgeMs, this.#signal];
    const limits = { deadlineMs: timeouts.probeMs * 4, signal };
    const dial = await this.#surroundings.talos();
    const readings = nodes.map((node) => {
      const connections = new Connections(dial, node.clientConfiguration, (address) =>
        endpointsOf(node, address),
      );
      const connection = connections.connectionTo(node.node);
      const configuration = new Reading(end, () =>
        findConfiguration({ surroundings: this.#surroundings, signal }, connections.to(node.node)),
      );
      const version = new Reading(end, () => connections.to(node.node).version(limits));
      const facts = new Reading(end, () =>
        readStableFacts(
          override(connections.to(node.node), { version: () => version.begin() }),
          node,
          limits,
        ),
      );
      this.#configurations.set(connectionKey(connection), configuration);
      this.#facts.set(factsKey(connection, node), facts);
      this.#looks.set(
        connectionKey(connection),
        new Reading(end, async () => ({
          found: await configuration.begin(),
          version: await version.begin(),
          kubernetesNode: (await facts.begin()).kubernetesNode,
        })),
      );
      return { configuration, facts, close: () => connections.close() };
    });
    await readNodes(readings, async ({ configuration, facts, close }) => {
      if (!this.#signal.aborted) await Promise.allSettled([configuration.begin(), facts.begin()]);
      close();
    });
  }

  async takeConfiguration(connection: TalosConnection): Promise<FoundConfiguration | undefined> {
    const found = await this.#take(this.#configurations, connectionKey(connection));
    return found?.state === "unreachable" ? undefined : found;
  }

  async takeFacts(
    connection: TalosConnection,
    wanted: Pick<NodeWithHops, "files">,
  ): Promise<StableFacts | undefined> {
    return this.#take(this.#facts, factsKey(connection, wanted));
  }

  /** For the cluster's KubernetesUpgrade: clients that know what has been read of a node. */
  surroundings(): Surroundings {
    return {
      ...this.#surroundings,
      talos: async () => {
        const dial = await this.#surroundings.talos();
        return (connection) => {
          const reader = dial(connection);
          let taken: Promise<Look | undefined> | undefined;
          const known = async (): Promise<Look | undefined> => {
            const look = await (taken ??= this.#take(this.#looks, connectionKey(connection)));
            return look?.found.state === "configured" ? look : undefined;
          };
          return override(reader, {
            version: async (call) => (await known())?.version ?? reader.version(call),
            machineConfiguration: async (call) => {
              const found = (await known())?.found;
              return found?.state === "configured" ? found.configuration : reader.machineConfiguration(call);
            },
            kubernetesNode: async (call) => {
              const look = await known();
              return look === undefined ? reader.kubernetesNode(call) : look.kubernetesNode;
            },
          });
        };
      },
    };
  }

  async #take<T>(readings: Map<string, Reading<T>>, key: string): Promise<T | undefined> {
    const reading = readings.get(key);
    readings.delete(key);
    if (reading === undefined || this.#surroundings.clock.now() > reading.end) return undefined;
    try {
      return await reading.begin();
    } catch {
      // On a busy machine, many reads at once may take longer than one alone.
      return undefined;
    }
  }
}

/** What a KubernetesUpgrade reads of a node. */
interface Look {
  readonly found: FoundConfiguration;
  readonly version: RunningVersion;
  readonly kubernetesNode: string | undefined;
}

/** A read that runs once, when it is first wanted. */
class Reading<T> {
  /** The clock's time from which its answer is too old. */
  readonly end: number;
  readonly #read: () => Promise<T>;
  #result: Promise<T> | undefined;

  constructor(end: number, read: () => Promise<T>) {
    this.end = end;
    this.#read = read;
  }

  begin(): Promise<T> {
    this.#result ??= this.#read();
    return this.#result;
  }
}

const connectionKey = (connection: TalosConnection): string => JSON.stringify(connection);

const factsKey = (connection: TalosConnection, { files }: Pick<NodeWithHops, "files">): string =>
  JSON.stringify([connection, files]);
