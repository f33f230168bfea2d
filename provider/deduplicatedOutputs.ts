import * as grpc from "@grpc/grpc-js";
import type provproto from "@pulumi/pulumi/proto/provider_pb.js";
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { redactMachineConfig } from "../talos/redact.ts";
import type { KnownSecret } from "../talos/secrecy/known.ts";
import { givenProperty, nodeConfigurationType } from "./nodeConfiguration/resource.ts";
import { driftProperty } from "./nodeConfiguration/inputs.ts";
import { unwrap, wrap, type Properties } from "./secrets.ts";

/**
 * A resource's state holds its inputs and its outputs. Long or secret values are stored in the inputs only; otherwise a cluster's credentials, kubeconfig and
 * machine configurations would be stored twice per node. Where the engine's calls arrive, the outputs are completed from the inputs again.
 */

/** Inputs that are not repeated in the outputs. */
const inputOnlyProperties = ["clientConfiguration", "kubeconfig", "rollout", "hidden"];
/** Outputs of a machine configuration that repeat its inputs. */
const configurationProperties = ["machineConfiguration", "configuration", "patches"];

type Unary<Request, Response> = grpc.handleUnaryCall<Request, Response>;

type AddService = (
  this: grpc.Server,
  service: grpc.ServiceDefinition,
  implementation: grpc.UntypedServiceImplementation,
) => void;

/** Makes the server omit outputs that repeat inputs. Call it before the SDK's server is created, like `serveDetailedDiffs`. */
export function serveDeduplicatedOutputs(): void {
  const prototype: { addService: AddService } = grpc.Server.prototype;
  const register = prototype.addService;
  prototype.addService = function (service, implementation) {
    if ("diffConfig" in implementation && "diff" in implementation) deduplicateOutputs(implementation);
    register.call(this, service, implementation);
  };
}

function deduplicateOutputs(implementation: grpc.UntypedServiceImplementation): void {
  wrapMethod<provproto.DiffRequest, provproto.DiffResponse>(implementation, "diff", (request) => {
    completeOutputs(request.getUrn(), request.getOlds(), request.getOldInputs());
    return () => undefined;
  });
  wrapMethod<provproto.CreateRequest, provproto.CreateResponse>(
    implementation,
    "create",
    () => (response) => {
      removeProperties(response.getProperties(), []);
    },
  );
  wrapMethod<provproto.UpdateRequest, provproto.UpdateResponse>(implementation, "update", (request) => {
    completeOutputs(request.getUrn(), request.getOlds(), request.getOldInputs());
    return (response) => removeProperties(response.getProperties(), []);
  });
  wrapMethod<provproto.ReadRequest, provproto.ReadResponse>(implementation, "read", (request) => {
    // A refresh would show removed outputs as a change of every node, so older states keep them until the next update.
    const had = namesIn(request.getProperties());
    completeOutputs(request.getUrn(), request.getProperties(), request.getInputs());
    return (response) => removeProperties(response.getProperties(), had);
  });
}

/** Lets `begin` see the request before the method runs, and the function it returns see the response before the engine does. */
function wrapMethod<Request, Response>(
  implementation: grpc.UntypedServiceImplementation,
  method: string,
  begin: (request: Request) => (response: Response) => void,
): void {
  const original = implementation[method] as Unary<Request, Response>;
  const wrapped: Unary<Request, Response> = (call, callback) => {
    const end = begin(call.request);
    original.call(implementation, call, (error, response, ...rest) => {
      if (response !== null && response !== undefined) end(response);
      callback(error, response, ...rest);
    });
  };
  implementation[method] = wrapped;
}

/** Copies inputs into the outputs. Outputs stored by an older state stay. */
function completeOutputs(urn: string, outputs: Struct | undefined, inputs: Struct | undefined): void {
  if (outputs === undefined || inputs === undefined) return;
  const [into, from] = [outputs.getFieldsMap(), inputs.getFieldsMap()];
  for (const key of inputOnlyProperties) {
    const value = from.get(key);
    if (value !== undefined && !into.has(key)) into.set(key, value);
  }
  const isConfiguration = urn.includes(`${nodeConfigurationType}::`);
  if (!isConfiguration || into.has(givenProperty) || into.has("machineConfiguration")) return;
  const given = inputs.toJavaScript() as Properties;
  if (given["machineConfiguration"] === undefined) return;
  const object = (inputs.constructor as typeof Struct).fromJavaScript(
    wrap({ [givenProperty]: givenProperties(given) }, [givenProperty]) as Record<string, JavaScriptValue>,
  );
  const value = object.getFieldsMap().get(givenProperty);
  if (value !== undefined) into.set(givenProperty, value);
}

/** The inputs as given to the node. After a refresh that finds a manual change, the input `configuration` shows what the node has instead. */
function givenProperties(inputs: Properties): Properties {
  const given = Object.fromEntries(configurationProperties.map((key) => [key, inputs[key]]));
  if (inputs[driftProperty] === undefined) return given;
  const { machineConfiguration, hidden } = unwrap({
    machineConfiguration: inputs["machineConfiguration"],
    hidden: inputs["hidden"],
  }).values;
  const own = hidden as KnownSecret[] | undefined;
  return { ...given, configuration: redactMachineConfig(String(machineConfiguration), { hidden: own }) };
}

function removeProperties(outputs: Struct | undefined, kept: readonly string[]): void {
  const fields = outputs?.getFieldsMap();
  for (const key of [...inputOnlyProperties, givenProperty]) if (!kept.includes(key)) fields?.del(key);
}

function namesIn(properties: Struct | undefined): string[] {
  return [...(properties?.getFieldsMap().keys() ?? [])] as string[];
}
