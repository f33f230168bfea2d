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
  /** The driver that it has to be of. Default: any. */
  driver?: string;
  /** What claims may ask for. Default: ReadWriteOnce. */
  accessMode?: "ReadWriteOnce" | "ReadWriteOncePod";
}

/** What is probed, how, and when again. */
export interface StorageProbeArgs {
  /** An admin's: it creates a namespace, claims and pods, and changes the volumes that it has made. Always a secret. */
  kubeconfig: pulumi.Input<string>;
  /** Each is probed on every node that runs its driver. */
  storageClasses: pulumi.Input<pulumi.Input<ProbedClassArgs>[]>;
  /** Image of the pods, with a shell and busybox's programs. */
  image: pulumi.Input<string>;
  /** Size of each volume: `1Gi`. */
  size: pulumi.Input<string>;
  /** How many volumes at a time. Default: 3. */
  concurrency?: pulumi.Input<number>;
  /** How long each step of a volume may take, in seconds. Default: 300. */
  timeoutSeconds?: pulumi.Input<number>;
  /** Taints that the pods tolerate. Default: none. */
  tolerations?: k8s.types.input.core.v1.Toleration[];
  /** What each node runs, by its name: another value is another probe. Default: nothing. */
  nodes?: Record<string, pulumi.Input<string>>;
  /** What the driver is made of, by name: another value is another probe. Default: nothing. */
  driver?: Record<string, pulumi.Input<string>>;
}

/** One volume: a StorageClass on a node. */
export interface ProbedVolume {
  storageClass: string;
  /** The node that it was written on. */
  node: string;
  /** The node that it was read on; the same where there is no other. */
  readOn?: string;
  result: "passed" | "failed";
  /** Seconds by step: provision, attach, mount, write, detach, read, delete. */
  seconds: Record<string, number>;
  /** What failed. */
  problem?: string;
}

/**
 * Proves that the volumes of a driver work: each StorageClass, on each node that runs the driver. A pod writes, syncs and reads a volume there, and a pod on another
 * node reads it again. Everything is removed, and a failure fails the deployment.
 *
 * It runs when it is new, when one of its inputs says that something has changed (credentials and limits do not count), and after a failure. Nothing is done in a preview.
 */
export class StorageProbe extends pulumi.CustomResource {
  /** `passed`, or the deployment fails. */
  declare readonly result: pulumi.Output<string>;
  /** Every volume with its seconds. */
  declare readonly volumes: pulumi.Output<ProbedVolume[]>;
  /** When it was probed last: ISO 8601, UTC. */
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

/** What a driver's component has to know to have its volumes probed. */
export interface ProbeSurroundings {
  /** See `StorageProbeArgs.kubeconfig`. */
  kubeconfig: pulumi.Input<string>;
  /** See `StorageProbeArgs.nodes`. */
  nodes: Record<string, pulumi.Input<string>>;
}

/** A driver, and the access mode of each of its classes, in their order. */
interface ProbedDriver {
  driver: IscsiCsiDriver;
  accessModes: ("ReadWriteOnce" | "ReadWriteOncePod")[];
}

/**
 * The probe of a component's drivers, once they are deployed; undefined where the settings have none.
 * @throws pulumi.InputPropertyError where the component was not told how to reach the cluster
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

/** Named after their driver where there are several. */
function prefixedParts(
  { parts, prefix }: IscsiCsiDriver,
  several: boolean,
): Record<string, pulumi.Input<string>> {
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => [several ? `${prefix} ${name}` : name, part]),
  );
}

/**
 * What nodes run as they were read, for `ProbeSurroundings.nodes`. One that is upgraded is not known in the preview.
 * @param kubernetesVersion what their kubelets run, which mount the volumes
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

/** What several probes found, by their names; undefined where there is none. Of a class, a node and seconds, none is secret. */
export function probedVolumes(
  probes: Readonly<Record<string, StorageProbe | undefined>>,
): pulumi.Output<Record<string, ProbedVolume[]>> | undefined {
  const given = Object.entries(probes).flatMap(([name, probe]) =>
    probe === undefined ? [] : [[name, probe.volumes] as const],
  );
  return given.length === 0 ? undefined : pulumi.unsecret(pulumi.all(Object.fromEntries(given)));
}
