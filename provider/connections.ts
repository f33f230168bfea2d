import type { TalosReader } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";

/** One operation's connections to the nodes of a cluster: opened on first use, closed together. */
export class Connections {
  readonly #dial: (connection: TalosConnection) => TalosReader;
  readonly #credentials: TalosConnection["credentials"];
  readonly #endpointsOf: (address: string) => readonly string[];
  readonly #open = new Map<string, TalosReader>();

  /** @param endpointsOf the endpoints for a node: itself, or forwarders to try in order */
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

  /** The endpoints and credentials for a node. */
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
