import { extensionName } from "../talos/extensions.ts";
import { missingExtensions, isServiceRunning, runsWantedSchematic, type StableFacts } from "./facts.ts";
import { nodeUpgradeInputs } from "./inputs.ts";
import type { Properties } from "./secrets.ts";
import type { SavedSnapshot } from "./snapshot/folder.ts";
import { toTimelineProperty } from "./timeline.ts";

/**
 * Credentials: always secret. They only serve to reach nodes: changing these alone doesn't change a resource. The engine also stores the inputs of an unchanged
 * resource (pulumi v3.250 pkg/backend/snapshot.go, mustWrite), so new credentials need no updates.
 */
export const alwaysSecret: readonly string[] = ["clientConfiguration", "kubeconfig"];

/**
 * Inputs of a ClusterMembership that change without an update, like credentials: the drivers the program deploys, and former ones that may still be there. They
 * are no outputs, so a refresh, which knows only the outputs, must keep the inputs (provider/detailedDiff.ts).
 */
export const inputsWithoutUpdate: readonly string[] = ["drivers", "leavingDrivers"];

/** Inputs without the credentials. */
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

/** A node's observed state, as outputs of the resource. */
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

/** Outputs kept from earlier runs. */
export function keptOutputs(timeline: unknown, takenSnapshot: unknown): Properties {
  return { ...toTimelineProperty(timeline), ...(takenSnapshot === undefined ? {} : { takenSnapshot }) };
}

export function snapshotOutput(snapshot: SavedSnapshot | undefined): Properties | undefined {
  if (snapshot === undefined) return undefined;
  const { path, size, revision, sha256, taken } = snapshot;
  return { path, size, ...(revision === undefined ? {} : { revision }), sha256, taken };
}

/** The inputs as the node fulfills them: the engine shows a difference from the program's as drift. */
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

/** A state's properties without the outputs: what the program set. */
export function inputsOf(state: Properties): Properties {
  return Object.fromEntries(Object.entries(state).filter(([key]) => !outputNames.includes(key)));
}
