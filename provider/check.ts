import type { z } from "zod";
import { coded } from "../talos/errorCodes.ts";
import { hopsSchema } from "../talos/inputs/hops.ts";
import { nodeUpgradeSchema } from "../talos/inputs/nodeUpgrade.ts";
import { isRecord } from "../talos/values.ts";
import { unknownValue } from "../talos/secrecy/engineValues.ts";
import { hasUnknown, type Properties } from "./secrets.ts";

/** A problem with one input. */
export interface CheckFailure {
  property: string;
  reason: string;
}

/**
 * Malformed inputs, with their code. They name no secret property: engines print the value of a named property, secret or not (pulumi v3.250
 * pkg/resource/deploy/step_generator.go, issueCheckErrors).
 */
export function hideSecretPropertyNames(
  failures: readonly CheckFailure[],
  secrets: readonly string[],
): CheckFailure[] {
  return failures.map(({ property, reason }) => ({
    property: secrets.includes(property.split(/[.[]/)[0] ?? "") ? "" : property,
    reason: coded("inputs", reason),
  }));
}

/** Every schema violation of one input, worded for that input: `[drain] timeoutSeconds must be …`. */
function propertyFailures(property: string, schema: z.ZodType, value: unknown): CheckFailure[] {
  const issues = schema.safeParse(value).error?.issues ?? [];
  return issues.map(({ path, message }) => {
    const place = path.length === 0 ? "" : `${path.map(String).join(".")} `;
    return { property, reason: `[${property}] ${place}${message}` };
  });
}

/**
 * Every schema violation in a resource's inputs. Values that are still unknown are checked in the deployment.
 * @param except inputs that are checked elsewhere
 */
export function inputFailures(
  resource: string,
  schema: z.ZodObject,
  inputs: Properties,
  except: ReadonlySet<string> = new Set(),
): CheckFailure[] {
  const shape = schema.shape as Record<string, z.ZodType>;
  const failures = Object.entries(shape).flatMap(([property, field]): CheckFailure[] => {
    const value = inputs[property];
    if (except.has(property) || hasUnknown(value)) return [];
    if (value !== undefined) return propertyFailures(property, field, value);
    return isOptional(field) ? [] : [{ property, reason: `[${property}] is missing` }];
  });
  const others = schema.def.catchall === undefined ? [] : Object.keys(inputs);
  const strange = others.filter(
    (property) => !(property in shape) && !property.startsWith("__") && !except.has(property),
  );
  return [
    ...failures,
    ...strange.map((property) => ({ property, reason: `[${property}] is not an input of a ${resource}` })),
  ];
}

function isOptional(field: z.ZodType): boolean {
  return field.def.type === "optional" || field.safeParse(undefined).success;
}

/** Problems in the input `nodes`: nodes by name, or a list as in states of 0.1.0. Each failure carries its path. */
export function nodeFailures(schema: z.ZodObject, nodes: unknown): CheckFailure[] {
  if (nodes === unknownValue) return [];
  const all = nodesInPlace(nodes);
  if (all.length === 0) return [{ property: "nodes", reason: "[nodes] must have at least one node" }];
  return all.flatMap(({ place, node, isKnown }) =>
    isKnown ? inputFailures("node", schema, node).map((failure) => placedAt(place, failure)) : [],
  );
}

/** Nodes with their paths: `nodes.cp1`, or `nodes[0]` in a list. */
function nodesInPlace(nodes: unknown): { place: string; node: Properties; isKnown: boolean }[] {
  const isList = Array.isArray(nodes);
  const entries = typeof nodes === "object" && nodes !== null ? Object.entries(nodes as Properties) : [];
  return entries.map(([key, node]) => ({
    place: isList ? `nodes[${key}]` : `nodes.${key}`,
    node: { ...(isRecord(node) ? node : {}), ...(isList ? {} : { name: key }) },
    isKnown: node !== unknownValue,
  }));
}

function placedAt(place: string, { property, reason }: CheckFailure): CheckFailure {
  return {
    property: `${place}.${property}`,
    reason: reason.replace(`[${property}]`, `[${place}.${property}]`),
  };
}

/** All problems in the inputs of a NodeUpgrade. */
export function checkNodeUpgrade(inputs: Properties): CheckFailure[] {
  const failures = inputFailures("NodeUpgrade", nodeUpgradeSchema, inputs);
  return failures.length > 0 ? failures : checkCombinations(inputs);
}

/** Problems that involve two inputs. */
function checkCombinations(inputs: Properties): CheckFailure[] {
  const failures: CheckFailure[] = [];
  const { role, node, controlPlanes, drain: drained, kubeconfig } = inputs;
  if (role === "controlplane" && !hasUnknown(controlPlanes) && !hasUnknown(node)) {
    if (!Array.isArray(controlPlanes) || !controlPlanes.includes(node)) {
      failures.push({
        property: "controlPlanes",
        reason: `[controlPlanes] must hold the address of every control plane, this node's [node] ${JSON.stringify(node)} included`,
      });
    }
  }
  const isDrained = !isRecord(drained) || (drained["enabled"] ?? true) === true;
  if (isDrained && kubeconfig === undefined) {
    failures.push({
      property: "kubeconfig",
      reason: "[kubeconfig] is needed to drain the node; set it, or set [drain] to { enabled: false }",
    });
  }
  return failures;
}

const perNodeProperties = new Set([
  "imageName",
  "name",
  "node",
  "role",
  "talosVersion",
  "image",
  "extensions",
  "services",
  "files",
]);

/** All problems in the inputs of a RolloutPreflight: each node is checked like a NodeUpgrade, shared inputs once. */
export function checkPreflight({ nodes, hops, ...shared }: Properties): CheckFailure[] {
  const bad = hops === undefined || hasUnknown(hops) ? [] : propertyFailures("hops", hopsSchema, hops);
  if (bad.length > 0) return bad;
  if (nodes === unknownValue) return [];
  const own = nodesInPlace(nodes);
  if (own.length === 0) return [{ property: "nodes", reason: "[nodes] must have at least one node" }];
  const given = new Set(Object.keys(shared));
  const notShared = new Set(Object.keys(nodeUpgradeSchema.shape).filter((property) => !given.has(property)));
  const ofAll = inputFailures("NodeUpgrade", nodeUpgradeSchema, shared, notShared);
  const ofNodes = own.flatMap(({ place, node, isKnown }) => {
    if (!isKnown) return [];
    const judged = new Set([...given].filter((property) => !(property in node)));
    const inputs = { ...shared, ...node };
    const failures = inputFailures("NodeUpgrade", nodeUpgradeSchema, inputs, judged);
    const all = failures.length + ofAll.length > 0 ? failures : checkCombinations(inputs);
    return all.map((failure) =>
      perNodeProperties.has(failure.property) || failure.property in node
        ? placedAt(place, failure)
        : failure,
    );
  });
  const failures = [...ofAll, ...ofNodes];
  return failures.filter(
    ({ reason }, index) => failures.findIndex((other) => other.reason === reason) === index,
  );
}
