import { csiDrivers } from "../../talos/csiDrivers.ts";
import type { UpgradeContext } from "../context.ts";
import {
  KubernetesError,
  storageAnnotation,
  type KubernetesClient,
  type KubernetesNode,
  type KubernetesPod,
} from "../kubernetes.ts";
import type { Attachment } from "./reader.ts";

/** A node's storage before its drain, which must be back before the next node goes down. */
export interface StorageBefore {
  /** CSI drivers registered on the node. */
  drivers: string[];
  /** PersistentVolumes attached to it without an error. */
  volumes: string[];
  /** `namespace/name` of the claims of its running pods that a controller will restart. */
  claims: string[];
  /** Volumes whose attachment already had an error, on any node. */
  broken: string[];
}

/** If a driver deployed by this program is registered, the gate is on unless the settings disable it. */
export const ownDrivers: readonly string[] = Object.values(csiDrivers).map(({ driverName }) => driverName);

/**
 * The annotation to write on the node before it is disturbed, for step `storage` of this or a later run; empty if there is nothing to wait for. An earlier
 * run's note stays: it is from before the drain.
 */
export async function storageAnnotations(
  { wanted }: UpgradeContext,
  kubernetes: KubernetesClient,
  { name, annotations, withoutIscsi }: KubernetesNode,
  pods: () => Promise<KubernetesPod[]>,
): Promise<Record<string, string>> {
  const { enabled } = wanted.storageGate;
  if (enabled === false || parseStorageNote(annotations[storageAnnotation]) !== undefined) return {};
  const registered = await kubernetes.storage.driversOn(name);
  // This program's drivers are about to leave such a node, and can't run there on an image without iscsi-tools.
  const drivers = registered.filter((driver) => withoutIscsi !== true || !ownDrivers.includes(driver));
  if (!(enabled === true ? drivers.length > 0 : drivers.some((driver) => ownDrivers.includes(driver))))
    return {};
  // Listed, not watched: a drain that a budget blocks keeps one watch open, that of the pods.
  const { objects } = await kubernetes.storage.attachments.list();
  const before = toStorageNote(name, drivers, objects, await pods());
  return { [storageAnnotation]: JSON.stringify(before) };
}

/** The same for a node that isn't drained, so there is no cordon to write it with. A failure must not block the upgrade. */
export async function noteStorage(context: UpgradeContext, node: string | undefined): Promise<void> {
  try {
    const kubernetes = await context.kubernetes();
    const object = node === undefined ? undefined : await kubernetes?.node(node);
    if (kubernetes === undefined || object === undefined) return;
    context.storage.of(object.name);
    const pods = async (): Promise<KubernetesPod[]> => (await kubernetes.podsOn(object.name).list()).objects;
    const annotations = await storageAnnotations(context, kubernetes, object, pods);
    if (Object.keys(annotations).length > 0) await kubernetes.patchNode(object.name, { annotations });
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    context.progress.warn(`its storage is not waited for, since it cannot be read: ${error.message}`);
  }
}

function toStorageNote(
  node: string,
  drivers: readonly string[],
  attachments: readonly Attachment[],
  pods: readonly KubernetesPod[],
): StorageBefore {
  const sound = attachments.filter((one) => one.node === node && one.attached && one.error === "");
  const returning = pods.filter(({ running, owner, mirror }) => running && owner !== undefined && !mirror);
  return {
    drivers: [...drivers].sort(),
    volumes: unique(sound.map(({ volume }) => volume).filter((name) => name !== "")),
    claims: unique(returning.flatMap(({ claims }) => claims)),
    broken: unique(attachments.filter(({ error }) => error !== "").map(({ name, volume }) => volume || name)),
  };
}

/** Undefined for an invalid note: somebody edited it, or another version wrote it. */
export function parseStorageNote(text: string | undefined): StorageBefore | undefined {
  if (text === undefined) return undefined;
  try {
    const { drivers, volumes, claims, broken } = JSON.parse(text) as Record<string, unknown>;
    const lists = { drivers, volumes, claims, broken };
    const sound = Object.values(lists).every(
      (list) => Array.isArray(list) && list.every((item) => typeof item === "string"),
    );
    return sound ? (lists as unknown as StorageBefore) : undefined;
  } catch {
    return undefined;
  }
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
