import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import type { MethodDefinition, ServiceDefinition } from "@grpc/proto-loader";
import { pemCredentials, type TalosCredentials } from "./credentials.ts";
import { talosError, TalosError } from "./errors.ts";
import type { CallOptions } from "./talosClient.ts";

/** apid's port on every node. */
const apidPort = 50000;
const defaultDeadlineMs = 10_000;

/** Where a node is and how to be let in. */
export interface TalosConnection {
  /** `host` or `host:port` (default port 50000) of the apid to talk to. */
  endpoint: string;
  /** The node's address, where the endpoint is another node that forwards. Default: the endpoint itself answers. */
  node?: string;
  /** `maintenance`: no client authentication, and no check of whom one speaks to. Only a machine without a configuration lets one in like this. */
  credentials: TalosCredentials | "maintenance";
}

// Keepalive finds a peer that vanished without a word within 15 seconds; talosctl uses the same times. A node that
// boots is looked for several times a second.
const channelOptions: grpc.ChannelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 100,
  // The process-wide pool would hand a new channel the old, possibly half-open connection.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": 32 * 1024 * 1024,
};

type Message = Record<string, unknown>;

/** Calls over one connection: deadlines, cancelling and errors the same for all. */
export class Transport {
  readonly node: string;
  readonly #address: string;
  readonly #forwardTo: string | undefined;
  readonly #credentials: grpc.ChannelCredentials;
  readonly #options: grpc.ChannelOptions;
  #client: grpc.Client | undefined;

  constructor(connection: TalosConnection) {
    const { host, port } = splitEndpoint(connection.endpoint);
    this.#address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    this.node = connection.node ?? host;
    // TLS has no server names that are addresses (RFC 6066), and Node warns of one. The certificate is still held
    // against the address, below; the name that is sent instead means nothing to apid.
    this.#options =
      isIP(host) === 0 ? channelOptions : { ...channelOptions, "grpc.ssl_target_name_override": "talos" };
    // A worker's apid forwards nothing, so a node that is spoken to directly is not named in the metadata.
    this.#forwardTo = this.node === host ? undefined : this.node;
    if (connection.credentials === "maintenance") {
      // The machine has signed its certificate itself; there is nothing to check it against.
      this.#credentials = grpc.credentials.createSsl(null, null, null, { rejectUnauthorized: false });
      return;
    }
    const pem = pemCredentials(connection.credentials);
    try {
      this.#credentials = grpc.credentials.createSsl(pem.ca, pem.key, pem.certificate, {
        checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
      });
    } catch {
      // OpenSSL's own text may quote what it was given.
      throw new TalosError(
        "certificate",
        this.node,
        "connect",
        "the client credentials are no certificate and key that TLS can use",
      );
    }
  }

  async unary(
    service: ServiceDefinition,
    method: string,
    request: object,
    options: CallOptions = {},
  ): Promise<Message> {
    const definition = methodOf(service, method);
    const name = callName(definition);
    if (options.signal?.aborted) throw new TalosError("cancelled", this.node, name, "cancelled");
    return new Promise((resolve, reject) => {
      let call: grpc.ClientUnaryCall | undefined = undefined;
      const stop = (): void => call?.cancel();
      call = this.#connected().makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        this.#metadata(),
        { deadline: deadline(options) },
        (error, response) => {
          options.signal?.removeEventListener("abort", stop);
          if (error) reject(talosError(error, this.node, name, options.signal?.aborted ?? false));
          else resolve(response as Message);
        },
      );
      options.signal?.addEventListener("abort", stop, { once: true });
    });
  }

  async *stream(
    service: ServiceDefinition,
    method: string,
    request: object,
    options: CallOptions = {},
  ): AsyncGenerator<Message, void, void> {
    const definition = methodOf(service, method);
    const name = callName(definition);
    if (options.signal?.aborted) throw new TalosError("cancelled", this.node, name, "cancelled");
    const call = this.#connected().makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      this.#metadata(),
      { deadline: deadline(options) },
    );
    // Leaving the loop below early cancels the call, which then reports an error that nobody waits for.
    call.on("error", () => undefined);
    const stop = (): void => {
      call.cancel();
    };
    options.signal?.addEventListener("abort", stop, { once: true });
    try {
      for await (const message of call) yield message as Message;
    } catch (error) {
      throw talosError(error, this.node, name, options.signal?.aborted ?? false);
    } finally {
      options.signal?.removeEventListener("abort", stop);
      call.cancel();
    }
  }

  reconnect(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  close(): void {
    this.reconnect();
  }

  #connected(): grpc.Client {
    this.#client ??= new grpc.Client(this.#address, this.#credentials, this.#options);
    return this.#client;
  }

  #metadata(): grpc.Metadata {
    const metadata = new grpc.Metadata();
    if (this.#forwardTo !== undefined) metadata.set("node", this.#forwardTo);
    return metadata;
  }
}

/** Splits `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address. */
export function splitEndpoint(endpoint: string): { host: string; port: number } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(endpoint);
  const plain = /^([^:]+)(?::(\d+))?$/.exec(endpoint);
  const match = bracketed ?? plain;
  if (match === null) return { host: endpoint, port: apidPort };
  return { host: match[1] ?? endpoint, port: match[2] === undefined ? apidPort : Number(match[2]) };
}

function methodOf(service: ServiceDefinition, method: string): MethodDefinition<object, object> {
  const definition = service[method];
  if (definition === undefined) throw new Error(`talos/api has no method ${method}`);
  return definition;
}

/** `/machine.MachineService/Version` to `MachineService.Version`. */
function callName(definition: MethodDefinition<object, object>): string {
  return definition.path.replace(/^\/(?:[^/]*\.)?([^./]+)\/(.+)$/, "$1.$2");
}

function deadline(options: CallOptions): Date {
  return new Date(Date.now() + (options.deadlineMs ?? defaultDeadlineMs));
}
