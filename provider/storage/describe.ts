import type { Attachment, Volume } from "./reader.ts";
import type { IscsiSession } from "./sessions.ts";

/** What is left on a node. */
export interface LeftOnNode {
  attachments: readonly Attachment[];
  /** Volumes that the kubelet reports as in use, besides the attachments: `kubernetes.io/iscsi/…`. */
  inUse: readonly string[];
  sessions: readonly IscsiSession[];
}

/** A pod that may be using a volume. */
interface ClaimUser {
  namespace: string;
  name: string;
  owner: string | undefined;
  claims: readonly string[];
}

const shownAtMost = 10;

/**
 * What is left on a node, one entry each: volume, claim, driver, target and portal. A session without an attachment is marked as such.
 * @param volumes the cluster's PersistentVolumes
 * @param pods those still on the node
 */
export function describeLeft(
  { attachments, inUse, sessions }: LeftOnNode,
  volumes: readonly Volume[],
  pods: readonly ClaimUser[] = [],
): string[] {
  const taken = new Set<IscsiSession>();
  const attached = attachments.map((attachment) => {
    const volume = volumes.find(({ name }) => name === attachment.volume);
    const own = sessions.filter((session) => carriesVolume(session, attachment, volume));
    for (const session of own) taken.add(session);
    const users = pods.filter(({ claims }) => volume?.claim !== undefined && claims.includes(volume.claim));
    const facts = [
      volume?.claim === undefined ? "no claim" : `claim ${volume.claim}`,
      `driver ${attachment.driver}`,
      ...own.map(describeTargetPortal),
      ...users.map(
        ({ namespace, name, owner = "no owner" }) => `used by pod ${namespace}/${name} (${owner})`,
      ),
      ...(attachment.error === "" ? [] : [attachment.error]),
    ];
    return `volume ${attachment.volume || attachment.name} (${facts.join(", ")})`;
  });
  return [
    ...attached,
    ...inUse.map((name) => `volume ${name} (in use, says the kubelet)`),
    ...sessions.filter((session) => !taken.has(session)).map(describeSession),
  ];
}

/** Attached volumes with sessions, one entry each. */
export function volumesWithSessions(
  { attachments, sessions, inUse }: LeftOnNode,
  volumes: readonly Volume[],
  pods: readonly ClaimUser[],
): string[] {
  const carried = (attachment: Attachment, session: IscsiSession): boolean =>
    carriesVolume(
      session,
      attachment,
      volumes.find(({ name }) => name === attachment.volume),
    );
  const own = attachments.filter((attachment) => sessions.some((session) => carried(attachment, session)));
  const theirs = sessions.filter((session) => own.some((attachment) => carried(attachment, session)));
  return describeLeft({ attachments: own, sessions: theirs, inUse }, volumes, pods);
}

/** A session without a matching attachment. */
export function describeSession(session: IscsiSession): string {
  return `iSCSI session ${session.id} (${describeTargetPortal(session)}), which belongs to no attachment: leaked by a driver`;
}

/** The first entries, and how many more there are. */
export function listFirst(entries: readonly string[], atMost = shownAtMost): string {
  const more = entries.length - atMost;
  return entries.slice(0, atMost).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function describeTargetPortal({ target, portal }: IscsiSession): string {
  return `target ${target || "unknown"}${portal === "" ? "" : `, portal ${portal}`}`;
}

/**
 * Whether the session carries the volume. JovianDSS's driver names the target in the attachment, others in the volume's attributes; Synology's and Longhorn's
 * targets end with the volume's name, others' with its handle.
 */
function carriesVolume(
  { target }: IscsiSession,
  { volume: name, metadata }: Attachment,
  volume?: Volume,
): boolean {
  if (target === "") return false;
  const values = [...metadata, ...(volume?.attributes ?? [])];
  if (values.includes(target)) return true;
  return [name, volume?.handle ?? ""].some((part) => part !== "" && target.includes(part));
}
