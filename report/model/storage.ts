import type { NodePlan } from "./nodes.ts";
import type { Digest, Step } from "../digest/digest.ts";

/** Something whose loss is felt by those who have data on the cluster, and what its loss means. */
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
      "With the cluster's secrets goes the only way into it: no node can be configured or joined any more.",
    replaced: "New secrets are those of another cluster: every node of this one refuses them.",
  },
  {
    type: /^talos:machine\/bootstrap:Bootstrap$/,
    deleted: "Only the record of the bootstrap goes; etcd stays as it is.",
    replaced:
      "Bootstrapping again makes a second, empty etcd if the node it names has none: two clusters of one name.",
  },
  {
    type: /^kubernetes:core\/v1:PersistentVolume$/,
    deleted: "The cluster forgets the volume; with reclaim policy Delete the array deletes its data.",
    replaced: "The volume is taken away and made again: what is mounted from it loses it.",
  },
  {
    type: /^kubernetes:core\/v1:PersistentVolumeClaim$/,
    deleted: "The claim releases its volume; with reclaim policy Delete the array deletes the data.",
    replaced: "The claim releases its volume and gets a new, empty one.",
  },
  {
    type: /^kubernetes:storage\.k8s\.io\/v1:StorageClass$/,
    deleted:
      "Volumes of this class stay; claims that name it stay pending, and volumes of it can no longer be expanded.",
    replaced:
      "Its parameters cannot be changed in place: it is deleted and made again. Volumes stay; claims made in between wait.",
  },
  {
    type: /^kubernetes:snapshot\.storage\.k8s\.io\/\w+:VolumeSnapshotClass$/,
    deleted: "Snapshots that were made with it stay; new ones cannot be made with it.",
    replaced: "It is deleted and made again; snapshots that were made with it stay.",
  },
  {
    type: /^kubernetes:snapshot\.storage\.k8s\.io\/\w+:VolumeSnapshot(Content)?$/,
    deleted: "With deletion policy Delete the snapshot's data goes from the array.",
    replaced: "With deletion policy Delete the old snapshot's data goes from the array.",
  },
  {
    type: /^kubernetes:apiextensions\.k8s\.io\/v1:CustomResourceDefinition$/,
    deleted: "Kubernetes deletes every object of this kind in the whole cluster with it.",
    replaced: "Kubernetes deletes every object of this kind in the whole cluster in between.",
  },
  {
    type: /^kubernetes:storage\.k8s\.io\/v1:CSIDriver$/,
    deleted:
      "Pods with volumes of this driver can no longer start, and volumes cannot be attached or detached.",
    replaced: "While it is away pods with volumes of this driver cannot start.",
  },
  {
    type: /^kubernetes:core\/v1:Namespace$/,
    deleted: "Everything in the namespace goes with it, what others put there included.",
    replaced: "Everything in the namespace goes with it, what others put there included.",
  },
  {
    type: /^kubernetes:apps\/v1:(DaemonSet|StatefulSet|Deployment)$/,
    deleted:
      "Its pods end: volumes that are mounted stay mounted, but nothing is attached, mounted or detached any more.",
    replaced: "Its pods end and new ones start: in between nothing is attached, mounted or detached.",
  },
  {
    type: /^kubernetes:core\/v1:Secret$/,
    deleted: "The driver loses its access to the array.",
    replaced: "While it is away the driver has no access to the array.",
  },
];

/** Deletions and replacements that may cost data or access to it, the gravest kinds first. */
export function storageLosses({ steps }: Digest): StorageLoss[] {
  return lossMeanings.flatMap(({ type, deleted, replaced }) =>
    steps.flatMap((step) => {
      if (!type.test(step.type) || (step.operation !== "delete" && step.operation !== "replace")) return [];
      if (step.operation === "delete" && step.old?.retainOnDelete === true) return [];
      return [
        {
          what: `${kindOf(step.type)} ${objectName(step)}`,
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
      meaning: `Its disk is wiped: what pods keep on the node itself is lost.${role === "controlplane" ? " One member less in etcd." : ""}`,
      protected: false,
    }));
}

/** A driver of this program, and what becomes of it. */
export interface DriverPlan {
  name: string;
  fate: "stays" | "new" | "changes" | "goes";
}

const drivers = {
  JovianDssCsi: "JovianDSS",
  SynologyCsi: "Synology",
  SnapshotController: "Snapshot controller",
} as const;

/** The storage drivers of the stack. */
export function driverPlans({ steps }: Digest): DriverPlan[] {
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
    return [{ name, fate } as const];
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
