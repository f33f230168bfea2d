import type { TalosCredentials } from "../talos/api/credentials.ts";
import type { TalosClient } from "../talos/api/talosClient.ts";
import type { TalosConnection } from "../talos/api/transport.ts";

/** The connections of one operation to the nodes of a cluster: made when they are first used, and closed together. */
export class Connections {
  readonly #dial: (connection: TalosConnection) => TalosClient;
  readonly #credentials: TalosCredentials;
  readonly #endpointOf: (address: string) => string;
  readonly #open = new Map<string, TalosClient>();

  /** @param endpointOf where a node is spoken to: itself, or another that forwards */
  constructor(
    dial: (connection: TalosConnection) => TalosClient,
    credentials: TalosCredentials,
    endpointOf: (address: string) => string,
  ) {
    this.#dial = dial;
    this.#credentials = credentials;
    this.#endpointOf = endpointOf;
  }

  to(address: string): TalosClient {
    const known = this.#open.get(address);
    if (known !== undefined) return known;
    const client = this.#dial({
      endpoint: this.#endpointOf(address),
      node: address,
      credentials: this.#credentials,
    });
    this.#open.set(address, client);
    return client;
  }

  close(): void {
    for (const client of this.#open.values()) client.close();
    this.#open.clear();
  }
}
