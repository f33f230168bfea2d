import * as grpc from "@grpc/grpc-js";
import anyPb from "google-protobuf/google/protobuf/any_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import statusPb from "@pulumi/pulumi/proto/status_pb.js";
import { ResourceInitError } from "./plugin.ts";
import { marshalProperties } from "./values.ts";

/**
 * An error in the engine's format: a status with the message, without a stack trace. A resource that exists but failed to
 * initialize carries its ID and properties in the status details, where gRPC's Go side looks for them.
 */
export function statusOf(error: unknown): Partial<grpc.StatusObject> {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ResourceInitError)) {
    return { code: grpc.status.UNKNOWN, details: message };
  }
  const detail = new providerPb.ErrorResourceInitFailed()
    .setId(error.id)
    .setProperties(marshalProperties(error.state))
    .setInputs(marshalProperties(error.inputs))
    .setReasonsList(error.reasons);
  const packed = new anyPb.Any();
  packed.pack(detail.serializeBinary(), "pulumirpc.ErrorResourceInitFailed");
  const status = new statusPb.Status().setCode(grpc.status.UNKNOWN).setMessage(message);
  status.setDetailsList([packed]);
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(status.serializeBinary()));
  return { code: grpc.status.UNKNOWN, details: message, metadata };
}
