import { createServer, request, type Server } from "node:http";
import type { LabMode } from "./layout.ts";

/** How to talk to the lab's process: JSON over HTTP on a Unix socket that only its owner can open. */

/** What the lab's process reports about itself. */
export interface LabReport {
  pid: number;
  mode: LabMode;
  stack: string;
  /** The initial machines are set up: as a cluster (`running`), or waiting for a configuration (`new`). */
  ready: boolean;
  failure?: string;
  nodes: NodeReport[];
}

/** A machine that is booted in addition to the stack's. */
export interface NewMachine {
  name: string;
  address: string;
  /** Port of its API; `closed`: reachable only by the other nodes once it has a configuration. Default: 50000. */
  api?: number | "closed";
}

/** Calls after this much time without one belong to another command. */
export const callPauseMs = 3_000;

/** A simulated machine as the simulator sees it. What users see of a node comes from its Talos API instead. */
export interface NodeReport {
  name: string;
  address: string;
  stage: string;
  ready: boolean;
  boots: number;
  reboots: number;
  upgrades: number;
  /** Configurations it has accepted, not counting dry runs. */
  applies: number;
  /** API calls it has answered. */
  calls: number;
  /** How long its last calls took together: from the first one after a pause to the last answer. */
  answeringMs: number;
  faults: string[];
}

export interface ControlRequest {
  method: "GET" | "POST";
  path: string;
  body?: unknown;
}

/** Answers one request; throws an Error whose message is shown on the command line. */
export type ControlHandler = (request: ControlRequest) => Promise<unknown>;

export function serveControl(socketPath: string, handle: ControlHandler): Promise<Server> {
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8");
      const method = incoming.method === "POST" ? "POST" : "GET";
      const asked: ControlRequest = {
        method,
        path: incoming.url ?? "/",
        ...(text === "" ? {} : { body: JSON.parse(text) as unknown }),
      };
      handle(asked).then(
        (answer) => response.writeHead(200).end(JSON.stringify(answer ?? {})),
        (error: unknown) =>
          response
            .writeHead(400)
            .end(JSON.stringify({ error: error instanceof Error ? error.message : String(error) })),
      );
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => resolve(server));
  });
}

export const noLabText = "no lab is running; start one with: npm run lab -- start";

/** Nothing answers on the socket: no lab is running. */
class NoLabError extends Error {}

export function askLab<T>(socketPath: string, asked: ControlRequest): Promise<T> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: asked.path, method: asked.method }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const answer = JSON.parse(Buffer.concat(chunks).toString("utf8")) as T & { error?: string };
        if (response.statusCode === 200) resolve(answer);
        else reject(new Error(answer.error ?? `the lab answered ${response.statusCode ?? "nothing"}`));
      });
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      const gone = error.code === "ENOENT" || error.code === "ECONNREFUSED";
      reject(gone ? new NoLabError(noLabText) : error);
    });
    outgoing.end(asked.body === undefined ? undefined : JSON.stringify(asked.body));
  });
}

/** The lab's report, or undefined if none is running. */
export async function labReport(socketPath: string): Promise<LabReport | undefined> {
  try {
    return await askLab<LabReport>(socketPath, { method: "GET", path: "/report" });
  } catch (error) {
    if (error instanceof NoLabError) return undefined;
    throw error;
  }
}
