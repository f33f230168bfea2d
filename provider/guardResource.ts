import type { CheckResult } from "@pulumi/pulumi/provider/provider.js";
import { tactful } from "./check.ts";
import { ConfigurationGuard, GuardError } from "./configurationGuard.ts";
import { changesProperty, checkGuardInputs, guardInputs, guardSecrets, sameQuestion } from "./guardInputs.ts";
import { hasUnknown, unwrap, wrap, type Properties } from "./secrets.ts";
import type { Surroundings } from "./session.ts";

export const guardType = "talos-node:index:ConfigurationGuard";

interface Call {
  readonly surroundings: Surroundings;
  readonly urn: string;
  readonly signal: AbortSignal;
}

/**
 * The inputs with `changes` in them: what the configuration does to the node as it runs. `check` is the one call that previews and deployments
 * have in common; the node is only asked where something is going to be applied that was not asked about before.
 */
export async function checkGuard(call: Call, olds: Properties, news: Properties): Promise<CheckResult> {
  const [before, after] = [unwrap(olds), unwrap(news)];
  const { [changesProperty]: _given, ...inputs } = after.values;
  // What is secret or unknown goes back as the engine wrote it.
  const asGiven = wrap(
    news,
    guardSecrets.filter((key) => !after.secrets.has(key) && news[key] !== undefined),
  );
  const failures = tactful(checkGuardInputs(inputs), guardSecrets);
  const asked = [
    "name",
    "node",
    "endpoint",
    "clientConfiguration",
    "machineConfiguration",
    "patches",
    "acceptDropped",
  ];
  if (failures.length > 0 || asked.some((key) => hasUnknown(inputs[key])))
    return { inputs: asGiven, failures };
  if (sameQuestion(before.values, inputs) && before.values[changesProperty] !== undefined) {
    return { inputs: { ...asGiven, [changesProperty]: before.values[changesProperty] }, failures: [] };
  }
  return withGuard(call, inputs, async (guard) => {
    try {
      const found = await guard.preview(lastGiven(before.values));
      return { inputs: { ...asGiven, [changesProperty]: found.changes }, failures: found.failures };
    } catch (error) {
      if (!(error instanceof GuardError)) throw error;
      return {
        inputs: asGiven,
        failures: [{ property: "node", reason: error.message }],
      };
    }
  });
}

/** Lets the configuration through to the node, or throws. */
export async function admitConfiguration(
  call: Call,
  olds: Properties | undefined,
  news: Properties,
): Promise<Properties> {
  const { values, secrets } = unwrap(news);
  await withGuard(call, values, (guard) => guard.admit(lastGiven(unwrap(olds ?? {}).values)));
  return wrap(values, new Set([...secrets, ...guardSecrets]));
}

/** The state with the node's own configuration in place of the one it was given. */
export async function readGuard(call: Call, state: Properties): Promise<Properties> {
  const { values, secrets } = unwrap(state);
  const configuration = await withGuard(call, values, (guard) => guard.running());
  const live = configuration === undefined ? values : { ...values, configuration };
  return wrap(live, new Set([...secrets, ...guardSecrets]));
}

/** The configuration that the node was given last; undefined where there is none, or it is unknown. */
function lastGiven({ machineConfiguration }: Properties): string | undefined {
  return typeof machineConfiguration === "string" ? machineConfiguration : undefined;
}

async function withGuard<T>(
  { surroundings, urn, signal }: Call,
  inputs: Properties,
  work: (guard: ConfigurationGuard) => Promise<T>,
): Promise<T> {
  const connectTalos = await surroundings.talos();
  const guard = new ConfigurationGuard(surroundings, urn, guardInputs(inputs), signal, connectTalos);
  try {
    return await work(guard);
  } finally {
    guard.close();
  }
}
