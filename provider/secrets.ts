import { signatureKey, signatures, unknownValue } from "../talos/secrecy/engineValues.ts";

export type Properties = Record<string, unknown>;

/** Plain values, and which top-level ones are or contain secrets. */
export interface Unwrapped {
  values: Properties;
  secrets: Set<string>;
}

/** Unwraps every secret and output, at any depth. */
export function unwrap(properties: Properties): Unwrapped {
  const parts = Object.entries(properties).map(([key, value]) => [key, unwrapValue(value)] as const);
  return {
    values: Object.fromEntries(parts.map(([key, { plain }]) => [key, plain])),
    secrets: new Set(parts.flatMap(([key, { secret }]) => (secret ? [key] : []))),
  };
}

/** Marks properties as secret again on the way out; every response must do this, or the engine shows them. */
export function wrap(values: Properties, secrets: Iterable<string>): Properties {
  const marked = new Set(secrets);
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      marked.has(key) && value !== undefined ? { [signatureKey]: signatures.secret, value } : value,
    ]),
  );
}

/** Whether any part of the value is still unknown. */
export function hasUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some(hasUnknown);
}

function unwrapValue(value: unknown): { plain: unknown; secret: boolean } {
  if (typeof value !== "object" || value === null) return { plain: value, secret: false };
  if (Array.isArray(value)) {
    const parts = value.map(unwrapValue);
    return { plain: parts.map(({ plain }) => plain), secret: parts.some(({ secret }) => secret) };
  }
  const object = value as Properties;
  if (object[signatureKey] === signatures.secret)
    return { plain: unwrapValue(object["value"]).plain, secret: true };
  if (object[signatureKey] === signatures.output) {
    const inner = "value" in object ? unwrapValue(object["value"]) : { plain: unknownValue, secret: false };
    return { plain: inner.plain, secret: inner.secret || object["secret"] === true };
  }
  const parts = Object.entries(object).map(([key, part]) => [key, unwrapValue(part)] as const);
  return {
    plain: Object.fromEntries(parts.map(([key, { plain }]) => [key, plain])),
    secret: parts.some(([, { secret }]) => secret),
  };
}
