import { isArray, isObject, reveal, sameValue, secret, Secret, unknown } from "../values.ts";
import type { PlainValue, Properties, PropertyValue } from "../values.ts";
import type { KubernetesObject } from "./object.ts";

/** Where the state keeps the name under which this resource owns its fields; the published provider does the same. */
export const fieldManagerKey = "__fieldManager";

/** The outputs of an object that the API server answered: everything, with what is secret marked. */
export function outputsOf(live: KubernetesObject, inputs: Properties, fieldManager: string): Properties {
  const outputs: Properties = {};
  for (const [key, value] of Object.entries(live)) {
    if (value !== undefined) outputs[key] = likeInput(value, inputs[key]);
  }
  if (live.kind === "Secret" && live.apiVersion === "v1") {
    for (const key of ["data", "stringData"]) {
      const value = outputs[key];
      if (value !== undefined) outputs[key] = secret(reveal(value));
    }
  }
  return { ...outputs, [fieldManagerKey]: fieldManager, __initialApiVersion: live.apiVersion };
}

/** What a preview can say without a cluster: the inputs, and a status that is not known. */
export function echo(inputs: Properties, fieldManager: string): Properties {
  const outputs: Properties = { ...inputs, [fieldManagerKey]: fieldManager };
  if (inputs["kind"] === "Secret" && inputs["apiVersion"] === "v1") {
    for (const key of ["data", "stringData"]) {
      const value = inputs[key];
      if (value !== undefined) outputs[key] = secret(value);
    }
  }
  return "spec" in inputs ? { ...outputs, status: unknown } : outputs;
}

/** A preview of a creation by the API server itself, without what the real creation gives another value. */
export function previewed(outputs: Properties): Properties {
  const { metadata } = outputs;
  if (!isObject(metadata)) return outputs;
  const { uid: _uid, resourceVersion: _version, creationTimestamp: _created, ...rest } = metadata;
  const answer: Properties = { ...outputs, metadata: rest };
  return "spec" in outputs ? { ...answer, status: unknown } : answer;
}

/** A value with the secret marks that its input has. */
function likeInput(value: PlainValue, input: PropertyValue | undefined): PropertyValue {
  if (input instanceof Secret) return secret(value);
  if (isArray(value) && isArray(input))
    return value.map((element, index) => likeInput(element, input[index]));
  if (isObject(value) && isObject(input)) {
    return Object.fromEntries(
      Object.entries(value as Record<string, PlainValue>).map(([key, field]) => [
        key,
        likeInput(field, input[key]),
      ]),
    );
  }
  return value;
}

/**
 * The inputs as the cluster has them now. A field counts as drifted when the live value is another than the state's:
 * what the API server itself writes in another form (a quantity, a default) was so from the start.
 */
export function liveInputs(inputs: Properties, state: Properties, live: KubernetesObject): Properties {
  const answer: Properties = {};
  for (const [key, input] of Object.entries(inputs)) {
    if (input === undefined) continue;
    const value =
      key === "stringData" ? liveStringData(input, state, live) : drifted(input, state[key], live[key]);
    if (value !== undefined) answer[key] = value;
  }
  return answer;
}

function drifted(
  input: PropertyValue,
  before: PropertyValue | undefined,
  now: PlainValue | undefined,
): PropertyValue | undefined {
  if (input instanceof Secret) {
    const value = drifted(input.value, before, now);
    return value === undefined ? undefined : secret(value);
  }
  const was = before === undefined ? undefined : reveal(before);
  if (sameValue(was, now)) return input;
  if (now === undefined) return undefined;
  if (isObject(input) && isObject(now)) {
    const fields: Properties = {};
    for (const [key, field] of Object.entries(input)) {
      if (field === undefined) continue;
      const value = drifted(
        field,
        isObject(was) ? was[key] : undefined,
        (now as Record<string, PlainValue>)[key],
      );
      if (value !== undefined) fields[key] = value;
    }
    return fields;
  }
  if (isArray(input) && isArray(now)) {
    return now.map((element, index) => {
      const field = input[index];
      const value =
        field === undefined ? element : drifted(field, isArray(was) ? was[index] : undefined, element);
      return value ?? element;
    });
  }
  return now;
}

/** The API server keeps `stringData` as `data`, in base64. */
function liveStringData(
  input: PropertyValue,
  state: Properties,
  live: KubernetesObject,
): PropertyValue | undefined {
  const given = reveal(input);
  const before = state["data"] === undefined ? {} : reveal(state["data"]);
  const now = live["data"] ?? {};
  if (!isObject(given) || !isObject(before) || !isObject(now) || sameValue(before, now)) return input;
  const fields: Properties = {};
  for (const key of Object.keys(given)) {
    const value = now[key];
    if (typeof value === "string") fields[key] = Buffer.from(value, "base64").toString("utf8");
  }
  return secret(fields);
}

/** The inputs of an object that is imported: what somebody wrote, without what the cluster added. */
export function importedInputs(live: KubernetesObject): Properties {
  const { status: _status, metadata, ...rest } = live;
  const { name, namespace, labels, annotations } = metadata;
  const kept: Properties = { ...rest, metadata: { name, namespace, labels, annotations } };
  if (live.kind === "Secret" && kept["data"] !== undefined) kept["data"] = secret(kept["data"]);
  return kept;
}
