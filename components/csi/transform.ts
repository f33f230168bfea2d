import type * as pulumi from "@pulumi/pulumi";

/**
 * Changes the arguments of a component's child, so that nobody has to fork the component for one field. An object is merged over the child's arguments (objects
 * deeply, anything else replaces, undefined removes); a function gets them (and the child's options) and returns the ones to use.
 */
export type Transform<Args> = Overrides<Args> | TransformFunction<Args>;

/** Gets a child's arguments and options (which it may change) and returns the arguments to use. */
export type TransformFunction<Args> = (args: Args, options: pulumi.CustomResourceOptions) => Args;

/** Any part of an object, at any depth; lists and Outputs as a whole. */
export type Overrides<Value> = Value extends
  readonly unknown[] | Promise<unknown> | pulumi.OutputInstance<unknown>
  ? Value
  : Value extends object
    ? { [Key in keyof Value]?: Overrides<Value[Key]> | undefined }
    : Value;

/** The arguments of a child after its transform. */
export function applyTransform<Args extends object>(
  transform: Transform<Args> | undefined,
  args: Args,
  options: pulumi.CustomResourceOptions,
): Args {
  if (transform === undefined) return args;
  // The compiler can't distinguish an override from a function for all argument types.
  if (typeof transform === "function") return (transform as TransformFunction<Args>)(args, options);
  return mergeDeep(args, transform) as Args;
}

function mergeDeep(base: unknown, over: unknown): unknown {
  if (!isPlainObject(base) || !isPlainObject(over)) return over;
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) result[key] = mergeDeep(base[key], value);
  return result;
}

// Outputs, promises and assets have their own prototypes and are replaced as a whole.
function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
