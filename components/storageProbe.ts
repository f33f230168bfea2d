import { coded } from "../talos/errorCodes.ts";
import type * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { storageProbeSchema } from "../talos/inputs/storageProbe.ts";
import type { ResourceInputs } from "./resourceInputs.ts";
import { inRegistry } from "./csi/imageReference.ts";
import type { ProbeSettings } from "./csi/driverSettings.ts";
import type { IscsiCsiDriver } from "./csi/iscsiCsiDriver.ts";
import { definedTolerations } from "./csi/naming.ts";
import { probeImage } from "./csi/sidecars.ts";
import { gather } from "./outputs.ts";
import type { NodeUpgrade } from "./nodeUpgrade.ts";

/** A StorageClass to probe. */
export interface ProbedClassArgs {
  /** Its name. */
  name: string;
  /** The driver it must belong to. Default: any. */
  driver?: string;
  /** The claims' access mode. Default: ReadWriteOnce. */
  accessMode?: "ReadWriteOnce" | "ReadWriteOncePod";
}

/** What to probe, how, and when to repeat it. */
export interface StorageProbeArgs {
  /** An admin's kubeconfig: the probe creates a namespace, claims and pods, and changes the volumes it created. Always a secret. */
  kubeconfig: pulumi.Input<string>;
  /** Each is probed on every node that runs its driver. */
  storageClasses: pulumi.Input<pulumi.Input<ProbedClassArgs>[]>;
  /** Image of the pods, with a shell and busybox's programs. */
  image: pulumi.Input<string>;
  /** Size of each volume: `1Gi`. */
  size: pulumi.Input<string>;
  /** How many volumes are probed concurrently. Default: 3. */
  concurrency?: pulumi.Input<number>;
  /** Time limit for each step of a volume, in seconds. Default: 300. */
  timeoutSeconds?: pulumi.Input<number>;
  /** Taints that the pods tolerate. Default: none. */
  tolerations?: k8s.types.input.core.v1.Toleration[];
  /** What each node runs, by name: a changed value triggers another probe. Default: nothing. */
  nodes?: Record<string, pulumi.Input<string>>;
  /** The driver's parts, by name: a changed value triggers another probe. Default: nothing. */
  driver?: Record<string, pulumi.Input<string>>;
}

/** One volume: a StorageClass on a node. */
export interface ProbedVolume {
  storageClass: string;
  /** The node that wrote it. */
  node: string;
  /** The node that read it; the same one if there is no other. */
  readOn?: string;
  result: "passed" | "failed";
  /** Seconds by step: provision, attach, mount, write, detach, read, delete. */
  seconds: Record<string, number>;
  /** What failed. */
  problem?: string;
}

/**
 * Proves that a driver's volumes work: each StorageClass, on each node that runs the driver. A pod writes, syncs and reads a volume there, and a pod on another
 * node reads it again. Everything is removed, and a failure fails the deployment.
 *
 * It runs when it is created, when an input shows that something has changed (credentials and limits don't count), and after a failure. It does nothing in a
 * preview.
 */
export class StorageProbe extends pulumi.CustomResource {
  /** `passed`, or the deployment fails. */
  declare readonly result: pulumi.Output<string>;
  /** Every volume with its seconds. */
  declare readonly volumes: pulumi.Output<ProbedVolume[]>;
  /** When it last ran: ISO 8601, UTC. */
  declare readonly probed: pulumi.Output<string>;

  constructor(name: string, args: StorageProbeArgs, opts?: pulumi.CustomResourceOptions) {
    const inputs: ResourceInputs<typeof storageProbeSchema> = {
      ...args,
      kubeconfig: pulumi.secret(args.kubeconfig),
    };
    super(
      "talos-node:index:StorageProbe",
      name,
      {
        ...inputs,
        result: undefined,
        volumes: undefined,
        skipped: undefined,
        probed: undefined,
      },
      opts,
    );
  }
}

