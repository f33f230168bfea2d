import * as grpc from "@grpc/grpc-js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import pluginPb from "@pulumi/pulumi/proto/plugin_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import { EngineLog } from "./engineLog.ts";
import { statusOf } from "./status.ts";
import { diffInputs } from "./diff.ts";
import type { CheckFailure, DiffResult, ProviderPlugin } from "./plugin.ts";
import { marshalProperties, unmarshalProperties } from "./values.ts";

// Loads only the protocol's stubs, not the SDK: a plugin starts for every preview, and the SDK alone takes longer
// than the entire plugin.

type Handler<Request, Response> = (request: Request) => Promise<Response>;

/**
 * Serves a plugin to the Pulumi engine: listens on a free loopback port and prints it on stdout, as the engine
 * expects. The engine's own address is the first argument, or comes with Attach or Handshake.
 */
export async function servePlugin(
  plugin: ProviderPlugin,
  args: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const engine = new EngineLog(args.find((argument) => !argument.startsWith("-")));
  const { port } = await listen(plugin, engine);
  process.stdout.write(`${port}\n`);
}

/** The same without printing the port: for tests that talk to a plugin in their own process. */
export async function listen(
  plugin: ProviderPlugin,
  engine: EngineLog = new EngineLog(undefined),
): Promise<{ port: number; close: () => void }> {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  server.addService(providerGrpc.ResourceProviderService, handlers(plugin, engine));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) {
        resolve(bound);
      } else {
        reject(error);
      }
    });
  });
  return {
    port,
    close: () => {
      engine.close();
      server.forceShutdown();
    },
  };
}

