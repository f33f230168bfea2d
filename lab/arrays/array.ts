import { createServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A stand-in for a storage array. */
export interface StorageArray {
  readonly port: number;
  /** What it stores, in order of creation: a test compares it before and after. */
  contents(): ArrayContents;
  stop(): Promise<void>;
}

export interface ArrayContents {
  volumes: string[];
  snapshots: string[];
  targets: string[];
}

export interface JsonAnswer {
  status: number;
  body?: unknown;
}

/** Where the array listens. Default: a free loopback port. */
export interface Portal {
  host: string;
  port: number;
}

export async function startArrayServer(
  handle: (request: IncomingMessage, url: URL, body: string) => JsonAnswer,
  { host, port }: Portal = { host: "127.0.0.1", port: 0 },
): Promise<{ port: number; stop: () => Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const url = new URL(request.url ?? "/", "http://127.0.0.1");
      const { status, body } = handle(request, url, Buffer.concat(chunks).toString("utf8"));
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { port: (server.address() as AddressInfo).port, stop };
}
