import * as pulumi from "@pulumi/pulumi";

/**
 * Outputs for values that exist once per node. `pulumi.all` creates two further Outputs per argument, `pulumi.secret` three, and an Output is some 20 promises:
 * for 500 nodes that was half of the program's memory. These functions create one Output from many, from the same parts as the SDK's own functions.
 */

/** An Output as the SDK sees it (@pulumi/pulumi 3.260 output.js). */
interface Parts<T> {
  resources(): Set<pulumi.Resource>;
  allResources(): Promise<Set<pulumi.Resource>>;
  promise(withUnknowns: true): Promise<T>;
  readonly isKnown: Promise<boolean>;
  readonly isSecret: Promise<boolean>;
}

const Output = pulumi.Output as unknown as new <T>(
  resources: Set<pulumi.Resource>,
  value: Promise<T>,
  isKnown: Promise<boolean>,
  isSecret: Promise<boolean>,
  allResources: Promise<Set<pulumi.Resource>>,
) => pulumi.Output<T>;

const outputParts = <T>(output: pulumi.Output<T>): Parts<T> => output as unknown as Parts<T>;

/** Like `pulumi.all`, for outputs only: their values in the same order. */
export function gather<T>(outputs: readonly pulumi.Output<T>[]): pulumi.Output<T[]> {
  const all = outputs.map(outputParts);
  return new Output<T[]>(
    new Set(all.flatMap((one) => [...one.resources()])),
    Promise.all(all.map((one) => one.promise(true))),
    Promise.all(all.map((one) => one.isKnown)).then((known) => known.every(Boolean)),
    Promise.all(all.map((one) => one.isSecret)).then((secret) => secret.some(Boolean)),
    Promise.all(all.map((one) => one.allResources())).then(
      (sets) => new Set(sets.flatMap((resources) => [...resources])),
    ),
  );
}

/** The same by name. */
export function gatherNamed<T>(
  outputs: Readonly<Record<string, pulumi.Output<T>>>,
): pulumi.Output<Record<string, T>> {
  const names = Object.keys(outputs);
  return gather(Object.values(outputs)).apply((values) =>
    Object.fromEntries(values.map((value, index) => [names[index] ?? "", value])),
  );
}

const secrets = new WeakMap<object, pulumi.Output<unknown>>();

/** Like `pulumi.secret`; returns the same Output for values that are already marked or shared by all nodes. */
export function secretOnce<T>(value: pulumi.Input<T>): pulumi.Output<T> {
  if (typeof value !== "object" || value === null) return pulumi.secret(value) as pulumi.Output<T>;
  const known = secrets.get(value);
  if (known !== undefined) return known as pulumi.Output<T>;
  const marked = pulumi.Output.isInstance<T>(value)
    ? markSecret(value)
    : (pulumi.secret(value) as pulumi.Output<T>);
  secrets.set(value, marked);
  secrets.set(marked, marked);
  return marked;
}

function markSecret<T>(output: pulumi.Output<T>): pulumi.Output<T> {
  const parts = outputParts(output);
  return new Output(
    parts.resources(),
    parts.promise(true),
    parts.isKnown,
    Promise.resolve(true),
    parts.allResources(),
  );
}

/** Removes undefined values: the SDK creates an Output even for an undefined input. */
export function definedOnly<T extends object>(args: T): T {
  return Object.fromEntries(Object.entries(args).filter(([, value]) => value !== undefined)) as T;
}
