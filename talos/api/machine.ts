import type { Hardware } from "../hardware/reported.ts";
import { getResource, listResources } from "./cosi.ts";
import { TalosError } from "./errors.ts";
import type { CallOptions } from "./talosClient.ts";
import type { Transport } from "./transport.ts";

export async function readHardware(transport: Transport, call?: CallOptions): Promise<Hardware> {
  const [disks, system, links] = await Promise.all([
    listResources(transport, "runtime", "Disks.block.talos.dev", call),
    listResources(transport, "runtime", systemDisks, call),
    listResources(transport, "network", "LinkStatuses.net.talos.dev", call),
  ]);
  const systemDisk = system[0]?.spec["diskID"];
  return {
    disks: disks.map(({ id, spec }) => ({
      id,
      isSystemDisk: systemDisk === undefined ? undefined : id === systemDisk,
      fields: spec,
    })),
    links: links.map(({ id, spec }) => ({ id, fields: spec })),
  };
}

/** There is one if Talos is on a disk. */
const systemDisks = "SystemDisks.block.talos.dev";

/** @param ask the API's own call; in maintenance mode, Talos 1.12 and older don't have it (siderolabs/talos v1.12 internal/app/maintenance/server.go) */
export async function readInstalledRelease(
  transport: Transport,
  ask: () => Promise<string>,
  call?: CallOptions,
): Promise<string | undefined> {
  try {
    const [system] = await listResources(transport, "runtime", systemDisks, call);
    if (system === undefined) return undefined;
    const found = await getResource(transport, "runtime", "Versions.runtime.talos.dev", "version", call);
    const version = found?.spec["version"];
    return typeof version === "string" ? version : await ask();
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}
