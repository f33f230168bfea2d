import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { MethodDefinition } from "@grpc/proto-loader";
import { loadTalosApi } from "../../../talos/api/load.ts";
import type { Machine } from "../machine/machine.ts";
import type { Faults } from "../machine/faults.ts";
import { CallFailure, asCallFailure, notAuthorized } from "../machine/failure.ts";
import type { CallContext, Handlers, Send } from "./handlers.ts";
import { storageService } from "./labApi.ts";
import { Forwarder, errorMetadata, type ForwardingIdentity } from "./proxy.ts";
import { admin, impersonator, mayCall, oldMaintenanceApi, reader, type Role } from "./roles.ts";
import type { Wire } from "./wire.ts";

type Method = MethodDefinition<object, object>;
type AnyCall = ServerUnaryCall<object, object> | ServerWritableStream<object, object>;

/** How the API of a node is secured. In maintenance mode there are no client certificates, and so no forwarding. */
export interface ApidIdentity {
  certificate: string;
  key: string;
  /** The CAs of client certificates; absent in maintenance mode. */
  clientAuthorities?: string[];
  forwarding?: ForwardingIdentity;
}

/** What apid needs from its node. */
export interface ApidHost {
  readonly address: string;
  readonly handlers: Handlers;
  readonly faults: Faults;
  readonly wire: Wire;
  /** Called for each call that this node answers itself. */
  called(): void;
  /** Called when it has answered. */
  answered(): void;
  /** Minor version of the running Talos. */
  minor(): number;
  /** Whether an API is missing: later releases add it, or a fault removes it. */
  lacks(path: string): boolean;
  isLocal(target: string): boolean;
  /** Where this node reaches another one's API; undefined: at its address. */
  insideOf(target: string): string | undefined;
  /** Aborts when the node goes down. */
  readonly power: AbortSignal;
}

/** A machine with the API that serves it. */
export interface ServedMachine extends Machine, ApidHost {}

/** Calls that change the node; the `reply-lost` fault loses their replies. */
const changing = new Set(
  ["ApplyConfiguration", "Bootstrap", "Reboot", "Reset", "Shutdown", "Upgrade"].map(
    (name) => `/machine.MachineService/${name}`,
  ),
);

/** The API server of a node: authenticates, forwards to other nodes, and answers for its own. */
export class Apid {
  readonly #host: ApidHost;
  readonly #identity: ApidIdentity;
  readonly #forwarder: Forwarder | undefined;
  readonly #directory = mkdtempSync(join(tmpdir(), "apid-"));
  readonly #server = new Server({ "grpc.max_receive_message_length": 32 << 20 });
  #calls = 0;

  constructor(host: ApidHost, identity: ApidIdentity) {
    this.#host = host;
    this.#identity = identity;
    this.#forwarder =
      identity.forwarding === undefined
        ? undefined
        : new Forwarder(identity.forwarding, (target) => host.insideOf(target));
  }

  /** Its address, for gRPC clients. */
  get target(): string {
    return `unix:${join(this.#directory, "api.sock")}`;
  }

  async start(): Promise<void> {
    const { machine, lifecycle, image, cluster, state } = loadTalosApi();
    for (const service of [machine, lifecycle, image, cluster, state, storageService()]) {
      const implementation: UntypedServiceImplementation = {};
      for (const [name, method] of Object.entries(service)) {
        implementation[name] = method.responseStream
          ? (call: ServerWritableStream<object, object>) => void this.#stream(method, call)
          : (call: ServerUnaryCall<object, object>, reply: sendUnaryData<object>) =>
              void this.#unary(method, call, reply);
      }
      this.#server.addService(service, implementation);
    }
    const { certificate, key, clientAuthorities } = this.#identity;
    const path = join(this.#directory, "api.sock");
    const pair = [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) }];
    const credentials =
      clientAuthorities === undefined
        ? ServerCredentials.createSsl(null, pair, false)
        : ServerCredentials.createSsl(Buffer.from(clientAuthorities.join("\n")), pair, true);
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(`unix:${path}`, credentials, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
    this.#host.wire.pointTo(path);
  }

