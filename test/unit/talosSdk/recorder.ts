import * as pulumi from "@pulumi/pulumi";
import { getMonitor } from "@pulumi/pulumi/runtime/settings.js";
import provider from "@pulumi/pulumi/proto/provider_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";

/** A request as sent to the engine, with its secrets still wrapped. */
export interface Recorded {
  method: string;
  token: string;
  properties: Record<string, unknown>;
  version: string;
  pluginDownloadUrl: string;
  /** The other fields, as in the protocol. */
  request: Record<string, unknown>;
}

/** The engine's answers. */
export interface Answers {
  /** The state of a resource after it is created or read. */
  state?: Record<string, unknown>;
  /** The result of a function. */
  result?: Record<string, unknown>;
}

type Callback = (error: unknown, response: unknown) => void;
type Method = (request: WireRequest, callback: Callback) => unknown;

/** The wire boundary: protobuf's generated accessors. Each kind of request has some of them. */
interface WireRequest {
  toObject(): Record<string, unknown>;
  getVersion(): string;
  getPlugindownloadurl(): string;
  getType?(): string;
  getTok?(): string;
  getObject?(): struct.Struct | undefined;
  getProperties?(): struct.Struct | undefined;
  getArgs?(): struct.Struct | undefined;
}

/** How a secret looks on the wire (sdk/nodejs/runtime/rpc.ts). */
export function wireSecret(value: unknown): Record<string, unknown> {
  return { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value };
}

/** Replaces the engine with Pulumi's mocks, and records every request before they see it. */
export async function recordRequests(answers: Answers): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ name }) => ({ id: `${name}-id`, state: answers.state ?? {} }),
      call: () => answers.result ?? {},
    },
    "project",
    "stack",
  );
  const monitor = getMonitor() as unknown as Record<string, Method>;
  // Pulumi's mocks do not support methods of resources.
  monitor.call = (_, callback) => {
    const response = new provider.CallResponse();
    response.setReturn(
      struct.Struct.fromJavaScript((answers.result ?? {}) as Record<string, struct.JavaScriptValue>),
    );
    callback(null, response);
  };
  for (const method of ["registerResource", "readResource", "invoke", "call"]) {
    const original = monitor[method]?.bind(monitor);
    if (!original) throw new Error(`the mocks have no ${method}`);
    monitor[method] = (request, callback) => {
      const properties = request.getObject?.() ?? request.getProperties?.() ?? request.getArgs?.();
      recorded.push({
        method,
        token: request.getType?.() ?? request.getTok?.() ?? "",
        properties: properties?.toJavaScript() ?? {},
        version: request.getVersion(),
        pluginDownloadUrl: request.getPlugindownloadurl(),
        request: request.toObject(),
      });
      return original(request, callback);
    };
  }
  return recorded;
}

export function only(recorded: Recorded[]): Recorded {
  const [first, ...more] = recorded;
  if (!first || more.length > 0) throw new Error(`expected one request, saw ${recorded.length}`);
  return first;
}

export function valueOf<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => {
    output.apply((value) => {
      resolve(value);
    });
  });
}
