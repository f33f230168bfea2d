import * as grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import type { ResourceLog } from "./plugin.ts";

/** A plugin's access to the engine's log: what a plugin writes to stdout or stderr is hidden from the user. */
export class EngineLog {
  #client: engineGrpc.EngineClient | undefined;
  #address: string | undefined;

  constructor(address: string | undefined) {
    this.connect(address);
  }

  connect(address: string | undefined): void {
    if (address === undefined || address === "" || address === this.#address) {
      return;
    }
    this.close();
    this.#address = address;
    this.#client = new engineGrpc.EngineClient(address, grpc.credentials.createInsecure());
  }

  forResource(urn: string): ResourceLog {
    return {
      progress: (message) => this.#send(enginePb.LogSeverity.INFO, urn, message, true),
      info: (message) => this.#send(enginePb.LogSeverity.INFO, urn, message, false),
      warning: (message) => this.#send(enginePb.LogSeverity.WARNING, urn, message, false),
    };
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
    this.#address = undefined;
  }

  #send(severity: enginePb.LogSeverity, urn: string, message: string, ephemeral: boolean): void {
    const request = new enginePb.LogRequest()
      .setSeverity(severity)
      .setUrn(urn)
      .setMessage(message)
      .setEphemeral(ephemeral);
    // A lost log line is no reason to fail the work it reports on.
    this.#client?.log(request, () => undefined);
  }
}
