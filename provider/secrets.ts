// How the engine writes special values in the structs it exchanges with a provider (pulumi/pulumi sdk/nodejs/runtime/rpc.ts
// and sdk/go/common/resource/sig). A provider process that only answers CRUD calls gets them as they are.
const signature = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const outputSignature = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

/** Stands in previews for a value that only the deployment will know. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export type Properties = Record<string, unknown>;

/** Plain values, and which of the top-level ones are, or hold, secrets. */
export interface Unwrapped {
  values: Properties;
  secrets: Set<string>;
}

/** Takes every secret and output out of its wrapping, at any depth. */
export function unwrap(properties: Properties): Unwrapped {
  const parts = Object.entries(properties).map(([key, value]) => [key, bare(value)] as const);
  return {
    values: Object.fromEntries(parts.map(([key, { plain }]) => [key, plain])),
    secrets: new Set(parts.flatMap(([key, { secret }]) => (secret ? [key] : []))),
  };
}

/** Marks properties as secret again, on the way out; every way out has to do this, or the engine shows them. */
export function wrap(values: Properties, secrets: Iterable<string>): Properties {
  const marked = new Set(secrets);
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      marked.has(key) && value !== undefined ? { [signature]: secretSignature, value } : value,
    ]),
  );
}

/** True if some part of the value is unknown yet. */
export function hasUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  if (typeof value !== "object" || value === null) return false;
  return Object.values(value).some(hasUnknown);
}

function bare(value: unknown): { plain: unknown; secret: boolean } {
  if (typeof value !== "object" || value === null) return { plain: value, secret: false };
  if (Array.isArray(value)) {
    const parts = value.map(bare);
    return { plain: parts.map(({ plain }) => plain), secret: parts.some(({ secret }) => secret) };
  }
  const object = value as Properties;
  if (object[signature] === secretSignature) return { plain: bare(object["value"]).plain, secret: true };
  if (object[signature] === outputSignature) {
    const inner = "value" in object ? bare(object["value"]) : { plain: unknownValue, secret: false };
    return { plain: inner.plain, secret: inner.secret || object["secret"] === true };
  }
  const parts = Object.entries(object).map(([key, part]) => [key, bare(part)] as const);
  return {
    plain: Object.fromEntries(parts.map(([key, { plain }]) => [key, plain])),
    secret: parts.some(([, { secret }]) => secret),
  };
}
