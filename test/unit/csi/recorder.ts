import * as pulumi from "@pulumi/pulumi";
import { getMonitor } from "@pulumi/pulumi/runtime/settings.js";
import type struct from "google-protobuf/google/protobuf/struct_pb.js";

/** A resource as registered with the engine. */
export interface Registered {
  type: string;
  name: string;
  /** Its inputs, with `{ secret: value }` for a secret. */
  inputs: Record<string, unknown>;
  /** Type and name of the parent: `talos-iscsi:index:IscsiCsiDriver::joviandss`. */
  parent: string;
  /** The explicit provider. */
  provider: string;
  additionalSecretOutputs: string[];
  deleteBeforeReplace: boolean;
  /** Paths whose change replaces it, besides those that its provider names. */
  replaceOnChanges: string[];
  retainOnDelete: boolean;
  /** Names of its dependencies. */
  after: string[];
  /** Its earlier names. */
  aliases: string[];
}

/** The uid of every object in the mocked Kubernetes API. */
const uid = "0b4cdef2-5f0e-4a8e-9d3c-3f6a5a5d3a10";

/** The wire boundary: the accessors of a registration request (sdk/proto/pulumi/resource.proto). */
interface RegisterRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getProvider(): string;
  getObject(): struct.Struct;
  getAdditionalsecretoutputsList(): string[];
  getDeletebeforereplace(): boolean;
  getReplaceonchangesList(): string[];
  getRetainondelete(): boolean;
  getDependenciesList(): string[];
  getAliasurnsList(): string[];
  getAliasesList(): { getUrn(): string; getSpec(): { getName(): string } | undefined }[];
}
type Register = (request: RegisterRequest, callback: unknown) => Promise<void>;

// How a secret looks on the wire (sdk/nodejs/runtime/rpc.ts).
const signature = "4dabf18193072939515e22adb298388d";

/** Runs a program with Pulumi's mocks, and returns all registered resources. */
export async function record<Result>(
  program: () => Result,
): Promise<{ result: Result; resources: Registered[] }> {
  const resources: Registered[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ name, inputs }) => {
        const metadata = (inputs as { metadata?: object }).metadata;
        const state = {
          ...(inputs as object),
          ...(metadata === undefined ? {} : { metadata: { ...metadata, uid } }),
        };
        return { id: `${name}-id`, state };
      },
      call: ({ inputs }) => inputs as Record<string, unknown>,
    },
    "talos-iscsi",
    "test",
    false,
  );
  const monitor = getMonitor() as unknown as { registerResource: Register };
  const original = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) => {
    resources.push({
      type: request.getType(),
      name: request.getName(),
      inputs: plain(request.getObject().toJavaScript()) as Record<string, unknown>,
      parent: typeAndName(request.getParent()),
      provider: request.getProvider(),
      additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
      deleteBeforeReplace: request.getDeletebeforereplace(),
      replaceOnChanges: request.getReplaceonchangesList(),
      retainOnDelete: request.getRetainondelete(),
      aliases: [
        ...request.getAliasurnsList().map(nameIn),
        // An alias that only changes the type has no name.
        ...request
          .getAliasesList()
          .map((alias) => (alias.getSpec()?.getName() ?? nameIn(alias.getUrn())) || request.getName()),
      ],
      after: request.getDependenciesList().map(nameIn),
    });
    return original(request, callback);
  };
  const result = program();
  await pulumi.runtime.disconnect();
  return { result, resources };
}

/** The one resource of a type, or the one of that name. */
export function onlyResource(resources: readonly Registered[], type: string, name?: string): Registered {
  const found = resources.filter(
    (resource) => resource.type === type && (name === undefined || resource.name === name),
  );
  const [first] = found;
  if (found.length !== 1 || first === undefined) {
    const all = resources.map((resource) => `${resource.type} ${resource.name}`).join("\n");
    throw new Error(`${found.length} resources are ${type} ${name ?? ""}; there are\n${all}`);
  }
  return first;
}

/** A value inside a plain object or list. */
export function valueAt(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key],
    value,
  );
}

/** Decodes base64 in the `data` of a Secret. */
export function decodeBase64(base64: unknown): string {
  return Buffer.from(base64 as string, "base64").toString("utf8");
}

function nameIn(urn: string): string {
  return urn.split("::").at(-1) ?? "";
}

function typeAndName(urn: string): string {
  const [, , qualifiedType = "", name = ""] = urn.split("::");
  return urn === "" ? "" : `${qualifiedType.split("$").at(-1)}::${name}`;
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if (signature in value) return { secret: plain((value as Record<string, unknown>)["value"]) };
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
