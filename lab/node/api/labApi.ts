import { fileURLToPath } from "node:url";
import { loadSync, type PackageDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import { messageCodec, wireOptions } from "../../../talos/api/load.ts";

let loaded: PackageDefinition | undefined;

/** The part of the API that only the lab needs: talosctl calls it, our program doesn't. */
function definitions(): PackageDefinition {
  const here = fileURLToPath(new URL(".", import.meta.url));
  const api = fileURLToPath(new URL("../../../talos/api/", import.meta.url));
  loaded ??= loadSync(["specs.proto", "storage.proto"], { ...wireOptions, includeDirs: [here, api] });
  return loaded;
}

export function storageService(): ServiceDefinition {
  return definitions()["storage.StorageService"] as ServiceDefinition;
}

/** @param spec the name of a message in specs.proto */
export function encodeSpec(spec: string, message: object): Buffer {
  return messageCodec(definitions(), `lab.specs.${spec}`).encode(message);
}
