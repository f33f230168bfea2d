import { Client, Metadata, credentials, status, type CallOptions, type ServiceError } from "@grpc/grpc-js";
import { isIPv6 } from "node:net";
import { checkServerIdentity } from "node:tls";
import type { MethodDefinition } from "@grpc/proto-loader";
import type { CallContext, Send } from "./handlers.ts";
import { CallFailure, asCallFailure } from "../machine/failure.ts";

/** How apid authenticates to the apid of another node. */
export interface ForwardingIdentity {
  authority: string;
  certificate: string;
  key: string;
}

type Method = MethodDefinition<object, object>;

/** Forwards calls to other nodes on the caller's behalf. Only control planes have the certificate for it. */
export class Forwarder {
  readonly #clients = new Map<string, Client>();
  readonly #identity: ForwardingIdentity;
  readonly #inside: (target: string) => string | undefined;

  /** @param inside the address of a node that isn't reachable at its own address and port 50000 */
  constructor(identity: ForwardingIdentity, inside: (target: string) => string | undefined) {
    this.#identity = identity;
    this.#inside = inside;
  }

  #client(target: string): Client {
    const place = this.#inside(target) ?? (isIPv6(target) ? `[${target}]:50000` : `${target}:50000`);
    let client = this.#clients.get(place);
    if (client === undefined) {
      const { authority, certificate, key } = this.#identity;
      client = new Client(
        place,
        credentials.createSsl(Buffer.from(authority), Buffer.from(key), Buffer.from(certificate), {
          checkServerIdentity: (_, presented) => checkServerIdentity(target, presented),
        }),
        {
          "grpc.initial_reconnect_backoff_ms": 200,
          "grpc.max_reconnect_backoff_ms": 1000,
          "grpc.enable_http_proxy": 0,
          // An IP address isn't a valid server name (RFC 6066); without a name here, the address would be sent as one.
          "grpc.ssl_target_name_override": "apid",
        },
      );
      this.#clients.set(place, client);
    }
    return client;
  }

  async unary(
    target: string,
    method: Method,
    request: object,
    call: CallContext,
    deadline?: Deadline,
  ): Promise<object> {
    return await new Promise<object>((resolve, reject) => {
      const running = this.#client(target).makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        inTheNameOf(call),
        options(deadline),
        (error, response) => {
          if (error !== null) reject(failureOf(error));
          else if (response === undefined) reject(new CallFailure(status.INTERNAL, "no response"));
          else resolve(response);
        },
      );
      call.signal.addEventListener("abort", () => running.cancel(), { once: true });
    });
  }

  async stream(
    target: string,
    method: Method,
    request: object,
    send: Send,
    call: CallContext,
    deadline?: Deadline,
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const running = this.#client(target).makeServerStreamRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        inTheNameOf(call),
        options(deadline),
      );
      running.on("data", send);
      running.on("end", resolve);
      running.on("error", (error) => reject(failureOf(error as ServiceError)));
      call.signal.addEventListener("abort", () => running.cancel(), { once: true });
    });
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}

type Deadline = number | Date;

function options(deadline: Deadline | undefined): CallOptions {
  return deadline === undefined || deadline === Infinity ? {} : { deadline };
}

function inTheNameOf(call: CallContext): Metadata {
  const metadata = new Metadata();
  for (const role of call.roles) metadata.add("talos-role", role);
  // Tells the other side to answer itself, regardless of the other metadata.
  metadata.set("proxyfrom", "apid");
  return metadata;
}

function failureOf(error: ServiceError): CallFailure {
  return new CallFailure(error.code, error.details);
}

/** Go's names for gRPC codes: they are part of the error texts that callers see. */
function codeName(code: status): string {
  const name = status[code] ?? "UNKNOWN";
  if (name === "CANCELLED") return "Canceled";
  return name
    .split("_")
    .map((word) => word[0] + word.slice(1).toLowerCase())
    .join("");
}

/** The entry for a failed node in a reply of several nodes. */
export function errorMetadata(target: string, error: unknown): object {
  const { code, message } = asCallFailure(error);
  return {
    hostname: target,
    error: `rpc error: code = ${codeName(code)} desc = ${message}`,
    status: { code, message, details: [] },
  };
}
