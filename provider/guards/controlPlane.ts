import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, EtcdStatus, TalosClient } from "../../talos/api/talosClient.ts";
import type { UpgradeContext } from "../context.ts";
import { etcdFindings, type ControlPlaneReport, type PeerReport } from "./etcd.ts";
import type { Finding } from "./finding.ts";

/** Asks every control plane at once, and judges. */
export async function controlPlaneFindings(context: UpgradeContext): Promise<Finding[]> {
  const { talos, wanted, patience } = context;
  const call = { deadlineMs: patience.probeMs * 2, signal: context.signal };
  const addresses = [...new Set([wanted.node, ...wanted.controlPlanes])];
  const [own, peers] = await Promise.all([
    attempt(() => Promise.all([talos.etcdMembers(call), talos.etcdAlarms(call)])),
    Promise.all(
      addresses.map((address) =>
        peerReport(address, address === wanted.node ? talos : context.peer(address), call),
      ),
    ),
  ]);
  if ("error" in own) {
    return [
      {
        problem: `etcd does not answer: ${own.error}`,
        hint: "Look at `talosctl service etcd` and `talosctl etcd status`.",
        mayPass: true,
      },
    ];
  }
  const [members, alarms] = own.value;
  const report: ControlPlaneReport = {
    self: wanted.node,
    members,
    alarms,
    mended: wanted.services,
    peers,
  };
  return etcdFindings(report);
}

/** What one control plane says of itself. */
export async function peerReport(
  address: string,
  talos: TalosClient,
  call: CallOptions,
): Promise<PeerReport> {
  const [machine, etcd] = await Promise.all([
    attempt(() => talos.machineStatus(call)),
    attempt<EtcdStatus>(() => talos.etcdStatus(call)),
  ]);
  if ("error" in machine) return { address, error: machine.error };
  return { address, machine: machine.value, etcd: "error" in etcd ? { error: etcd.error } : etcd.value };
}

async function attempt<T>(read: () => Promise<T>): Promise<{ value: T } | { error: string }> {
  try {
    return { value: await read() };
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return { error: error.detail };
    throw error;
  }
}
