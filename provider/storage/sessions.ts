import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";

/** A connection of a node's kernel to an iSCSI target. */
export interface IscsiSession {
  /** The kernel's number of it. */
  id: string;
  /** The target's name; empty where the kernel does not tell. */
  target: string;
  /** `10.0.0.5:3260`; empty where the kernel does not tell. */
  portal: string;
}

type Files = Pick<TalosReader, "list" | "readText">;

/** The numbers of a node's sessions: one call. */
export async function readSessionIds(talos: Pick<Files, "list">, call: CallOptions): Promise<string[]> {
  const names = await talos.list("/sys/class/iscsi_session", call);
  return names.flatMap((name) => /^session(\d+)$/.exec(name)?.[1] ?? []);
}

/** A node's sessions with what the kernel tells of each, in the order of their numbers. */
export async function readIscsiSessions(talos: Files, call: CallOptions): Promise<IscsiSession[]> {
  const ids = await readSessionIds(talos, call);
  const sessions = await Promise.all(ids.map((id) => readSession(talos, id, call)));
  return sessions.filter((found) => found !== undefined).sort((a, b) => Number(a.id) - Number(b.id));
}

async function readSession(talos: Files, id: string, call: CallOptions): Promise<IscsiSession | undefined> {
  const read = (path: string): Promise<string | undefined> => readAttribute(talos, path, call);
  // One connection a session, with the number 0: open-iscsi makes no more (linux scsi_transport_iscsi.c).
  const connection = `/sys/class/iscsi_connection/connection${id}:0`;
  const [target, address, port] = await Promise.all([
    read(`/sys/class/iscsi_session/session${id}/targetname`),
    read(`${connection}/persistent_address`),
    read(`${connection}/persistent_port`),
  ]);
  // It was logged out meanwhile.
  if (target === undefined) return undefined;
  const host = address?.includes(":") === true ? `[${address}]` : (address ?? "");
  return { id, target, portal: host === "" ? "" : `${host}:${port ?? ""}` };
}

/** Undefined for a file that is gone; empty for one that the kernel does not fill, as for a session that is being closed. */
async function readAttribute(talos: Files, path: string, call: CallOptions): Promise<string | undefined> {
  try {
    return (await talos.readText(path, call))?.trim();
  } catch (error) {
    if (error instanceof TalosError && error.kind === "failed") return "";
    throw error;
  }
}
