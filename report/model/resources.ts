import { stringify } from "yaml";
import type { Digest, Operation, Step } from "../digest/digest.ts";
import { secretMark, type Properties } from "../digest/values.ts";
import { formerTypes, nodeConfigurationType } from "./configuration.ts";
import { nodeUpgradeType } from "./nodes.ts";
import { preflightType } from "./plan.ts";
import { propertyChanges, type PropertyChange } from "./propertyDiff.ts";
import { kindOf, objectName } from "./storage.ts";

/** A resource that changes. */
export interface ResourceChange {
  operation: Exclude<Operation, "same" | "read">;
  kind: string;
  /** As in Kubernetes where it is an object of it, else as in the program. */
  name: string;
  type: string;
  urn: string;
  /** The part of the program that it belongs to: `Cluster`, `JovianDSS`. */
  group: string;
  changes: PropertyChange[];
  /** A new one as a whole, as YAML. */
  body?: string;
  /** Properties that cannot be changed in place. */
  replaceKeys: string[];
  /** Why its last operation was not finished. */
  unfinished: string[];
}

export interface Counts {
  create: number;
  update: number;
  replace: number;
  delete: number;
  same: number;
}

// What is told with the nodes; the preflight's own list says the same as they do.
const shownWithNodes = [nodeUpgradeType, preflightType, nodeConfigurationType, ...formerTypes];
// Components of which nothing is seen but that they are there.
const silentComponents = /^(talos-iscsi:index:(?!TalosCluster|FactoryImage)|pulumi:pulumi:Stack$)/;

/**
 * All that changes apart from the nodes, by the parts of the program.
 * @param show.components what was asked of the cluster as a whole: of use where the configurations made from it are not known.
 */
export function resourceChanges({ steps }: Digest, show: { components: boolean }): ResourceChange[] {
  return steps.flatMap((step) => {
    const { operation } = step;
    if (operation === "same" || operation === "read" || shownWithNodes.includes(step.type)) return [];
    const changes = operation === "create" || operation === "delete" ? [] : changesOf(step);
    const isComponent = step.new?.custom === false || (step.new === undefined && step.old?.custom === false);
    if (isComponent && (!show.components || silentComponents.test(step.type))) return [];
    const inputs = shownInputs(step.new?.inputs);
    return [
      {
        operation,
        kind: kindOf(step.type),
        name: objectName(step),
        type: step.type,
        urn: step.urn,
        group: groupOf(step.urn),
        changes,
        ...(operation === "create" && Object.keys(inputs).length > 0
          ? { body: stringify(inputs, { lineWidth: 0 }) }
          : {}),
        replaceKeys: step.replaceKeys,
        unfinished: step.old?.initErrors ?? [],
      },
    ];
  });
}

/** The plan has its own place in the report, and what approves it is no change of anything. */
const shownElsewhere = ["plan", "planDigest", "approval", "configurations"];

function shownInputs(inputs: Properties = {}): Properties {
  return Object.fromEntries(Object.entries(inputs).filter(([key]) => !shownElsewhere.includes(key)));
}

function changesOf({ operation, old, new: made, differs }: Step): PropertyChange[] {
  const changes = propertyChanges(shownInputs(old?.inputs), shownInputs(made?.inputs));
  if (changes.length > 0 || operation !== "update") return changes;
  return differs.map((path) => ({ path, kind: "changed", before: secretMark, after: secretMark }));
}

/**
 * How many resources are created, changed and so on, as the engine counts them: components, the stack and providers included, but for the
 * providers that it makes by itself (pulumi v3.250 pkg/engine/update.go, isInternalStep).
 */
export function countsOf({ steps }: Digest): Counts {
  const counts: Counts = { create: 0, update: 0, replace: 0, delete: 0, same: 0 };
  for (const { operation, type, name } of steps) {
    if (type.startsWith("pulumi:providers:") && name.startsWith("default")) continue;
    if (operation === "import") counts.create += 1;
    else if (operation in counts) counts[operation as keyof Counts] += 1;
  }
  return counts;
}

const resourceGroups: readonly [token: string, name: string][] = [
  ["talos-iscsi:index:JovianDssCsi", "JovianDSS driver"],
  ["talos-iscsi:index:SynologyCsi", "Synology driver"],
  ["talos-iscsi:index:SnapshotController", "Snapshot controller"],
  ["talos-iscsi:index:FactoryImage", "Image"],
  ["talos-iscsi:index:TalosCluster", "Cluster"],
  ["talos-iscsi:index:RollingUpgrade", "Nodes"],
];

function groupOf(urn: string): string {
  const chain = (urn.split("::")[2] ?? "").split("$");
  return resourceGroups.find(([token]) => chain.includes(token))?.[1] ?? "Others";
}
