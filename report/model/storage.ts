import { clusterNames, splitByCluster } from "./clusters.ts";
import type { NodePlan } from "./nodes.ts";
import type { Digest, Step } from "../digest/digest.ts";

/** Something whose loss affects data on the cluster, and what its loss means. */
export interface StorageLoss {
  /** `StorageClass joviandss-sc` */
  what: string;
  operation: "delete" | "replace" | "reset";
  meaning: string;
  /** The engine refuses it, so that `up` will stop there. */
  protected: boolean;
}

interface LossMeaning {
  type: RegExp;
  deleted: string;
  replaced: string;
}

const lossMeanings: readonly LossMeaning[] = [
  {
    type: /^talos:machine\/secrets:Secrets$/,
    deleted:
      "The cluster's secrets are the only way into it: without them, no node can be configured or joined.",
    replaced: "Every node of the cluster rejects the new secrets.",
  },
  {
    type: /^talos:machine\/bootstrap:Bootstrap$/,
    deleted: "Only the record of the bootstrap is deleted; etcd is not affected.",
    replaced:
      "Bootstrapping again creates a second, empty etcd if the named node has none: two clusters with the same name.",
  },
  {
    type: /^kubernetes:core\/v1:PersistentVolume$/,
    deleted: "The cluster forgets the volume; with reclaim policy Delete, the array deletes its data.",
    replaced: "The volume is deleted and created again: pods that mount it lose it.",
  },
  {
    type: /^kubernetes:core\/v1:PersistentVolumeClaim$/,
    deleted: "The claim releases its volume; with reclaim policy Delete, the array deletes the data.",
    replaced: "The claim releases its volume and gets a new, empty one.",
  },
  {
    type: /^kubernetes:storage\.k8s\.io\/v1:StorageClass$/,
    deleted: "Volumes of this class stay, but can no longer be expanded; new claims stay pending.",
    replaced:
      "Its parameters cannot be changed in place: it is deleted and created again. Volumes stay; new claims wait in the meantime.",
  },
  {
    type: /^kubernetes:snapshot\.storage\.k8s\.io\/\w+:VolumeSnapshotClass$/,
    deleted: "Snapshots taken with it stay; no new ones can be taken.",
    replaced: "It is deleted and created again; snapshots taken with it stay.",
  },
  {
    type: /^kubernetes:snapshot\.storage\.k8s\.io\/\w+:VolumeSnapshot(Content)?$/,
    deleted: "With deletion policy Delete, the array deletes the snapshot's data.",
    replaced: "With deletion policy Delete, the array deletes the old snapshot's data.",
  },
  {
    type: /^kubernetes:apiextensions\.k8s\.io\/v1:CustomResourceDefinition$/,
    deleted: "Kubernetes also deletes every object of this kind in the whole cluster.",
    replaced:
      "Kubernetes deletes every object of this kind in the whole cluster before it creates the definition again.",
  },
  {
    type: /^kubernetes:storage\.k8s\.io\/v1:CSIDriver$/,
    deleted:
      "Pods with volumes of this driver can no longer start, and volumes cannot be attached or detached.",
    replaced: "Until it is created again, pods with volumes of this driver cannot start.",
  },
  {
    type: /^kubernetes:core\/v1:Namespace$/,
    deleted: "Everything in the namespace is deleted, including objects of others.",
    replaced: "Everything in the namespace is deleted, including objects of others.",
  },
  {
    type: /^kubernetes:apps\/v1:(DaemonSet|StatefulSet|Deployment)$/,
    deleted: "Its pods stop: mounted volumes stay mounted, but nothing can be attached, mounted or detached.",
    replaced:
      "Its pods stop and new ones start: in the meantime, nothing can be attached, mounted or detached.",
  },
  {
    type: /^kubernetes:core\/v1:Secret$/,
    deleted: "The driver loses its access to the array.",
    replaced: "Until it is created again, the driver has no access to the array.",
  },
];

/** Deletions and replacements that may lose data or access to it, the most severe first. */
export function storageLosses({ steps }: Digest): StorageLoss[] {
  const clusterOf = clusterNames(steps);
  return lossMeanings.flatMap(({ type, deleted, replaced }) =>
    steps.flatMap((step) => {
      if (!type.test(step.type) || (step.operation !== "delete" && step.operation !== "replace")) return [];
      if (step.operation === "delete" && step.old?.retainOnDelete === true) return [];
      const cluster = clusterOf(step);
      return [
        {
          what: `${kindOf(step.type)} ${objectName(step)}${cluster === "" ? "" : ` of ${cluster}`}`,
          operation: step.operation,
          meaning: step.operation === "delete" ? deleted : replaced,
          protected: step.old?.protect === true,
        },
      ];
    }),
  );
}

/** Machines that are wiped with all that is on their disks. */
export function machineLosses(nodes: readonly NodePlan[]): StorageLoss[] {
  return nodes
    .filter(({ action }) => action === "reset")
    .map(({ name, address, role }) => ({
      what: `Machine ${name} (${address})`,
      operation: "reset",
      meaning: `Its disk is wiped: local data of pods is lost.${role === "controlplane" ? " etcd loses a member." : ""}`,
      protected: false,
    }));
}

/** A driver of this program, and what happens to it. */
export interface DriverPlan {
  name: string;
  /** Name of its cluster in a program with several; empty otherwise. */
  cluster: string;
  fate: "stays" | "new" | "changes" | "goes";
}

const drivers = {
  JovianDssCsi: "JovianDSS",
  SynologyCsi: "Synology",
  SnapshotController: "Snapshot controller",
} as const;

/** The storage drivers of the stack. */
export function driverPlans({ steps }: Digest): DriverPlan[] {
  return splitByCluster(steps).flatMap(({ name, resources }) => driversOf(name, resources));
}

function driversOf(cluster: string, steps: readonly Step[]): DriverPlan[] {
  return Object.entries(drivers).flatMap(([component, name]) => {
    const token = `talos-iscsi:index:${component}`;
    const own = steps.filter(({ urn }) => (urn.split("::")[2] ?? "").split("$").includes(token));
    const root = own.find(({ type }) => type === token);
    if (own.length === 0) return [];
    const objects = own.filter(({ type }) => type.startsWith("kubernetes:"));
    const moved = objects.some(({ operation }) => operation !== "same" && operation !== "read");
    const fate =
      root?.operation === "create"
        ? "new"
        : root?.operation === "delete"
          ? "goes"
          : moved
            ? "changes"
            : "stays";
    return [{ name, cluster, fate } as const];
  });
}

/** `StorageClass` of `kubernetes:storage.k8s.io/v1:StorageClass` */
export function kindOf(type: string): string {
  return type.split(":").at(-1) ?? type;
}

/** What the object is called where it lives: in Kubernetes, not in the program. */
export function objectName(step: Step): string {
  const metadata = (step.new ?? step.old)?.inputs["metadata"];
  const { name, namespace } = (typeof metadata === "object" ? metadata : {}) as {
    name?: unknown;
    namespace?: unknown;
  };
  if (typeof name !== "string" || name === "") return step.name;
  return typeof namespace === "string" && namespace !== "" ? `${namespace}/${name}` : name;
}
