import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import type { MethodDefinition, ServiceDefinition } from "@grpc/proto-loader";
import { isItself, splitEndpoint } from "../endpoint.ts";
import type { TalosCredentials } from "./credentials.ts";
import { isTransient, toTalosError, TalosError } from "./errors.ts";
import { anonymousContext, clientContext } from "./tlsContexts.ts";
import type { CallOptions } from "./talosClient.ts";

const defaultDeadlineMs = 10_000;

/** Where a node is and how to be let in. */
export interface TalosConnection {
  /** `host` or `host:port` (default port 50000) of the apid to talk to. */
  endpoint: string;
  /** Further ones, tried in turn while one of them is away. Default: none. */
  others?: readonly string[];
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

/** A way to the node: itself, or another that forwards. */
interface Route {
  readonly endpoint: string;
  readonly address: string;
  readonly credentials: grpc.ChannelCredentials;
  readonly options: grpc.ChannelOptions;
  /** The node that is named in the metadata; undefined where the endpoint is the node. */
  readonly forwardTo: string | undefined;
  client?: grpc.Client | undefined;
}

/** Calls over one connection: deadlines, cancelling and errors the same for all. */
export class Transport {
  readonly node: string;
  readonly #ways: readonly Route[];
  #current = 0;

  constructor(connection: TalosConnection) {
    this.node = connection.node ?? splitEndpoint(connection.endpoint).host;
    this.#ways = routeEndpoints(connection, this.node).map((endpoint) =>
      this.#route(endpoint, connection.credentials),
    );
  }

  #route(endpoint: string, credentials: TalosConnection["credentials"]): Route {
    const { host, port } = splitEndpoint(endpoint);
    return {
      endpoint,
      address: `${host.includes(":") ? `[${host}]` : host}:${port}`,
      credentials: channelCredentials(host, this.node, credentials),
      // TLS has no server names that are addresses (RFC 6066), and Node warns of one. The certificate is still held
      // against the address, below; the name that is sent instead means nothing to apid.
      options:
        isIP(host) === 0 ? channelOptions : { ...channelOptions, "grpc.ssl_target_name_override": "talos" },
      // A worker's apid forwards nothing, so a node that is spoken to directly is not named in the metadata.
      forwardTo: isItself(endpoint, this.node) ? undefined : this.node,
    };
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
    const until = deadlineOf(options);
    const way = await this.#openRoute(name, until);
    return new Promise((resolve, reject) => {
      let call: grpc.ClientUnaryCall | undefined = undefined;
      const stop = (): void => call?.cancel();
      call = openClient(way).makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        metadataFor(way),
        { deadline: until },
        (error, response) => {
          options.signal?.removeEventListener("abort", stop);
          if (error) reject(this.#toError(way, error, name, options));
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
    const until = deadlineOf(options);
    const way = await this.#openRoute(name, until);
    const call = openClient(way).makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadataFor(way),
      { deadline: until },
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
      throw this.#toError(way, error, name, options);
    } finally {
      options.signal?.removeEventListener("abort", stop);
      call.cancel();
    }
  }

  reconnect(): void {
    for (const way of this.#ways) closeRoute(way);
  }

  close(): void {
    this.reconnect();
  }

  /**
   * The way for the next call: the first that can be used, beginning with the one that was used last. Whether an endpoint that forwards is there is found
   * out before the call, so that its absence is not taken for that of the node.
   */
  async #openRoute(name: string, until: Date): Promise<Route> {
    const first = this.#ways[this.#current];
    if (first !== undefined && this.#ways.length === 1 && first.forwardTo === undefined) return first;
    for (let tries = 0; tries < this.#ways.length; tries++) {
      const index = (this.#current + tries) % this.#ways.length;
      const way = this.#ways[index];
      // What is left of the time is shared with those that are still to be tried.
      const share = Math.max(0, until.getTime() - Date.now()) / (this.#ways.length - tries);
      if (way === undefined || !(await isRouteReady(way, Date.now() + share))) continue;
      this.#current = index;
      return way;
    }
    const tried = this.#ways.map(({ endpoint }) => endpoint).join(", ");
    const detail =
      this.#ways.length === 1
        ? `its endpoint ${tried} does not answer`
        : `none of its endpoints answers: ${tried}`;
    throw new TalosError("unreachable", this.node, name, detail);
  }

  /** The error for the caller. After silence the next call takes the next way: an endpoint may be cut off from the node. */
  #toError(way: Route, error: unknown, name: string, options: CallOptions): TalosError {
    const told = toTalosError(error, this.node, name, options.signal?.aborted ?? false);
    if (isTransient(told) && this.#ways[this.#current] === way)
      this.#current = (this.#current + 1) % this.#ways.length;
    return told;
  }
}

/** A machine without a configuration cannot be reached through another, and an endpoint must not be taken for it. */
function routeEndpoints({ endpoint, others = [], credentials }: TalosConnection, node: string): string[] {
  const all = [endpoint, ...others];
  return credentials === "maintenance" ? [ownEndpoint(all, node)] : all;
}

/** Where the node itself answers. */
export function ownEndpoint(endpoints: readonly string[], node: string): string {
  return endpoints.find((endpoint) => isItself(endpoint, node)) ?? node;
}

function channelCredentials(
  host: string,
  node: string,
  credentials: TalosConnection["credentials"],
): grpc.ChannelCredentials {
  if (credentials === "maintenance") {
    // The machine has signed its certificate itself; there is nothing to check it against.
    return grpc.credentials.createFromSecureContext(anonymousContext(), { rejectUnauthorized: false });
  }
  try {
    return grpc.credentials.createFromSecureContext(clientContext(credentials), {
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    });
  } catch {
    // OpenSSL's own text may quote what it was given.
    throw new TalosError(
      "certificate",
      node,
      "connect",
      "the client credentials are no certificate and key that TLS can use",
    );
  }
}

function openClient(way: Route): grpc.Client {
  way.client ??= new grpc.Client(way.address, way.credentials, way.options);
  return way.client;
}

function closeRoute(way: Route): void {
  way.client?.close();
  way.client = undefined;
}

/** Connects, if that is still to be done: false as soon as it fails, and when the time is over. */
async function isRouteReady(way: Route, until: number): Promise<boolean> {
  const { READY, IDLE, CONNECTING, TRANSIENT_FAILURE } = grpc.connectivityState;
  if (way.client?.getChannel().getConnectivityState(false) === TRANSIENT_FAILURE) closeRoute(way);
  const channel = openClient(way).getChannel();
  for (;;) {
    const state = channel.getConnectivityState(true);
    if (state === READY) return true;
    if (state !== IDLE && state !== CONNECTING) return false;
    const changed = await new Promise<boolean>((resolve) => {
      channel.watchConnectivityState(state, until, (error) => resolve(error === undefined));
    });
    if (!changed) return false;
  }
}

function metadataFor({ forwardTo }: Route): grpc.Metadata {
  const metadata = new grpc.Metadata();
  if (forwardTo !== undefined) metadata.set("node", forwardTo);
  return metadata;
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

function deadlineOf(options: CallOptions): Date {
  return new Date(Date.now() + (options.deadlineMs ?? defaultDeadlineMs));
}