/** What a driver's component needs for probing its volumes. */
export interface ProbeSurroundings {
  /** See `StorageProbeArgs.kubeconfig`. */
  kubeconfig: pulumi.Input<string>;
  /** See `StorageProbeArgs.nodes`. */
  nodes: Record<string, pulumi.Input<string>>;
}

/** A driver, and the access mode of each of its classes, in order. */
interface ProbedDriver {
  driver: IscsiCsiDriver;
  accessModes: ("ReadWriteOnce" | "ReadWriteOncePod")[];
}

/**
 * The probe of a component's drivers, once they are deployed; undefined if the settings have none.
 * @throws pulumi.InputPropertyError if the component has no access to the cluster
 */
export function driverProbe(
  name: string,
  { probe, registry }: { probe?: ProbeSettings | undefined; registry?: string | undefined },
  on: ProbeSurroundings | undefined,
  drivers: ProbedDriver[],
  parent: pulumi.Resource,
): StorageProbe | undefined {
  if (probe?.enabled !== true) return undefined;
  if (on === undefined)
    throw new pulumi.InputPropertyError({
      propertyPath: "probeOn",
      reason: coded("arguments", "is needed for the probe"),
    });
  return new StorageProbe(
    `${name}-probe`,
    {
      ...on,
      storageClasses: pulumi.all(drivers.map(probedClasses)).apply((classes) => classes.flat()),
      image: probe.image ?? inRegistry(probeImage, registry),
      size: probe.size,
      concurrency: probe.concurrency,
      timeoutSeconds: probe.timeout,
      tolerations: definedTolerations(probe),
      driver: Object.assign(
        {},
        ...drivers.map(({ driver }) => prefixedParts(driver, drivers.length > 1)),
      ) as Record<string, pulumi.Input<string>>,
    },
    { parent, dependsOn: drivers.map(({ driver }) => driver) },
  );
}

function probedClasses({ driver, accessModes }: ProbedDriver): pulumi.Output<ProbedClassArgs[]> {
  return pulumi.all([driver.storageClassNames, driver.driverName]).apply(([names, driverName]) =>
    names.map((name, index) => ({
      name,
      driver: driverName,
      accessMode: accessModes[index] ?? "ReadWriteOnce",
    })),
  );
}

/** Prefixed with their driver if there are several. */
function prefixedParts(
  { parts, prefix }: IscsiCsiDriver,
  several: boolean,
): Record<string, pulumi.Input<string>> {
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => [several ? `${prefix} ${name}` : name, part]),
  );
}

/**
 * What nodes run, as read from them, for `ProbeSurroundings.nodes`. Unknown in the preview for a node being upgraded.
 * @param kubernetesVersion the release of their kubelets, which mount the volumes
 */
export function runningImages(
  nodes: Readonly<Record<string, NodeUpgrade>>,
  names: readonly string[],
  kubernetesVersion: string | undefined,
): Record<string, pulumi.Output<string>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const node = nodes[name];
      if (node === undefined) return [];
      const { runningVersion, runningSchematic } = node;
      const kubelet = kubernetesVersion === undefined ? "" : ` with Kubernetes ${kubernetesVersion}`;
      const runs = gather([runningVersion, runningSchematic]).apply(
        ([version, schematic]) => `${version} ${schematic}${kubelet}`,
      );
      return [[name, pulumi.unsecret(runs)] as const];
    }),
  );
}

/** The results of several probes, by name; undefined if there are none. Class, node and seconds are not secret. */
export function probedVolumes(
  probes: Readonly<Record<string, StorageProbe | undefined>>,
): pulumi.Output<Record<string, ProbedVolume[]>> | undefined {
  const given = Object.entries(probes).flatMap(([name, probe]) =>
    probe === undefined ? [] : [[name, probe.volumes] as const],
  );
  return given.length === 0 ? undefined : pulumi.unsecret(pulumi.all(Object.fromEntries(given)));
}
