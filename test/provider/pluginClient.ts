import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import * as grpc from "@grpc/grpc-js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import { marshalProperties, unmarshalProperties } from "../../lab/plugins/values.ts";
import type { Properties } from "../../lab/plugins/values.ts";

type Callback<Response> = (error: grpc.ServiceError | null, response: Response) => void;

export interface DiffAnswer {
  changes: boolean;
  /** Names of the changed properties. */
  diffs: string[];
  detailed: Record<string, number>;
  replaces: string[];
}

/** Talks to a provider plugin as the engine does. */
export class PluginClient {
  readonly #client: providerGrpc.ResourceProviderClient;
  readonly #stop: () => Promise<void>;
  /** Resolves when the plugin's process has exited by itself. */
  readonly ended: Promise<unknown>;

  private constructor(port: number, stop: () => Promise<void>, ended: Promise<unknown>) {
    this.ended = ended;
    const options = { "grpc.max_receive_message_length": -1 };
    this.#client = new providerGrpc.ResourceProviderClient(
      `127.0.0.1:${port}`,
      grpc.credentials.createInsecure(),
      options,
    );
    this.#stop = stop;
  }

  /** Starts an executable and reads its port from its first line, as the engine does. */
  static async start(
    executable: string,
    args: string[] = [],
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<PluginClient> {
    const child = spawn(executable, args, { stdio: ["ignore", "pipe", "inherit"], env });
    const [line] = (await Promise.race([
      once(createInterface({ input: child.stdout }), "line"),
      once(child, "error").then(([error]) => Promise.reject(error as Error)),
      once(child, "exit").then(([code]) =>
        Promise.reject(new Error(`${executable} ended with ${String(code)}`)),
      ),
    ])) as [string];
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const stop = async (): Promise<void> => {
      child.kill("SIGKILL");
      await exited;
    };
    return new PluginClient(Number(line), stop, exited);
  }

  /** A plugin that listens in this process. */
  static at(server: { port: number; close: () => void }): PluginClient {
    return new PluginClient(server.port, async () => server.close(), new Promise(() => undefined));
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#stop();
  }

  async handshake(engineAddress: string): Promise<providerPb.ProviderHandshakeResponse> {
    const request = new providerPb.ProviderHandshakeRequest().setEngineAddress(engineAddress);
    return this.#call((callback) => this.#client.handshake(request, callback));
  }

  async version(): Promise<string> {
    const info = await this.#call<{ getVersion(): string }>((callback) =>
      this.#client.getPluginInfo(new emptyPb.Empty(), callback),
    );
    return info.getVersion();
  }

  async schema(): Promise<string> {
    const request = new providerPb.GetSchemaRequest();
    const answer = await this.#call<{ getSchema(): string }>((callback) =>
      this.#client.getSchema(request, callback),
    );
    return answer.getSchema();
  }

  async configure(config: Properties): Promise<providerPb.ConfigureResponse> {
    const request = new providerPb.ConfigureRequest()
      .setArgs(marshalProperties(config))
      .setAcceptsecrets(true);
    return this.#call((callback) => this.#client.configure(request, callback));
  }

  async check(
    type: string,
    inputs: Properties,
  ): Promise<{ inputs: Properties; failures: Record<string, string> }> {
    const request = new providerPb.CheckRequest()
      .setUrn(urnOf(type))
      .setOlds(marshalProperties({}))
      .setNews(marshalProperties(inputs));
    const response = await this.#call<providerPb.CheckResponse>((callback) =>
      this.#client.check(request, callback),
    );
    const failures = response
      .getFailuresList()
      .map((failure) => [failure.getProperty(), failure.getReason()] as const);
    return { inputs: unmarshalProperties(response.getInputs()), failures: Object.fromEntries(failures) };
  }

  async diff(
    type: string,
    before: { inputs: Properties; state?: Properties },
    inputs: Properties,
  ): Promise<DiffAnswer> {
    const request = new providerPb.DiffRequest()
      .setUrn(urnOf(type))
      .setOldInputs(marshalProperties(before.inputs))
      .setOlds(marshalProperties(before.state ?? {}))
      .setNews(marshalProperties(inputs));
    const response = await this.#call<providerPb.DiffResponse>((callback) =>
      this.#client.diff(request, callback),
    );
    const detailed = response.getDetaileddiffMap().toArray() as unknown as [string, { kind?: number }][];
    return {
      changes: response.getChanges() === providerPb.DiffResponse.DiffChanges.DIFF_SOME,
      diffs: response.getDiffsList(),
      detailed: Object.fromEntries(
        detailed.map(([path]) => [path, response.getDetaileddiffMap().get(path)?.getKind() ?? -1]),
      ),
      replaces: response.getReplacesList(),
    };
  }

  async create(
    type: string,
    inputs: Properties,
    options: { preview?: boolean } = {},
  ): Promise<{ id: string; state: Properties }> {
    const request = new providerPb.CreateRequest()
      .setUrn(urnOf(type))
      .setProperties(marshalProperties(inputs))
      .setPreview(options.preview ?? false);
    const response = await this.#call<providerPb.CreateResponse>((callback) =>
      this.#client.create(request, callback),
    );
    return { id: response.getId(), state: unmarshalProperties(response.getProperties()) };
  }

  async read(
    type: string,
    id: string,
    known: { inputs?: Properties; state?: Properties } = {},
  ): Promise<{ id: string; state: Properties; inputs: Properties }> {
    const request = new providerPb.ReadRequest()
      .setUrn(urnOf(type))
      .setId(id)
      .setProperties(marshalProperties(known.state ?? {}))
      .setInputs(marshalProperties(known.inputs ?? {}));
    const response = await this.#call<providerPb.ReadResponse>((callback) =>
      this.#client.read(request, callback),
    );
    return {
      id: response.getId(),
      state: unmarshalProperties(response.getProperties()),
      inputs: unmarshalProperties(response.getInputs()),
    };
  }

  async update(
    type: string,
    before: { id: string; inputs: Properties; state: Properties },
    inputs: Properties,
    options: { preview?: boolean } = {},
  ): Promise<Properties> {
    const request = new providerPb.UpdateRequest()
      .setUrn(urnOf(type))
      .setId(before.id)
      .setOlds(marshalProperties(before.state))
      .setOldInputs(marshalProperties(before.inputs))
      .setNews(marshalProperties(inputs))
      .setPreview(options.preview ?? false);
    const response = await this.#call<providerPb.UpdateResponse>((callback) =>
      this.#client.update(request, callback),
    );
    return unmarshalProperties(response.getProperties());
  }

  async delete(type: string, id: string, inputs: Properties, state: Properties): Promise<void> {
    const request = new providerPb.DeleteRequest()
      .setUrn(urnOf(type))
      .setId(id)
      .setProperties(marshalProperties(state))
      .setOldInputs(marshalProperties(inputs));
    await this.#call((callback) => this.#client.delete(request, callback));
  }

  async invoke(
    token: string,
    args: Properties,
  ): Promise<{ result: Properties; failures: Record<string, string> }> {
    const request = new providerPb.InvokeRequest().setTok(token).setArgs(marshalProperties(args));
    const response = await this.#call<providerPb.InvokeResponse>((callback) =>
      this.#client.invoke(request, callback),
    );
    const failures = response
      .getFailuresList()
      .map((failure) => [failure.getProperty(), failure.getReason()] as const);
    return { result: unmarshalProperties(response.getReturn()), failures: Object.fromEntries(failures) };
  }

  async cancel(): Promise<void> {
    await this.#call((callback) => this.#client.cancel(new emptyPb.Empty(), callback));
  }

  async #call<Response>(send: (callback: Callback<Response>) => void): Promise<Response> {
    return new Promise((resolve, reject) => {
      send((error, response) => {
        if (error === null) {
          resolve(response);
        } else {
          reject(error);
        }
      });
    });
  }
}

export function urnOf(type: string, name = "thing"): string {
  return `urn:pulumi:dev::talos-iscsi::${type}::${name}`;
}
