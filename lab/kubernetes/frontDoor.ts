import { connect, createServer, type Server, type Socket } from "node:net";

/** A request to the front door's process: where to forward connections, or null to refuse them. */
export interface FrontDoorRequest {
  readonly backend: Backend | null;
}

interface Backend {
  readonly host: string;
  readonly port: number;
}

/** Its answer; `problem` is absent on success. */
export interface FrontDoorAnswer {
  readonly problem?: string;
}

/**
 * The cluster's endpoint: forwards connections to a ready kube-apiserver, like the load balancer or virtual IP in front
 * of several control planes. While there is none, it refuses connections.
 */
export class FrontDoor {
  readonly #address: string;
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #backend: Backend | undefined;

  constructor(address: string, port: number) {
    this.#address = address;
    this.#port = port;
  }

  /** Forwards new connections there from now on; existing ones last until their server ends. */
  async open(backend: Backend): Promise<void> {
    this.#backend = backend;
    if (this.#server !== undefined) return;
    const server = createServer({ noDelay: true }, (socket) => this.#connect(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, this.#address, resolve);
    });
    this.#server = server;
  }

  /** Refuses new connections and closes the existing ones. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #connect(client: Socket): void {
    if (this.#backend === undefined) return void client.destroy();
    const { host, port } = this.#backend;
    const backend = connect({ host, port, noDelay: true });
    for (const [one, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      this.#sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroySoon();
      });
      one.pipe(other);
    }
  }
}
