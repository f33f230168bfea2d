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

/** What a node's storage was like before it was drained: what has to be back before the next node goes. */
export interface StorageBefore {
  /** CSI drivers that were registered on the node. */
  drivers: string[];
  /** PersistentVolumes that were attached to it without an error. */
  volumes: string[];
  /** `namespace/name` of the claims of its running pods that something starts again. */
  claims: string[];
  /** Volumes whose attachment had an error already, on whichever node. */
  broken: string[];
}

/** Where a driver that this program deploys is registered, the gate is on unless the settings turn it off. */
export const ownDrivers: readonly string[] = Object.values(csiDrivers).map(({ driverName }) => driverName);

/**
 * What has to be written on the node before it is disturbed, for the step `storage` of this run or a later one; nothing where there is nothing to
 * wait for. A note of a run before stays: it is from before the drain.
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
  // Ours are about to leave such a node, and cannot run there on an image without iscsi-tools.
  const drivers = registered.filter((driver) => withoutIscsi !== true || !ownDrivers.includes(driver));
  if (!(enabled === true ? drivers.length > 0 : drivers.some((driver) => ownDrivers.includes(driver))))
    return {};
  // Listed, not watched: a drain that a budget blocks keeps one watch open, that of the pods.
  const { objects } = await kubernetes.storage.attachments.list();
  const before = toStorageNote(name, drivers, objects, await pods());
  return { [storageAnnotation]: JSON.stringify(before) };
}

/** The same for a node that is not drained, whose cordon cannot carry it. It must not keep the node from being upgraded. */
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

/** Undefined for a note that is none: somebody has edited it, or another version wrote it. */
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
