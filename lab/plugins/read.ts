import { isArray, isObject, reveal } from "./values.ts";
import type { Properties, PropertyValue } from "./values.ts";

// Typed access to properties from the wire. An error names the property and the type, never the value, which may be
// secret.

/** A string, or `undefined` if the key is absent. Secret marks are removed. */
export function readText(properties: Properties, key: string): string | undefined {
  const value = presentValue(properties, key);
  if (value === undefined || typeof value === "string") {
    return value;
  }
  throw wrongTypeError(key, "a string", value);
}

export function requireText(properties: Properties, key: string): string {
  const value = readText(properties, key);
  if (value === undefined || value === "") {
    throw new Error(`${key}: is missing, a string is needed`);
  }
  return value;
}

export function readFlag(properties: Properties, key: string): boolean | undefined {
  const value = presentValue(properties, key);
  if (value === undefined || typeof value === "boolean") {
    return value;
  }
  throw wrongTypeError(key, "true or false", value);
}

/** A list of strings; empty if the key is absent. */
export function readTexts(properties: Properties, key: string): string[] {
  const value = presentValue(properties, key);
  if (value === undefined) {
    return [];
  }
  if (!isArray(value)) {
    throw wrongTypeError(key, "a list of strings", value);
  }
  return value.map((element, index) => {
    if (typeof element !== "string") {
      throw wrongTypeError(`${key}[${index}]`, "a string", element);
    }
    return element;
  });
}

export function readObject(properties: Properties, key: string): Properties | undefined {
  const value = presentValue(properties, key);
  if (value === undefined || isObject(value)) {
    return value;
  }
  throw wrongTypeError(key, "an object", value);
}

export function requireObject(properties: Properties, key: string): Properties {
  const value = readObject(properties, key);
  if (value === undefined) {
    throw new Error(`${key}: is missing, an object is needed`);
  }
  return value;
}

function presentValue(properties: Properties, key: string): PropertyValue | undefined {
  const value = properties[key];
  const revealed = value === undefined ? null : reveal(value);
  return revealed === null ? undefined : revealed;
}

function wrongTypeError(path: string, wanted: string, value: PropertyValue): Error {
  const kind = isArray(value) ? "a list" : isObject(value) ? "an object" : `a ${typeof value}`;
  return new Error(`${path}: is ${kind}, ${wanted} is needed`);
}
