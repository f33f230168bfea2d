import { isArray, isObject } from "../values.ts";
import type { PlainValue, PropertyValue } from "../values.ts";
import { groupOf, type KubernetesObject } from "./object.ts";

/** Is an object what it is meant to be? `failed`: it will not become so. */
export interface Readiness {
  readonly ready: boolean;
  readonly failed?: boolean;
  /** What is still missing, for people. */
  readonly message: string;
}

type Fields = Record<string, PlainValue>;
type Judge = (object: KubernetesObject) => Readiness;

const ready: Readiness = { ready: true, message: "" };
const waiting = (message: string): Readiness => ({ ready: false, message });
const failed = (message: string): Readiness => ({ ready: false, failed: true, message });

function fields(value: PropertyValue | undefined): Fields {
  return isObject(value) ? (value as Fields) : {};
}

function number(value: PlainValue | undefined): number {
  return typeof value === "number" ? value : 0;
}

/** A text, or what to say in its place. */
function text(value: PlainValue | undefined, otherwise: string): string {
  return typeof value === "string" && value !== "" ? value : otherwise;
}

function condition(object: KubernetesObject, type: string): Fields | undefined {
  const { conditions } = fields(object["status"]);
  return isArray(conditions) ? conditions.map(fields).find((entry) => entry["type"] === type) : undefined;
}

/** Has the controller seen this generation of the object at all? */
function observed(object: KubernetesObject): boolean {
  return number(fields(object["status"])["observedGeneration"]) >= number(object.metadata["generation"]);
}

const judges: Record<string, Judge> = {
  "/Namespace": (object) =>
    fields(object["status"])["phase"] === "Active" ? ready : waiting("the namespace is not active yet"),

  "/Pod": (object) => {
    const { phase } = fields(object["status"]);
    if (phase === "Failed") return failed("the pod failed");
    if (phase === "Succeeded" || condition(object, "Ready")?.["status"] === "True") return ready;
    return waiting(`the pod is ${text(phase, "Pending")} and not ready`);
  },

  "/PersistentVolumeClaim": (object) => {
    const { phase } = fields(object["status"]);
    return phase === "Bound" ? ready : waiting(`the claim is ${text(phase, "Pending")}`);
  },

  "apps/DaemonSet": (object) => {
    if (!observed(object)) return waiting("the controller has not seen it yet");
    const status = fields(object["status"]);
    const wanted = number(status["desiredNumberScheduled"]);
    const updated = number(status["updatedNumberScheduled"]);
    const available = number(status["numberAvailable"]);
    const onDelete = fields(fields(object["spec"])["updateStrategy"])["type"] === "OnDelete";
    if (!onDelete && updated < wanted) return waiting(`${updated} of ${wanted} pods are up to date`);
    return available < wanted ? waiting(`${available} of ${wanted} pods are available`) : ready;
  },

  "apps/Deployment": (object) => {
    if (!observed(object)) return waiting("the controller has not seen it yet");
    const progressing = condition(object, "Progressing");
    if (progressing?.["reason"] === "ProgressDeadlineExceeded") {
      return failed(text(progressing["message"], "it did not progress in time"));
    }
    const status = fields(object["status"]);
    const wanted = number(fields(object["spec"])["replicas"] ?? 1);
    const updated = number(status["updatedReplicas"]);
    const available = number(status["availableReplicas"]);
    if (updated < wanted) return waiting(`${updated} of ${wanted} replicas are up to date`);
    if (number(status["replicas"]) > updated) return waiting("old replicas are still ending");
    return available < wanted ? waiting(`${available} of ${wanted} replicas are available`) : ready;
  },

  "apps/StatefulSet": (object) => {
    if (!observed(object)) return waiting("the controller has not seen it yet");
    const spec = fields(object["spec"]);
    const status = fields(object["status"]);
    const wanted = number(spec["replicas"] ?? 1);
    const readyReplicas = number(status["readyReplicas"]);
    const onDelete = fields(spec["updateStrategy"])["type"] === "OnDelete";
    if (!onDelete && wanted > 0 && status["updateRevision"] !== status["currentRevision"]) {
      return waiting(`${number(status["updatedReplicas"])} of ${wanted} replicas are up to date`);
    }
    return readyReplicas < wanted ? waiting(`${readyReplicas} of ${wanted} replicas are ready`) : ready;
  },

  "batch/Job": (object) => {
    const failure = condition(object, "Failed");
    if (failure?.["status"] === "True") return failed(text(failure["message"], "the job failed"));
    return condition(object, "Complete")?.["status"] === "True" ? ready : waiting("the job is not complete");
  },

  "apiextensions.k8s.io/CustomResourceDefinition": (object) => {
    const names = condition(object, "NamesAccepted");
    if (names?.["status"] === "False") return failed(text(names["message"], "its names are taken"));
    return condition(object, "Established")?.["status"] === "True"
      ? ready
      : waiting("it is not established yet");
  },
};

/** Does a new or changed object of this kind have to be waited for? */
export function needsWaiting(object: KubernetesObject): boolean {
  return judges[`${groupOf(object.apiVersion)}/${object.kind}`] !== undefined;
}

export function readiness(object: KubernetesObject): Readiness {
  return judges[`${groupOf(object.apiVersion)}/${object.kind}`]?.(object) ?? ready;
}
