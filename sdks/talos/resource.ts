import * as pulumi from "@pulumi/pulumi";
import { plugin, withPlugin } from "./plugin.ts";

/** Set on a property whose value must never be shown or stored in plain text. */
interface Secrecy {
  secret?: true;
}

/** Whether a property is required follows from the arguments' type; the compiler enforces it. */
type InputTraits<Args, Name extends keyof Args> = Secrecy &
  (object extends Pick<Args, Name> ? { required?: never } : { required: true });

/** The properties of a resource: a program may set `inputs`, and only the provider sets `computed`. */
export interface ResourceShape<Args, State> {
  inputs: { [Name in keyof Args]-?: InputTraits<Args, Name> };
  computed: { [Name in Exclude<keyof State, keyof Args>]-?: Secrecy };
}

interface Traits extends Secrecy {
  required?: boolean;
}

/**
 * What a resource class passes to Pulumi. Every property is listed, even without a value: Pulumi creates an output for each
 * name it is given, and a computed property would otherwise be missing from the object until the provider answers.
 *
 * @throws Error when a required input is missing, unless the resource only refers to an existing one (`id`, `urn`).
 */
export function resourceProperties<Args, State>(
  shape: ResourceShape<Args, State>,
  given: Args | State | undefined,
  opts: pulumi.CustomResourceOptions | undefined,
): pulumi.Inputs {
  const inputs: Record<string, Traits> = shape.inputs;
  const computed = Object.keys(shape.computed);
  const values = (given ?? {}) as Record<string, unknown>;
  const properties: pulumi.Inputs = {};

  if (opts?.id) {
    for (const name of [...Object.keys(inputs), ...computed]) properties[name] = values[name];
    return properties;
  }

  for (const [name, traits] of Object.entries(inputs)) {
    const value = values[name];
    if (traits.required && value === undefined && !opts?.urn) {
      throw new Error(`Missing required property '${name}'`);
    }
    properties[name] = traits.secret ? asSecret(value) : value;
  }
  for (const name of computed) properties[name] = undefined;
  return properties;
}

/** An empty string counts as missing: the published SDK does not send it either. */
function asSecret(value: unknown): pulumi.Output<unknown> | undefined {
  return value ? pulumi.secret(value) : undefined;
}

/** The caller's options with the plugin's version and, for a resource with secrets, their names. */
export function resourceOptions<Args, State>(
  shape: ResourceShape<Args, State>,
  opts: pulumi.CustomResourceOptions | undefined,
): pulumi.CustomResourceOptions {
  const traits: Record<string, Secrecy> = { ...shape.inputs, ...shape.computed };
  const secrets = Object.keys(traits)
    .filter((name) => traits[name]?.secret)
    .sort();
  const merged = withPlugin(opts);
  return secrets.length === 0 ? merged : pulumi.mergeOptions(merged, { additionalSecretOutputs: secrets });
}

/** Compares type tokens, not classes, because two copies of this package may be loaded at once. */
export function hasType(obj: unknown, token: string): boolean {
  return (obj as { __pulumiType?: unknown } | null | undefined)?.__pulumiType === token;
}

type ResourceClass = new (
  name: string,
  args: never,
  opts: pulumi.CustomResourceOptions,
) => pulumi.CustomResource;

/**
 * Tells Pulumi which class belongs to which type token, so that a resource that reaches the program as a reference
 * (from a component or a stack) arrives as an object of that class.
 */
export function registerResources(classes: Record<string, ResourceClass>): void {
  for (const [token, Class] of Object.entries(classes)) {
    const module = token.split(":")[1] ?? "";
    pulumi.runtime.registerResourceModule(plugin.name, module, {
      version: plugin.version,
      construct(name, type, urn) {
        if (type !== token) throw new Error(`unknown resource type ${type}`);
        return new Class(name, undefined as never, { urn });
      },
    });
  }
}
