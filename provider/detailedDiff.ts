import * as grpc from "@grpc/grpc-js";
import type { DiffResult, Provider } from "@pulumi/pulumi/provider/provider.js";
import provproto from "@pulumi/pulumi/proto/provider_pb.js";
import { canonicalJson } from "../talos/values.ts";
import type { Properties } from "./secrets.ts";
import { alwaysSecret, inputsWithoutUpdate } from "./state.ts";

/** How one property changes, by path: `plan.cp1`, `changes[3]`. Additions are shown without an old value. */
export type Details = Record<string, "add" | "delete" | "update">;

/** A resource's diff, with more detail than the SDK's server passes to the engine. */
export interface DetailedDiffResult extends DiffResult {
  /** Exactly these are shown. Absent: the engine compares the inputs itself. */
  details?: Details;
  /** Names of all changed inputs, shown or not. */
  changed?: readonly string[];
}

/** A provider whose diff also receives the old inputs; the SDK passes only the old outputs. */
export interface DetailingProvider extends Omit<Provider, "diff"> {
  diff(
    id: string,
    urn: string,
    olds: Properties,
    news: Properties,
    oldInputs: Properties,
  ): Promise<DetailedDiffResult>;
}

type AddService = (
  this: grpc.Server,
  service: grpc.ServiceDefinition,
  implementation: grpc.UntypedServiceImplementation,
) => void;

/**
 * Lets a provider choose which lines of a change the engine shows. The SDK's server of 3.260 drops that (provider/server.js, `diff`), so its answer to this
 * call is replaced when the server registers itself.
 */
export function serveDetailedDiffs(provider: DetailingProvider): void {
  const prototype: { addService: AddService } = grpc.Server.prototype;
  const register = prototype.addService;
  prototype.addService = function (service, implementation) {
    if ("diffConfig" in implementation && "diff" in implementation) {
      const diff: grpc.handleUnaryCall<provproto.DiffRequest, provproto.DiffResponse> = (call, callback) =>
        void answerDiff(provider, call.request).then(
          (response) => callback(null, response),
          (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
        );
      implementation["diff"] = diff;
      const read = implementation["read"] as grpc.handleUnaryCall<provproto.ReadRequest, unknown>;
      const readAsNow: typeof read = (call, callback) => {
        copyInputCredentials(call.request);
        read.call(implementation, call, (error, response, ...rest) => {
          if (response instanceof provproto.ReadResponse) keepStoredInputs(call.request, response);
          callback(error, response, ...rest);
        });
      };
      implementation["read"] = readAsNow;
    }
    register.call(this, service, implementation);
  };
}

/** The SDK's server passes only the outputs to a refresh. Credentials renewed since the last update are in the inputs (provider/state.ts). */
function copyInputCredentials(request: provproto.ReadRequest): void {
  const [outputs, inputs] = [request.getProperties()?.getFieldsMap(), request.getInputs()?.getFieldsMap()];
  for (const key of alwaysSecret) {
    const current = inputs?.get(key);
    if (current !== undefined && outputs?.has(key) === true) outputs.set(key, current);
  }
}

/** Inputs that are no outputs are unknown to the SDK's server: they stay as they are. */
function keepStoredInputs(request: provproto.ReadRequest, response: provproto.ReadResponse): void {
  const [stored, read] = [request.getInputs()?.getFieldsMap(), response.getInputs()?.getFieldsMap()];
  for (const key of inputsWithoutUpdate) {
    const current = stored?.get(key);
    if (current !== undefined) read?.set(key, current);
  }
}

const diffKinds = {
  add: provproto.PropertyDiff.Kind.ADD,
  delete: provproto.PropertyDiff.Kind.DELETE,
  update: provproto.PropertyDiff.Kind.UPDATE,
} as const;

async function answerDiff(
  provider: DetailingProvider,
  request: provproto.DiffRequest,
): Promise<provproto.DiffResponse> {
  const properties = (given: { toJavaScript(): unknown } | undefined): Properties =>
    (given?.toJavaScript() ?? {}) as Properties;
  const { changes, replaces, deleteBeforeReplace, details, changed } = await provider.diff(
    request.getId(),
    request.getUrn(),
    properties(request.getOlds()),
    properties(request.getNews()),
    properties(request.getOldInputs()),
  );
  const { DIFF_SOME, DIFF_NONE, DIFF_UNKNOWN } = provproto.DiffResponse.DiffChanges;
  const response = new provproto.DiffResponse();
  response.setChanges(changes === undefined ? DIFF_UNKNOWN : changes ? DIFF_SOME : DIFF_NONE);
  response.setReplacesList(replaces ?? []);
  if (deleteBeforeReplace === true) response.setDeletebeforereplace(true);
  if (changed !== undefined) response.setDiffsList([...changed]);
  if (details !== undefined) {
    response.setHasdetaileddiff(true);
    const map = response.getDetaileddiffMap();
    for (const [path, kind] of Object.entries(details)) {
      const property = new provproto.PropertyDiff();
      property.setKind(diffKinds[kind]);
      property.setInputdiff(true);
      map.set(path, property);
    }
  }
  return response;
}

/** Which top-level inputs differ, and how. Inputs that `equal` considers the same in another form are left out. */
export function changedInputs(
  before: Properties,
  after: Properties,
  ignored: readonly string[] = [],
): Details {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => !ignored.includes(key) && !key.startsWith("__"),
  );
  return Object.fromEntries(
    keys
      .filter((key) => canonicalJson(before[key]) !== canonicalJson(after[key]))
      .map((key) => [
        key,
        before[key] === undefined
          ? "add"
          : after[key] === undefined
            ? ("delete" as const)
            : ("update" as const),
      ]),
  );
}
