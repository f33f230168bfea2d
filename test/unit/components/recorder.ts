import * as pulumi from "@pulumi/pulumi";
import { getMonitor } from "@pulumi/pulumi/runtime/settings.js";
import type struct from "google-protobuf/google/protobuf/struct_pb.js";

/** A resource as registered with the engine. */
export interface Registered {
  type: string;
  name: string;
  /** Type and name of the parent. */
  parent: string;
  /** Its inputs, with `{ secret: value }` for a secret and `unknown` for an unknown value. */
  inputs: Record<string, unknown>;
  /** Names of its dependencies, in no order. */
  after: string[];
  /** Name of the explicit provider; empty for the default one. */
  provider: string;
  protect: boolean;
  ignoreChanges: string[];
  /** Its aliases: `<parent type>::<parent name> > <type>`. */
  aliases: string[];
  additionalSecretOutputs: string[];
  /** When it was registered and when the engine answered, as ticks of one clock. */
  start: number;
  end: number;
}

/** A call of a provider's function. */
export interface Called {
  token: string;
  inputs: Record<string, unknown>;
}

export interface Recording<Result> {
  result: Result;
  resources: Registered[];
  calls: Called[];
}

export interface RecordOptions {
  /** A preview: resources get no ID, and only the program's own values are known. */
  preview?: boolean;
  /** What the provider returns for a resource: its ID, and its state beyond the inputs. */
  made?: (resource: { type: string; name: string; inputs: Record<string, unknown> }) => {
    id?: string;
    state?: Record<string, unknown>;
    /** How long it takes, in milliseconds. */
    takes?: number;
  };
  /** The answer of a provider's function. */
  answer?: (call: Called) => Record<string, unknown>;
}

/** Marks an input that is unknown in a preview. */
export const unknown = "unknown until the update";

/** The wire boundary: the accessors of a request (sdk/proto/pulumi/resource.proto). */
interface WireRequest {
  getType(): string;
  getName(): string;
  getParent(): string;
  getProvider(): string;
  getObject(): struct.Struct;
  getArgs(): struct.Struct;
  getTok(): string;
  getDependenciesList(): string[];
  getProtect(): boolean | undefined;
  getIgnorechangesList(): string[];
  getAliasesList(): { getSpec(): { getType(): string; getParenturn(): string } | undefined }[];
  getAdditionalsecretoutputsList(): string[];
}
type Method = (request: WireRequest, callback: unknown) => Promise<void>;

/** Runs a program with Pulumi's mocks as the engine, and returns all requests. */
export async function record<Result>(
  program: () => Result | Promise<Result>,
  { preview = false, made = () => ({}), answer = () => ({}) }: RecordOptions = {},
): Promise<Recording<Result>> {
  const resources: Registered[] = [];
  const calls: Called[] = [];
  let clock = 0;
  await pulumi.runtime.setMocks(
    {
      newResource: async ({ type, name, inputs, custom }) => {
        const { id = `${name}-id`, state = {}, takes } = made({ type, name, inputs: plainInputs(inputs) });
        if (takes !== undefined) await new Promise((resolve) => setTimeout(resolve, takes));
        const known = { ...plainInputs(inputs), ...(preview ? {} : state) };
        return { id: preview || custom === false ? undefined : id, state: known };
      },
      call: ({ token, inputs }) => answer({ token, inputs: plainInputs(inputs) }),
    },
    "talos-iscsi",
    "test",
    preview,
  );
  const monitor = getMonitor() as unknown as { registerResource: Method; invoke: Method };
  const register = monitor.registerResource.bind(monitor);
  const invoke = monitor.invoke.bind(monitor);
  monitor.registerResource = async (request, callback) => {
    const resource: Registered = {
      type: request.getType(),
      name: request.getName(),
      parent: typeAndName(request.getParent()),
      inputs: plain(request.getObject().toJavaScript()) as Record<string, unknown>,
      after: request.getDependenciesList().map(nameOf),
      provider: nameOf(request.getProvider().split("::").slice(0, -1).join("::")),
      protect: request.getProtect() ?? false,
      ignoreChanges: request.getIgnorechangesList(),
      aliases: request
        .getAliasesList()
        .map(
          (alias) =>
            `${typeAndName(alias.getSpec()?.getParenturn() ?? "")} > ${alias.getSpec()?.getType() ?? ""}`,
        ),
      additionalSecretOutputs: request.getAdditionalsecretoutputsList(),
      start: clock++,
      end: Infinity,
    };
    resources.push(resource);
    await register(request, callback);
    resource.end = clock++;
  };
  monitor.invoke = (request, callback) => {
    const inputs = plain(request.getArgs().toJavaScript()) as Record<string, unknown>;
    calls.push({ token: request.getTok(), inputs });
    return invoke(request, callback);
  };
  const result = await program();
  await pulumi.runtime.disconnect();
  return { result, resources, calls };
}

/** The value of an output after the program has run. */
export function valueOf<T>(output: pulumi.Output<T>): Promise<T> {
  return (output as unknown as { promise(): Promise<T> }).promise();
}

export function isSecret(output: pulumi.Output<unknown>): Promise<boolean> {
  return (output as unknown as { isSecret: Promise<boolean> }).isSecret;
}

/** The resources of a type, in the order of their registration. */
export function ofType(resources: readonly Registered[], type: string): Registered[] {
  return resources.filter((resource) => resource.type === type);
}

/** The one resource of a type, or the one of that name. */
export function onlyResource(resources: readonly Registered[], type: string, name?: string): Registered {
  const found = ofType(resources, type).filter((resource) => name === undefined || resource.name === name);
  const [first] = found;
  if (found.length !== 1 || first === undefined) {
    const all = resources.map((resource) => `${resource.type} ${resource.name}`).join("\n");
    throw new Error(`${found.length} resources are ${type} ${name ?? ""}; there are\n${all}`);
  }
  return first;
}

function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? "";
}

function typeAndName(urn: string): string {
  const [, , qualifiedType = "", name = ""] = urn.split("::");
  return urn === "" ? "" : `${qualifiedType.split("$").at(-1)}::${name}`;
}

// How secrets and unknowns look on the wire (sdk/nodejs/runtime/rpc.ts).
const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

function plain(value: unknown): unknown {
  if (value === pulumi.runtime.unknownValue) return unknown;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, unknown>;
  if (fields[signature] === secretSignature) return { secret: plain(fields["value"]) };
  return Object.fromEntries(Object.entries(fields).map(([key, inner]) => [key, plain(inner)]));
}

/** Inputs as a provider gets them, without secret wrappers. */
function plainInputs(inputs: unknown): Record<string, unknown> {
  const bare = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(bare);
    if (typeof value !== "object" || value === null) return value;
    const fields = value as Record<string, unknown>;
    if (signature in fields) return bare(fields["value"]);
    return Object.fromEntries(Object.entries(fields).map(([key, inner]) => [key, bare(inner)]));
  };
  return bare(inputs) as Record<string, unknown>;
}
