import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";

/** An iSCSI session of a node's kernel. */
export interface IscsiSession {
  /** The kernel's ID for it. */
  id: string;
  /** The target's name; empty if the kernel doesn't report it. */
  target: string;
  /** `10.0.0.5:3260`; empty if the kernel doesn't report it. */
  portal: string;
}

type Files = Pick<TalosReader, "list" | "readText">;

/** The IDs of a node's sessions, in one call. */
export async function readSessionIds(talos: Pick<Files, "list">, call: CallOptions): Promise<string[]> {
  const names = await talos.list("/sys/class/iscsi_session", call);
  return names.flatMap((name) => /^session(\d+)$/.exec(name)?.[1] ?? []);
}

/** A node's sessions with the kernel's details, ordered by ID. */
export async function readIscsiSessions(talos: Files, call: CallOptions): Promise<IscsiSession[]> {
  const ids = await readSessionIds(talos, call);
  const sessions = await Promise.all(ids.map((id) => readSession(talos, id, call)));
  return sessions.filter((found) => found !== undefined).sort((a, b) => Number(a.id) - Number(b.id));
}

async function readSession(talos: Files, id: string, call: CallOptions): Promise<IscsiSession | undefined> {
  const read = (path: string): Promise<string | undefined> => readAttribute(talos, path, call);
  // One connection per session, numbered 0: open-iscsi creates no more (linux scsi_transport_iscsi.c).
  const connection = `/sys/class/iscsi_connection/connection${id}:0`;
  const [target, address, port] = await Promise.all([
    read(`/sys/class/iscsi_session/session${id}/targetname`),
    read(`${connection}/persistent_address`),
    read(`${connection}/persistent_port`),
  ]);
  // It was logged out in the meantime.
  if (target === undefined) return undefined;
  const host = address?.includes(":") === true ? `[${address}]` : (address ?? "");
  return { id, target, portal: host === "" ? "" : `${host}:${port ?? ""}` };
}

/** Undefined for a missing file; empty for one that the kernel doesn't fill, as for a session that is being closed. */
async function readAttribute(talos: Files, path: string, call: CallOptions): Promise<string | undefined> {
  try {
    return (await talos.readText(path, call))?.trim();
  } catch (error) {
    if (error instanceof TalosError && error.kind === "failed") return "";
    throw error;
  }
}