function handlers(plugin: ProviderPlugin, engine: EngineLog): grpc.UntypedServiceImplementation {
  const cancelled = new AbortController();
  const signal = cancelled.signal;
  const resource = (request: { getUrn(): string; getType(): string; getName(): string }) => ({
    urn: request.getUrn(),
    type: request.getType() || typeOf(request.getUrn()),
    name: request.getName() || nameOf(request.getUrn()),
    log: engine.forResource(request.getUrn()),
    signal,
  });
  const timeout = (seconds: number) => (seconds > 0 ? { timeoutSeconds: seconds } : {});

  return {
    getPluginInfo: unary(async () => new pluginPb.PluginInfo().setVersion(plugin.version)),
    attach: unary(async (request: pluginPb.PluginAttach) => {
      engine.connect(request.getAddress());
      return new emptyPb.Empty();
    }),
    handshake: unary(async (request: providerPb.ProviderHandshakeRequest) => {
      engine.connect(request.getEngineAddress());
      return new providerPb.ProviderHandshakeResponse()
        .setAcceptSecrets(true)
        .setAcceptResources(true)
        .setAcceptOutputs(true);
    }),
    getSchema: unary(async () =>
      new providerPb.GetSchemaResponse().setSchema(
        JSON.stringify({ name: plugin.name, version: plugin.version }),
      ),
    ),
    checkConfig: unary(async (request: providerPb.CheckRequest) =>
      new providerPb.CheckResponse().setInputs(request.getNews()),
    ),
    diffConfig: unary(async (request: providerPb.DiffRequest) =>
      diffResponse(
        diffInputs(
          unmarshalProperties(request.getOldInputs() ?? request.getOlds()),
          unmarshalProperties(request.getNews()),
        ),
      ),
    ),
    configure: unary(async (request: providerPb.ConfigureRequest) => {
      await plugin.configure?.(unmarshalProperties(request.getArgs()));
      return new providerPb.ConfigureResponse()
        .setAcceptsecrets(true)
        .setAcceptresources(true)
        .setAcceptoutputs(true)
        .setSupportspreview(true);
    }),
    check: unary(async (request: providerPb.CheckRequest) => {
      const inputs = unmarshalProperties(request.getNews());
      const oldInputs = unmarshalProperties(request.getOlds());
      const result = (await plugin.check?.({ ...resource(request), inputs, oldInputs })) ?? { inputs };
      return new providerPb.CheckResponse()
        .setInputs(marshalProperties(result.inputs))
        .setFailuresList(toWireFailures(result.failures ?? []));
    }),
    diff: unary(async (request: providerPb.DiffRequest) => {
      const inputs = unmarshalProperties(request.getNews());
      const oldInputs = unmarshalProperties(request.getOldInputs());
      const result = await plugin.diff?.({
        ...resource(request),
        id: request.getId(),
        inputs,
        oldInputs,
        state: unmarshalProperties(request.getOlds()),
        ignoreChanges: request.getIgnorechangesList(),
      });
      return diffResponse(result ?? diffInputs(oldInputs, inputs));
    }),
    create: unary(async (request: providerPb.CreateRequest) => {
      const create = requireMethod(plugin, "create", request.getUrn());
      const result = await create({
        ...resource(request),
        ...timeout(request.getTimeout()),
        inputs: unmarshalProperties(request.getProperties()),
        preview: request.getPreview(),
      });
      return new providerPb.CreateResponse().setId(result.id).setProperties(marshalProperties(result.state));
    }),
    read: unary(async (request: providerPb.ReadRequest) => {
      const state = unmarshalProperties(request.getProperties());
      const inputs = unmarshalProperties(request.getInputs());
      const id = request.getId();
      const result =
        plugin.read === undefined
          ? { id, state, inputs }
          : await plugin.read({ ...resource(request), ...timeout(request.getTimeout()), id, state, inputs });
      // An answer without an ID tells the engine that the resource is gone.
      return result === undefined
        ? new providerPb.ReadResponse()
        : new providerPb.ReadResponse()
            .setId(result.id)
            .setProperties(marshalProperties(result.state))
            .setInputs(marshalProperties(result.inputs));
    }),
    update: unary(async (request: providerPb.UpdateRequest) => {
      const update = requireMethod(plugin, "update", request.getUrn());
      const state = await update({
        ...resource(request),
        ...timeout(request.getTimeout()),
        id: request.getId(),
        inputs: unmarshalProperties(request.getNews()),
        oldInputs: unmarshalProperties(request.getOldInputs()),
        state: unmarshalProperties(request.getOlds()),
        preview: request.getPreview(),
      });
      return new providerPb.UpdateResponse().setProperties(marshalProperties(state));
    }),
    delete: unary(async (request: providerPb.DeleteRequest) => {
      await plugin.delete?.({
        ...resource(request),
        ...timeout(request.getTimeout()),
        id: request.getId(),
        inputs: unmarshalProperties(request.getOldInputs()),
        state: unmarshalProperties(request.getProperties()),
      });
      return new emptyPb.Empty();
    }),
    invoke: unary(async (request: providerPb.InvokeRequest) => {
      const invoke = requireMethod(plugin, "invoke", request.getTok());
      const result = await invoke({
        token: request.getTok(),
        args: unmarshalProperties(request.getArgs()),
        preview: request.getPreview(),
        signal,
        log: engine.forResource(""),
      });
      return "failures" in result
        ? new providerPb.InvokeResponse().setFailuresList(toWireFailures(result.failures))
        : new providerPb.InvokeResponse().setReturn(marshalProperties(result.result));
    }),
    cancel: unary(async () => {
      cancelled.abort(new Error("cancelled"));
      return new emptyPb.Empty();
    }),
  };
}

function unary<Request, Response>(
  handler: Handler<Request, Response>,
): grpc.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    handler(call.request).then(
      (response) => callback(null, response),
      (error: unknown) => callback(statusOf(error)),
    );
  };
}

/** The method, bound to its plugin. Without it, the plugin has no such resource or function. */
function requireMethod<Method extends "create" | "update" | "invoke">(
  plugin: ProviderPlugin,
  method: Method,
  what: string,
): NonNullable<ProviderPlugin[Method]> {
  const implementation = plugin[method];
  if (implementation === undefined) {
    throw new Error(`the ${plugin.name} plugin ${plugin.version} has no ${method} (asked for ${what})`);
  }
  return implementation.bind(plugin) as NonNullable<ProviderPlugin[Method]>;
}

function toWireFailures(list: CheckFailure[]): providerPb.CheckFailure[] {
  return list.map(({ property, reason }) =>
    new providerPb.CheckFailure().setProperty(property).setReason(reason),
  );
}

function diffResponse({ diffs, replaces }: DiffResult): providerPb.DiffResponse {
  const { DIFF_SOME, DIFF_NONE } = providerPb.DiffResponse.DiffChanges;
  return new providerPb.DiffResponse()
    .setChanges(diffs.length > 0 ? DIFF_SOME : DIFF_NONE)
    .setDiffsList(diffs)
    .setReplacesList(replaces);
}

/** Older engines send only the URN: `urn:pulumi:stack::project::parent$type::name`. */
function typeOf(urn: string): string {
  return urn.split("::")[2]?.split("$").at(-1) ?? "";
}

function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}
