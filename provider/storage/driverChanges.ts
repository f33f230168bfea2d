import { coded, type CodedText } from "../../talos/errorCodes.ts";
import {
  deployedDriversSchema,
  membershipSchema,
  type DeployedDriver,
} from "../../talos/inputs/clusterMembership.ts";
import { withDefaults } from "../../talos/inputs/defaults.ts";
import type { CheckFailure } from "../check.ts";
import { KubernetesError, type KubernetesClient } from "../kubernetes.ts";
import { hasUnknown, type Properties } from "../secrets.ts";
import type { Surroundings } from "../session.ts";
import { listFirst } from "./describe.ts";
import type { Attachment, Volume } from "./reader.ts";

type Drivers = Record<string, DeployedDriver>;

interface Looking {
  readonly surroundings: Surroundings;
  readonly urn: string;
  readonly isPreview: boolean;
}

interface DriverCheck {
  readonly failures: CheckFailure[];
  /** Former drivers that may still be in the cluster: this deployment removes them last, if it gets that far. */
  readonly leaving: Drivers;
}

/** What a driver has in the cluster. */
interface Holdings {
  readonly volumes: readonly Volume[];
  readonly attachments: readonly Attachment[];
  /** Names of its VolumeSnapshotContents. */
  readonly snapshots: readonly string[];
  /** Who deploys it: `stack` for a Pulumi program, nobody if its CSIDriver object is gone. */
  readonly owner: "stack" | "other" | undefined;
}

/** A change that a driver's volumes would not survive. */
interface Change {
  readonly text: string;
  readonly consequence: string;
  /** When the change is right all the same. */
  readonly excuse: string;
  /** The affected objects, one entry each, and what they are called in the plural and the singular. */
  readonly affected: (held: Holdings) => { entries: string[]; kind: string };
}

/**
 * Whether the drivers of the last deployment can leave the settings, or change where they look for their volumes: without its driver, a volume can't be
 * unmounted or deleted. Kubernetes is asked only if there is such a change. Older states don't list their drivers: then there is none.
 */
export async function checkDriverChanges(
  looking: Looking,
  before: Properties,
  inputs: Properties,
): Promise<DriverCheck> {
  if (hasUnknown([before["drivers"], before["leavingDrivers"], inputs["drivers"]])) {
    return { failures: [], leaving: {} };
  }
  const [deployed, left, wanted] = [
    driversIn(before["drivers"]),
    driversIn(before["leavingDrivers"]),
    driversIn(inputs["drivers"]),
  ];
  const { acceptDriverChanges: accepted = [] } = withDefaults(acceptanceSchema, inputs);
  const failures: CheckFailure[] = [];
  const leaving: Drivers = {};
  let kubernetes: Promise<KubernetesClient> | undefined;
  for (const [name, driver] of Object.entries({ ...left, ...deployed })) {
    const changes = changesOf(name, driver, wanted[name]);
    if (changes.length === 0 || accepted.includes(name)) continue;
    const isGone = wanted[name] === undefined;
    if (isGone) leaving[name] = driver;
    const kubeconfig = [inputs, before].map((from) => from["kubeconfig"]).find(isKnownText);
    // Before the first deployment there is nothing to lose.
    if (kubeconfig === undefined) continue;
    try {
      kubernetes ??= looking.surroundings.connectKubernetes(kubeconfig);
      const held = await readHoldings(await kubernetes, name);
      const wasRemoved = deployed[name] === undefined && held.owner === undefined;
      if (isGone && (wasRemoved || held.owner === "other")) delete leaving[name];
      else failures.push(...changes.flatMap((change) => problemOf(name, change, held)));
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      // An earlier deployment has checked it, and most likely removed it.
      if (deployed[name] !== undefined) failures.push(...unreadable(looking, name, changes, error));
    }
  }
  return { failures, leaving };
}

const acceptanceSchema = membershipSchema.pick({ acceptDriverChanges: true });

function driversIn(value: unknown): Drivers {
  return deployedDriversSchema.safeParse(value).data ?? {};
}

