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

/** How to reach a node, and its credentials. */
export interface TalosConnection {
  /** `host` or `host:port` (default port 50000) of the apid to connect to. */
  endpoint: string;
  /** Fallback endpoints, tried in order while one is down. Default: none. */
  others?: readonly string[];
  /** The node's address, if the endpoint is another node that forwards. Default: the endpoint itself answers. */
  node?: string;
  /** `maintenance`: no client authentication, and the server's identity is not verified. Only a machine without a configuration accepts this. */
  credentials: TalosCredentials | "maintenance";
}

// Keepalive detects a peer that vanished silently within 15 seconds; talosctl uses the same times. A booting node is retried several times a second.
const channelOptions: grpc.ChannelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 100,
  // The process-wide pool would give a new channel the old, possibly half-open connection.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": 32 * 1024 * 1024,
};

type Message = Record<string, unknown>;

/** A route to the node: direct, or through a forwarder. */
interface Route {
  readonly endpoint: string;
  readonly address: string;
  readonly credentials: grpc.ChannelCredentials;
  readonly options: grpc.ChannelOptions;
  /** The node named in the metadata; undefined if the endpoint is the node. */
  readonly forwardTo: string | undefined;
  client?: grpc.Client | undefined;
}

/** Calls over one connection, with the same handling of deadlines, cancellation and errors. */
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
      // TLS server names can't be addresses (RFC 6066), and Node warns about one. The certificate is still verified against the address, below; apid ignores
      // the name that is sent instead.
      options:
        isIP(host) === 0 ? channelOptions : { ...channelOptions, "grpc.ssl_target_name_override": "talos" },
      // A worker's apid forwards nothing, so a directly contacted node is not named in the metadata.
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
    // Leaving the loop below early cancels the call, which then reports an error that nobody handles.
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
   * The route for the next call: the first usable one, starting with the last used. A forwarding endpoint is checked before the call, so that its failure isn't
   * mistaken for the node's.
   */
  async #openRoute(name: string, until: Date): Promise<Route> {
    const first = this.#ways[this.#current];
    if (first !== undefined && this.#ways.length === 1 && first.forwardTo === undefined) return first;
    for (let tries = 0; tries < this.#ways.length; tries++) {
      const index = (this.#current + tries) % this.#ways.length;
      const way = this.#ways[index];
      // The remaining time is shared among the routes still to be tried.
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

  /** The error for the caller. After no answer the next call uses the next route: an endpoint may be cut off from the node. */
  #toError(way: Route, error: unknown, name: string, options: CallOptions): TalosError {
    const given = toTalosError(error, this.node, name, options.signal?.aborted ?? false);
    const talosError = isWorkerEndpoint(way, given)
      ? new TalosError(
          "unreachable",
          this.node,
          name,
          `its endpoint ${way.endpoint} is a worker, which forwards to no other node`,
        )
      : given;
    if (isTransient(talosError) && this.#ways[this.#current] === way)
      this.#current = (this.#current + 1) % this.#ways.length;
    return talosError;
  }
}

/** A worker refuses to forward, whatever the credentials (siderolabs/talos internal/app/apid/pkg/director). */
function isWorkerEndpoint({ forwardTo }: Route, { kind, detail }: TalosError): boolean {
  return forwardTo !== undefined && kind === "denied" && detail.includes("no request forwarding");
}

/** A machine without a configuration can't be reached through another one, and an endpoint must not be mistaken for it. */
function routeEndpoints({ endpoint, others = [], credentials }: TalosConnection, node: string): string[] {
  const all = [endpoint, ...others];
  return credentials === "maintenance" ? [ownEndpoint(all, node)] : all;
}

/** The node's own endpoint. */
export function ownEndpoint(endpoints: readonly string[], node: string): string {
  return endpoints.find((endpoint) => isItself(endpoint, node)) ?? node;
}

function channelCredentials(
  host: string,
  node: string,
  credentials: TalosConnection["credentials"],
): grpc.ChannelCredentials {
  if (credentials === "maintenance") {
    // The machine's certificate is self-signed; there is nothing to verify it against.
    return grpc.credentials.createFromSecureContext(anonymousContext(), { rejectUnauthorized: false });
  }
  try {
    return grpc.credentials.createFromSecureContext(clientContext(credentials), {
      checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
    });
  } catch {
    // OpenSSL's own message may quote its input.
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

/** Connects if necessary: false as soon as that fails, or on timeout. */
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
