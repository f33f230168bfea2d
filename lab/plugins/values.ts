import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import type { JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb.js";

// The engine's wire format: a google.protobuf.Struct in which secrets, outputs, assets and references are objects with
// a signature under one well-known key, and an unknown value is a well-known string
// (pulumi/pulumi sdk/go/common/resource/{sig,plugin}).
const SIGNATURE_KEY = "4dabf18193072939515e22adb298388d";
const SECRET_SIGNATURE = "1b47061264138c4ac30d75fd1eb44270";
const OUTPUT_SIGNATURE = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

// One sentinel a type (bool, number, string, array, …); a reader takes any of them, a writer sends the string one.
const UNKNOWN_SENTINEL = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const UNKNOWN_SENTINELS: ReadonlySet<string> = new Set([
  UNKNOWN_SENTINEL,
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/** A value that nobody may see: it is marked again whenever it goes back to the engine. */
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

/** An absent key and an `undefined` one are the same. */
export interface Properties {
  [key: string]: PropertyValue | undefined;
}

/** A property value with its secrets and unknowns taken out: plain JSON. */
export type PlainValue = null | boolean | number | string | PlainValue[] | { [key: string]: PlainValue };

/** Marks a value as secret; what is secret already stays as it is. */
export function secret(value: PropertyValue): Secret {
  return value instanceof Secret ? value : new Secret(value);
}

/** `Array.isArray` gives up the element type of a union. */
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

/** Takes the secret marks off, at every depth. What comes out must not reach a log, an error or a plain output. */
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

/** Is this value, or anything inside it, secret? */
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

/** Equal in content; secret marks do not count, an unknown equals nothing. */
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

/** From the wire. An output without a value is unknown; its dependencies are of no use to a provider and go. */
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
    return UNKNOWN_SENTINELS.has(value) ? unknown : value;
  }
  if (Array.isArray(value)) {
    return value.map(unmarshalValue);
  }
  const fields = value as Record<string, JavaScriptValue>;
  switch (fields[SIGNATURE_KEY]) {
    case SECRET_SIGNATURE:
      return secret(unmarshalValue(fields["value"] ?? null));
    case OUTPUT_SIGNATURE: {
      const inner = fields["value"] === undefined ? unknown : unmarshalValue(fields["value"]);
      return fields["secret"] === true ? secret(inner) : inner;
    }
    default:
      // Assets, archives and resource references go through as they are: they come out of `marshalValue` unchanged.
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
    return { [SIGNATURE_KEY]: SECRET_SIGNATURE, value: marshalValue(value.value) };
  }
  if (value instanceof Unknown) {
    return UNKNOWN_SENTINEL;
  }
  if (Array.isArray(value)) {
    return value.map(marshalValue);
  }
  return typeof value === "object" && value !== null ? marshalFields(value) : value;
}