  /** @param gracefully let calls in progress finish: for new certificates, not for a power loss */
  async stop(gracefully = false): Promise<void> {
    this.#forwarder?.close();
    if (gracefully) await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    else this.#server.forceShutdown();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #roles(call: AnyCall): ReadonlySet<Role> {
    if (this.#identity.clientAuthorities === undefined) return new Set([reader]);
    if (this.#host.faults.has("permission-denied")) return new Set([reader]);
    const organizations: unknown = call.getAuthContext().sslPeerCertificate?.subject.O ?? [];
    const roles = new Set(Array.isArray(organizations) ? organizations.map(String) : [String(organizations)]);
    if (!roles.has(impersonator)) return roles;
    const named = values(call, "talos-role");
    return named.length > 0 ? new Set(named) : roles;
  }

  #context(call: AnyCall): CallContext {
    const gone = new AbortController();
    call.on("cancelled", () => gone.abort());
    return { roles: this.#roles(call), signal: AbortSignal.any([gone.signal, this.#host.power]) };
  }

  /** The nodes that a call goes to; undefined is this node. With `many`, replies are wrapped with each node's name. */
  #targets(method: Method, call: AnyCall): { many: boolean; targets: (string | undefined)[] } {
    const nodes = values(call, "nodes");
    const node = values(call, "node");
    if (values(call, "proxyfrom").length > 0) return { many: false, targets: [undefined] };
    if (node.length > 1)
      throw new CallFailure(status.INVALID_ARGUMENT, "node metadata must be single-valued");
    const wanted = nodes.length > 0 ? nodes : node;
    const [first] = wanted;
    if (first === undefined) return { many: false, targets: [undefined] };
    if (this.#forwarder === undefined) {
      if (wanted.length === 1 && this.#host.isLocal(first)) return { many: false, targets: [undefined] };
      throw new CallFailure(status.PERMISSION_DENIED, "no request forwarding");
    }
    if (
      nodes.length > 0 &&
      !/^\/(machine\.MachineService|cluster\.ClusterService|storage\.StorageService)\//.test(method.path)
    ) {
      throw new CallFailure(
        status.INVALID_ARGUMENT,
        `one-2-many proxying is not supported for method ${method.path}`,
      );
    }
    return { many: nodes.length > 0, targets: wanted };
  }

  /** Checks on the answering node, before its handler runs. */
  #admit(path: string, { roles }: CallContext): void {
    const { faults, handlers } = this.#host;
    this.#calls++;
    this.#host.called();
    if (this.#calls % 2 === 0 && faults.has("flaky-api")) {
      throw new CallFailure(status.UNAVAILABLE, "the service is temporarily overloaded");
    }
    if (this.#host.lacks(path) || !handlers.has(path)) {
      const [, service, method] = path.split("/");
      throw new CallFailure(
        status.UNIMPLEMENTED,
        `unknown service or method ${service ?? ""}/${method ?? ""}`,
      );
    }
    const maintenance = this.#identity.clientAuthorities === undefined;
    if (maintenance && this.#host.minor() < 13 && !oldMaintenanceApi.has(path) && !roles.has(admin)) {
      throw new CallFailure(status.UNIMPLEMENTED, "API is not implemented in maintenance mode");
    }
    if (!mayCall(path, roles)) throw notAuthorized();
  }

  async #unary(
    method: Method,
    call: ServerUnaryCall<object, object>,
    reply: sendUnaryData<object>,
  ): Promise<void> {
    try {
      const context = this.#context(call);
      const { many, targets } = this.#targets(method, call);
      const one = (target: string | undefined): Promise<object> => this.#one(method, call, target, context);
      const response = many ? await gather(targets, one) : await one(targets[0]);
      reply(null, response);
    } catch (error) {
      const { code, message } = asCallFailure(error);
      reply({ code, details: message });
    }
  }

  async #one(
    method: Method,
    call: ServerUnaryCall<object, object>,
    target: string | undefined,
    context: CallContext,
  ): Promise<object> {
    if (target !== undefined && !this.#host.isLocal(target) && this.#forwarder !== undefined) {
      return await this.#forwarder.unary(target, method, call.request, context, call.getDeadline());
    }
    const response = await this.#answer(method.path, context, () =>
      this.#host.handlers.callUnary(method.path, call.request, context),
    );
    if (changing.has(method.path) && this.#host.faults.strikes("reply-lost")) this.#host.wire.cut();
    return response;
  }

  async #stream(method: Method, call: ServerWritableStream<object, object>): Promise<void> {
    try {
      const context = this.#context(call);
      const { many, targets } = this.#targets(method, call);
      const send: Send = (message) => {
        if (!context.signal.aborted) call.write(message);
      };
      await Promise.all(
        targets.map(async (target) => {
          const tagged: Send = many
            ? (message) => send({ ...message, metadata: { hostname: target } })
            : send;
          try {
            await this.#oneStream(method, call, target, tagged, context);
          } catch (error) {
            if (!many || target === undefined) throw error;
            send({ metadata: errorMetadata(target, error) });
          }
        }),
      );
      call.end();
    } catch (error) {
      const { code, message } = asCallFailure(error);
      call.emit("error", { code, details: message });
    }
  }

  async #oneStream(
    method: Method,
    call: ServerWritableStream<object, object>,
    target: string | undefined,
    send: Send,
    context: CallContext,
  ): Promise<void> {
    if (target !== undefined && !this.#host.isLocal(target) && this.#forwarder !== undefined) {
      await this.#forwarder.stream(target, method, call.request, send, context, call.getDeadline());
      return;
    }
    await this.#answer(method.path, context, () =>
      this.#host.handlers.callStream(method.path, call.request, send, context),
    );
  }

  async #answer<T>(path: string, context: CallContext, work: () => Promise<T>): Promise<T> {
    const { faults } = this.#host;
    this.#admit(path, context);
    try {
      if (faults.has("slow-answers"))
        await delay(faults.value("slow-answers"), undefined, { signal: context.signal });
      return await work();
    } finally {
      this.#host.answered();
    }
  }
}

/** HTTP/2 in Node.js joins repeated headers into one value. */
function values(call: AnyCall, key: string): string[] {
  return call.metadata
    .get(key)
    .flatMap((value) => value.toString().split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "");
}

/** One reply with the messages of all nodes, each with the name of the node that sent it. */
async function gather(
  targets: (string | undefined)[],
  one: (target: string | undefined) => Promise<object>,
): Promise<object> {
  const messages = await Promise.all(
    targets.map(async (target = ""): Promise<object[]> => {
      try {
        const response = (await one(target)) as { messages?: object[] };
        return (response.messages ?? []).map((message) => ({ ...message, metadata: { hostname: target } }));
      } catch (error) {
        return [{ metadata: errorMetadata(target, error) }];
      }
    }),
  );
  return { messages: messages.flat() };
}
