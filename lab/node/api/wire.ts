import { createServer, connect, type Server, type Socket } from "node:net";

/**
 * The node's network port. It sits in front of the API server, so that a node can lose its connections the way machines
 * do: cut off at a reset, or silent while both sides believe the connection works.
 */
export class Wire {
  #server: Server | undefined;
  readonly #pairs = new Set<{ outside: Socket; inside: Socket }>();
  #silent = false;
  #target = "";
  #place: string | undefined;

  /** @param target path of the API server's socket; new connections go there */
  pointTo(target: string): void {
    this.#target = target;
  }

  /** Listens at this address from now on, and nowhere else; undefined: doesn't listen. */
  async move(to: { address: string; port: number } | undefined): Promise<void> {
    const place = to === undefined ? undefined : `${to.address}:${to.port}`;
    if (this.#server !== undefined && place === this.#place) return;
    if (this.#server !== undefined) await this.close();
    this.#place = place;
    if (to !== undefined) await this.#listen(to.address, to.port);
  }

  async #listen(address: string, port: number): Promise<void> {
    const server = createServer((outside) => this.#accept(outside));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, address, () => {
        server.off("error", reject);
        resolve();
      });
    });
  }

  #accept(outside: Socket): void {
    const inside = connect(this.#target);
    const pair = { outside, inside };
    this.#pairs.add(pair);
    const close = (): void => {
      this.#pairs.delete(pair);
      outside.destroy();
      inside.destroy();
    };
    for (const socket of [outside, inside]) {
      socket.setNoDelay(true);
      socket.on("error", close);
      socket.on("close", () => {
        // A silent connection doesn't tell one end that the other is gone.
        if (!this.#silent) close();
      });
    }
    outside.on("data", (chunk) => this.#pass(chunk, outside, inside));
    inside.on("data", (chunk) => this.#pass(chunk, inside, outside));
    outside.on("end", () => inside.end());
    inside.on("end", () => outside.end());
  }

  #pass(chunk: Buffer, from: Socket, to: Socket): void {
    if (this.#silent || to.destroyed) return;
    if (!to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  }

  /** While silent, bytes are dropped in both directions without notice. */
  setSilent(silent: boolean): void {
    if (this.#silent === silent) return;
    this.#silent = silent;
    // TLS can't recover lost bytes: connections that were open during the silence are lost.
    if (!silent) this.cut();
  }

  /** Resets every connection, without a proper close. */
  cut(): void {
    for (const { outside, inside } of this.#pairs) {
      outside.resetAndDestroy();
      inside.destroy();
    }
    this.#pairs.clear();
  }

  /** Cuts all connections and stops listening: new ones are refused from now on. */
  async close(): Promise<void> {
    this.cut();
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
