import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, EtcdStatus, TalosReader } from "../../talos/api/talosClient.ts";
import { etcdFindings, type ControlPlaneReport, type PeerReport } from "./etcd.ts";
import { etcdStep, type EtcdWanted } from "./etcdStep.ts";
import { etcdVersionFindings } from "./etcdVersion.ts";
import { talosctl } from "../talosctl.ts";
import type { Finding } from "./finding.ts";

/** Whose control planes are asked. */
interface Site {
  readonly node: { node: string };
  readonly controlPlanes: readonly string[];
  readonly services: readonly string[];
  readonly reader: (address: string) => TalosReader;
  /** What the node is to run, as far as it matters to etcd. Absent where nothing is installed. */
  readonly wanted?: EtcdWanted;
}

/** Asks every control plane at once, and judges. */
export async function controlPlaneFindings(site: Site, call: CallOptions): Promise<Finding[]> {
  const {
    node: { node: self },
    controlPlanes,
    services,
    reader,
    wanted,
  } = site;
  const addresses = [...new Set([...controlPlanes, self])];
  const [own, peers] = await Promise.all([
    attempt(() => Promise.all([reader(self).etcdMembers(call), reader(self).etcdAlarms(call)])),
    Promise.all(addresses.map((address) => peerReport(address, reader(address), call))),
  ]);
  if ("error" in own) {
    return [
      {
        problem: `etcd does not answer: ${own.error}`,
        hint: `Look at ${talosctl("service etcd", self)} and ${talosctl("etcd status", self)}.`,
        mayPass: true,
        recovers: true,
      },
    ];
  }
  const [members, alarms] = own.value;
  const report: ControlPlaneReport = {
    self,
    members,
    alarms,
    mended: services,
    peers,
  };
  const versions = wanted === undefined ? [] : await versionFindings(site, wanted, peers, call);
  return [...etcdFindings(report), ...versions];
}

async function versionFindings(
  { node: { node: self }, reader }: Site,
  wanted: EtcdWanted,
  peers: readonly PeerReport[],
  call: CallOptions,
): Promise<Finding[]> {
  const members = peers.flatMap((peer) =>
    peer.error !== undefined || "error" in peer.etcd ? [] : [{ address: peer.address, ...peer.etcd }],
  );
  const findings = await attempt(async () =>
    etcdVersionFindings(await etcdStep(self, members, wanted, reader(self), call)),
  );
  return "error" in findings
    ? [
        {
          problem: `etcd's versions are not known: ${findings.error}`,
          hint: `Look at ${talosctl("etcd status", self)}.`,
          mayPass: true,
        },
      ]
    : findings.value;
}

/** What one control plane says of itself. */
export async function peerReport(
  address: string,
  talos: TalosReader,
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
