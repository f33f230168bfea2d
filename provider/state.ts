import { extensionName } from "../talos/extensions.ts";
import { missingExtensions, isServiceRunning, runsWantedSchematic, type StableFacts } from "./facts.ts";
import { nodeUpgradeInputs } from "./inputs.ts";
import type { Properties } from "./secrets.ts";

/**
 * Credentials: secret whatever the program says. They are how nodes are reached, not what is done with them: a change of these alone is no change of a
 * resource. The engine stores the inputs of a resource that stays the same, too (pulumi v3.250 pkg/backend/snapshot.go, mustWrite), so that new credentials
 * need no updates.
 */
export const alwaysSecret: readonly string[] = ["clientConfiguration", "kubeconfig"];

/** Inputs, but for the credentials. */
export function withoutCredentials(inputs: Properties): Properties {
  return Object.fromEntries(Object.entries(inputs).filter(([key]) => !alwaysSecret.includes(key)));
}

const outputNames: readonly string[] = [
  "runningVersion",
  "runningSchematic",
  "installedExtensions",
  "runningServices",
  "initiatorName",
  "kubernetesNode",
  "timeline",
  "takenSnapshot",
  "postponed",
];

/** What a node is, as outputs of the resource. */
export function observedOutputs(facts: StableFacts): Properties {
  return {
    runningVersion: facts.version,
    runningSchematic: facts.schematicId ?? "",
    installedExtensions: facts.extensions.map(({ name }) => name).sort(),
    runningServices: facts.services
      .filter(isServiceRunning)
      .map(({ id }) => id)
      .sort(),
    ...(facts.initiatorName === undefined ? {} : { initiatorName: facts.initiatorName }),
    ...(facts.kubernetesNode === undefined ? {} : { kubernetesNode: facts.kubernetesNode }),
  };
}

/** The inputs as the node fulfils them: where one differs from what the program wants, the engine shows it as drift. */
export function observedInputs(inputs: Properties, facts: StableFacts): Properties {
  const wanted = nodeUpgradeInputs(inputs);
  const missing = new Set(missingExtensions(facts, wanted).map(extensionName));
  const running = new Set(facts.services.filter(isServiceRunning).map(({ id }) => id));
  return {
    ...inputs,
    talosVersion: facts.version,
    schematicId: runsWantedSchematic(facts, wanted) ? wanted.schematicId : (facts.schematicId ?? ""),
    ...(inputs["extensions"] === undefined
      ? {}
      : { extensions: wanted.extensions.filter((extension) => !missing.has(extensionName(extension))) }),
    ...(inputs["services"] === undefined
      ? {}
      : { services: wanted.services.filter((id) => running.has(id)) }),
    ...(inputs["files"] === undefined
      ? {}
      : { files: wanted.files.filter((path) => facts.files.includes(path)) }),
  };
}

/** A state's properties without the outputs: what the program gave. */
export function inputsOf(state: Properties): Properties {
  return Object.fromEntries(Object.entries(state).filter(([key]) => !outputNames.includes(key)));
}
