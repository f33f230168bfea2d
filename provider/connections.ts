import type { TalosReader } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";

/** The connections of one operation to the nodes of a cluster: made when they are first used, and closed together. */
export class Connections {
  readonly #dial: (connection: TalosConnection) => TalosReader;
  readonly #credentials: TalosConnection["credentials"];
  readonly #endpointsOf: (address: string) => readonly string[];
  readonly #open = new Map<string, TalosReader>();

  /** @param endpointsOf where a node is spoken to: itself, or others that forward, tried in turn */
  constructor(
    dial: (connection: TalosConnection) => TalosReader,
    credentials: TalosConnection["credentials"],
    endpointsOf: (address: string) => readonly string[],
  ) {
    this.#dial = dial;
    this.#credentials = credentials;
    this.#endpointsOf = endpointsOf;
  }

  to(address: string): TalosReader {
    const known = this.#open.get(address);
    if (known !== undefined) return known;
    const client = this.#dial(this.connectionTo(address));
    this.#open.set(address, client);
    return client;
  }

  /** Where a node is spoken to, and with what. */
  connectionTo(address: string): TalosConnection {
    const [endpoint = address, ...others] = this.#endpointsOf(address);
    return {
      endpoint,
      ...(others.length === 0 ? {} : { others }),
      node: address,
      credentials: this.#credentials,
    };
  }

  close(): void {
    for (const client of this.#open.values()) client.close();
    this.#open.clear();
  }
}