function isKnownText(value: unknown): value is string {
  return typeof value === "string" && !hasUnknown(value);
}

/** @param after the driver in the settings; undefined if they don't have it any more */
function changesOf(name: string, before: DeployedDriver, after: DeployedDriver | undefined): Change[] {
  const { section, pool, targetPrefix, arrays = [] } = before;
  if (after === undefined) {
    const where = pool === undefined ? section : `${section}, pool ${pool}`;
    return [
      {
        text: `driver ${name} (${where}) is no longer in the settings`,
        consequence:
          "Without it, nothing unmounts or deletes them: pods hang, and nodes cannot be drained. Put it back, then delete the claims or move their data, " +
          "and remove the driver when `kubectl get pv` no longer lists its volumes.",
        excuse: givenUp,
        affected: everything,
      },
    ];
  }
  const changes: Change[] = [];
  if (pool !== undefined && after.pool !== undefined && pool !== after.pool)
    changes.push({
      text: `${section}: driver ${name} moves from pool ${pool} to ${after.pool}`,
      // open-e/joviandss-kubernetescsi v1.1.0 pkg/controller/controllerplugin.go: cp.pool in every call; DeleteVolume ignores "does not exist".
      consequence:
        `It looks for all its volumes in one pool: existing ones would not attach any more, and deleting their claims would leave the data behind. Put ${pool} back; ` +
        `${after.pool} can be a second pool with a driver of its own (docs/joviandss.md). Or delete the claims or move their data first.`,
      excuse: "If the array only renamed the pool, or the volumes are given up",
      affected: everything,
    });
  if (targetPrefix !== undefined && after.targetPrefix !== undefined && targetPrefix !== after.targetPrefix)
    changes.push({
      text: `${section}: iscsi.targetPrefix changes from ${targetPrefix} to ${after.targetPrefix}`,
      consequence: "Their targets would stay on the array. Scale down what uses the volumes first.",
      excuse: givenUp,
      affected: onlyAttached,
    });
  const removed = arrays.filter((host) => after.arrays?.includes(host) === false);
  if (removed.length > 0)
    changes.push({
      text: `${section}: ${removed.join(", ")} is no longer in arrays`,
      // synology-csi v1.2.1 pkg/driver/controllerserver.go: a volume's context names its array as the settings did when it was made.
      consequence:
        "The driver would not find them: pods with them would not start, and their LUNs would stay. Put the array back, then delete the claims or move their data.",
      excuse: givenUp,
      affected: (held) => volumesOn(removed, held),
    });
  return changes;
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

function everything(held: Holdings): { entries: string[]; kind: string } {
  const volumes = describeVolumes(held);
  const snapshots = held.snapshots.map((name) => `snapshot ${name}`);
  const entries = [...volumes, ...snapshots];
  const kind =
    snapshots.length === 0
      ? plural(volumes.length, "volume")
      : volumes.length === 0
        ? plural(snapshots.length, "snapshot")
        : `${entries.length} volumes and snapshots`;
  return { entries, kind };
}

function onlyAttached(held: Holdings): { entries: string[]; kind: string } {
  const attached = new Set(held.attachments.map(({ volume }) => volume));
  const volumes = held.volumes.filter(({ name }) => attached.has(name));
  const entries = describeVolumes({ ...held, volumes });
  return { entries, kind: plural(entries.length, "attached volume") };
}

function volumesOn(arrays: readonly string[], held: Holdings): { entries: string[]; kind: string } {
  const volumes = held.volumes.filter(({ attributes }) => attributes.some((text) => arrays.includes(text)));
  const entries = describeVolumes({ volumes, attachments: attachmentsOf(volumes, held) });
  return { entries, kind: plural(entries.length, "volume") };
}

function attachmentsOf(
  volumes: readonly Volume[],
  { attachments }: Pick<Holdings, "attachments">,
): Attachment[] {
  return attachments.filter(({ volume }) => volumes.some(({ name }) => name === volume));
}

/** Volumes, and attachments whose PersistentVolume is gone. */
function describeVolumes({ volumes, attachments }: Pick<Holdings, "volumes" | "attachments">): string[] {
  const known = new Set(volumes.map(({ name }) => name));
  const nodesOf = (volume: string): string[] =>
    attachments.filter((one) => one.volume === volume).map(({ node }) => `attached to ${node}`);
  return [
    ...volumes.map(({ name, claim }) => {
      const facts = [claim === undefined ? "no claim" : `claim ${claim}`, ...nodesOf(name)];
      return `${name} (${facts.join(", ")})`;
    }),
    ...attachments
      .filter(({ volume }) => !known.has(volume))
      .map(({ volume, name, node }) => `${volume || name} (no PersistentVolume, attached to ${node})`),
  ];
}

const shownAtMost = 5;

function problemOf(
  name: string,
  { text, consequence, excuse, affected }: Change,
  held: Holdings,
): CheckFailure[] {
  const { entries, kind } = affected(held);
  if (entries.length === 0) return [];
  return [
    failure(
      coded(
        "driver-in-use",
        `${text}, and the cluster has ${kind} of it: ${listFirst(entries, shownAtMost)}`,
        `${consequence} ${acceptance(excuse, name)}`,
      ),
    ),
  ];
}

function unreadable(
  { surroundings, urn, isPreview }: Looking,
  name: string,
  changes: readonly Change[],
  error: KubernetesError,
): CheckFailure[] {
  const problem = `${changes.map(({ text }) => text).join("; ")}, and whether the cluster still has volumes of it is unknown: ${error.message}`;
  if (!isPreview) {
    const advice = `Run \`pulumi up\` again when the Kubernetes API answers. ${acceptance(givenUp, name)}`;
    return [failure(coded("volumes-unknown", problem, advice))];
  }
  // A preview may run where the cluster can't be reached.
  const notice = "`pulumi up` refuses this until the Kubernetes API answers.";
  surroundings.statusOf(urn).warn(coded("volumes-unknown", problem, notice));
  return [];
}

const givenUp = "If the volumes are given up";
const acceptance = (excuse: string, name: string): string =>
  `${excuse}, set cluster.acceptDriverChanges: [${name}].`;

const failure = (reason: CodedText): CheckFailure => ({ property: "", reason });

async function readHoldings(kubernetes: KubernetesClient, driver: string): Promise<Holdings> {
  const volumes = await kubernetes.storage.volumes();
  const { objects: attachments } = await kubernetes.storage.attachments.list();
  const contents = await objectsOf<{ spec?: { driver?: string } }>(kubernetes, {
    apiVersion: "snapshot.storage.k8s.io/v1",
    kind: "VolumeSnapshotContent",
  });
  const [object] = await objectsOf(kubernetes, {
    apiVersion: "storage.k8s.io/v1",
    kind: "CSIDriver",
    name: driver,
  });
  return {
    volumes: volumes.filter((volume) => volume.driver === driver),
    attachments: attachments.filter((attachment) => attachment.driver === driver),
    snapshots: contents.flatMap(({ spec, metadata }) =>
      spec?.driver === driver ? [metadata?.name ?? ""] : [],
    ),
    owner: object === undefined ? undefined : isPulumis(object.metadata?.managedFields) ? "stack" : "other",
  };
}

interface ApiObject {
  readonly metadata?: { readonly name?: string; readonly managedFields?: readonly { manager?: string }[] };
}

/** Objects of a kind; none if the cluster doesn't have the kind, such as snapshots without their CRDs. */
async function objectsOf<More extends object>(
  kubernetes: KubernetesClient,
  selection: Parameters<KubernetesClient["objects"]>[0],
): Promise<(ApiObject & More)[]> {
  try {
    return (await kubernetes.objects(selection)) as (ApiObject & More)[];
  } catch (error) {
    if (error instanceof KubernetesError && error.status === 404) return [];
    throw error;
  }
}

/** Pulumi's field managers begin with its name. Without any, the object counts as ours. */
function isPulumis(managers: readonly { manager?: string }[] | undefined): boolean {
  const names = (managers ?? []).map(({ manager = "" }) => manager);
  return names.length === 0 || names.some((name) => name.startsWith("pulumi-"));
}
