import { loadSync, type PackageDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import { fileURLToPath } from "node:url";

/** A message outside of a call, such as the content of an `Event`. */
export interface MessageCodec {
  encode(message: object): Buffer;
  decode(bytes: Buffer): Record<string, unknown>;
}

/** The Talos API services that this project uses, for a gRPC client or server. */
export interface TalosApi {
  machine: ServiceDefinition;
  lifecycle: ServiceDefinition;
  image: ServiceDefinition;
  cluster: ServiceDefinition;
  state: ServiceDefinition;
  /** @param name the full name of a message, such as `machine.MachineStatusEvent` */
  message(name: string): MessageCodec;
}

const files = ["common.proto", "machine.proto", "cluster.proto", "resource.proto", "state.proto"];

/**
 * The representation of messages in this program: fields in camelCase, 64-bit numbers as strings (a JavaScript number would lose digits of an etcd member ID),
 * enums by name, absent fields with their default, and for a `oneof` a field with its name that tells which alternative was set.
 */
export const wireOptions = {
  keepCase: false,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
  bytes: Buffer,
} as const;

let loaded: TalosApi | undefined;

/** The Talos API from the .proto files next to this one. They are read once per process. */
export function loadTalosApi(): TalosApi {
  loaded ??= readDefinitions();
  return loaded;
}

function readDefinitions(): TalosApi {
  const definition = loadSync(files, {
    ...wireOptions,
    includeDirs: [fileURLToPath(new URL(".", import.meta.url))],
  });
  return {
    machine: serviceDefinition(definition, "machine.MachineService"),
    lifecycle: serviceDefinition(definition, "machine.LifecycleService"),
    image: serviceDefinition(definition, "machine.ImageService"),
    cluster: serviceDefinition(definition, "cluster.ClusterService"),
    state: serviceDefinition(definition, "cosi.resource.State"),
    message: (name) => messageCodec(definition, name),
  };
}

function serviceDefinition(definition: PackageDefinition, name: string): ServiceDefinition {
  const found = definition[name];
  if (found === undefined || "format" in found) {
    throw new Error(`talos/api has no service ${name}`);
  }
  return found;
}

/** @internal for message definitions loaded elsewhere with the same options */
export function messageCodec(definition: PackageDefinition, name: string): MessageCodec {
  const found = definition[name];
  if (found?.format !== "Protocol Buffer 3 DescriptorProto") {
    throw new Error(`talos/api has no message ${name}`);
  }
  const type = found;
  return {
    encode: (message) => type.serialize(message),
    decode: (bytes) => type.deserialize(bytes) as Record<string, unknown>,
  };
}
