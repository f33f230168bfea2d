import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb.js";
import { signatureKey, signatures, unknownValue, unknownValues } from "../../talos/secrecy/engineValues.ts";

/** A secret value: it is marked as secret again whenever it goes back to the engine. */
export class Secret {
  // A private field and the two methods below keep it out of a stray console.log, template literal or JSON.stringify.
  readonly #value: PropertyValue;

  constructor(value: PropertyValue) {
    this.#value = value;
  }

  get value(): PropertyValue {
    return this.#value;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }
}

/** A value that is only known after the update (there is one instance, `unknown`). */
export class Unknown {
  toString(): string {
    return "[unknown]";
  }
}

export const unknown = new Unknown();

export type PropertyValue =
  null | boolean | number | string | PropertyValue[] | Properties | Secret | Unknown;

/** An absent key and an `undefined` one are equivalent. */
export interface Properties {
  [key: string]: PropertyValue | undefined;
}

/** A property value without secrets and unknowns: plain JSON. */
export type PlainValue = null | boolean | number | string | PlainValue[] | { [key: string]: PlainValue };

/** Marks a value as secret; a secret stays as is. */
export function secret(value: PropertyValue): Secret {
  return value instanceof Secret ? value : new Secret(value);
}

/** `Array.isArray` loses the element type of a union. */
export function isArray(value: PropertyValue | undefined): value is PropertyValue[] {
  return Array.isArray(value);
}

export function isObject(value: PropertyValue | undefined): value is Properties {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Secret) &&
    !(value instanceof Unknown)
  );
}

/** Removes the secret marks at every depth. The result must not reach a log, an error or a plain output. */
export function reveal(value: PropertyValue): PropertyValue {
  if (value instanceof Secret) {
    return reveal(value.value);
  }
  if (Array.isArray(value)) {
    return value.map(reveal);
  }
  return isObject(value) ? mapProperties(value, reveal) : value;
}

/** `reveal` for a whole set of properties. */
export function revealAll(properties: Properties): Properties {
  return mapProperties(properties, reveal);
}

/** Whether this value, or anything inside it, is secret. */
export function containsSecret(value: PropertyValue | undefined): boolean {
  return some(value, (part) => part instanceof Secret);
}

function some(value: PropertyValue | undefined, test: (value: PropertyValue) => boolean): boolean {
  if (value === undefined) {
    return false;
  }
  if (test(value)) {
    return true;
  }
  if (value instanceof Secret) {
    return some(value.value, test);
  }
  if (isArray(value)) {
    return value.some((element) => some(element, test));
  }
  return isObject(value) && Object.values(value).some((element) => some(element, test));
}

function mapProperties(properties: Properties, map: (value: PropertyValue) => PropertyValue): Properties {
  const mapped: Properties = {};
  for (const [key, value] of Object.entries(properties)) {
    if (value !== undefined) {
      mapped[key] = map(value);
    }
  }
  return mapped;
}

/** Whether two values have equal content; secret marks are ignored, and an unknown equals nothing. */
export function sameValue(a: PropertyValue | undefined, b: PropertyValue | undefined): boolean {
  if (a instanceof Secret || b instanceof Secret) {
    return sameValue(a instanceof Secret ? a.value : a, b instanceof Secret ? b.value : b);
  }
  if (a instanceof Unknown || b instanceof Unknown) {
    return false;
  }
  if (isArray(a) && isArray(b)) {
    return a.length === b.length && [...a.keys()].every((index) => sameValue(a.at(index), b.at(index)));
  }
  if (isObject(a) && isObject(b)) {
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => sameValue(a[key], b[key]));
  }
  return a === b;
}

/** From the wire. An output without a value is unknown; its dependencies are dropped, since a provider doesn't need them. */
export function unmarshalProperties(struct: Struct | undefined): Properties {
  const properties: Properties = {};
  for (const [key, value] of Object.entries(struct?.toJavaScript() ?? {})) {
    properties[key] = unmarshalValue(value);
  }
  return properties;
}

function unmarshalValue(value: JavaScriptValue): PropertyValue {
  if (value === null || typeof value === "boolean" || typeof value === "number") {
    return value;
  }
  if (typeof value === "string") {
    return unknownValues.has(value) ? unknown : value;
  }
  if (Array.isArray(value)) {
    return value.map(unmarshalValue);
  }
  const fields = value as Record<string, JavaScriptValue>;
  switch (fields[signatureKey]) {
    case signatures.secret:
      return secret(unmarshalValue(fields["value"] ?? null));
    case signatures.output: {
      const inner = fields["value"] === undefined ? unknown : unmarshalValue(fields["value"]);
      return fields["secret"] === true ? secret(inner) : inner;
    }
    default:
      // Assets, archives and resource references pass through unchanged.
      return Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, unmarshalValue(field)]));
  }
}

/** To the wire. */
export function marshalProperties(properties: Properties): Struct {
  return structPb.Struct.fromJavaScript(marshalFields(properties));
}

function marshalFields(properties: Properties): Record<string, JavaScriptValue> {
  const fields: Record<string, JavaScriptValue> = {};
  for (const [key, value] of Object.entries(properties)) {
    if (value !== undefined) {
      fields[key] = marshalValue(value);
    }
  }
  return fields;
}

function marshalValue(value: PropertyValue): JavaScriptValue {
  if (value instanceof Secret) {
    return { [signatureKey]: signatures.secret, value: marshalValue(value.value) };
  }
  if (value instanceof Unknown) {
    return unknownValue;
  }
  if (Array.isArray(value)) {
    return value.map(marshalValue);
  }
  return typeof value === "object" && value !== null ? marshalFields(value) : value;
}
