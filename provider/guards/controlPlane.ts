import { TalosError } from "../../talos/api/errors.ts";
import type {
  CallOptions,
  EtcdAlarm,
  EtcdMember,
  EtcdStatus,
  TalosReader,
} from "../../talos/api/talosClient.ts";
import { etcdAtRiskFindings, etcdFindings, type PeerReport } from "./etcd.ts";
import { readEtcdStep, type EtcdWanted } from "./etcdStep.ts";
import { etcdVersionFindings } from "./etcdVersion.ts";
import { talosctlCommand } from "../talosctl.ts";
import type { Finding } from "./finding.ts";

/** The node, and the control planes to ask. */
interface GuardSite {
  readonly node: { node: string; role: "controlplane" | "worker" };
  readonly controlPlanes: readonly string[];
  readonly services: readonly string[];
  readonly reader: (address: string) => TalosReader;
  /** The desired etcd. Absent if nothing is installed. */
  readonly wanted?: EtcdWanted;
}

/**
 * Asks every control plane concurrently whether the node may go down. Workers count too: their pods must be rescheduled and their volumes need a controller, so
 * the control planes and etcd must be healthy.
 */
export async function controlPlaneFindings(site: GuardSite, call: CallOptions): Promise<Finding[]> {
  const { node, controlPlanes, services, reader, wanted } = site;
  const isControlPlane = node.role === "controlplane";
  const addresses = [...new Set(isControlPlane ? [...controlPlanes, node.node] : controlPlanes)];
  if (addresses.length === 0) return [];
  const [etcd, peers] = await Promise.all([
    readEtcd(isControlPlane ? [node.node] : addresses, reader, call),
    Promise.all(addresses.map((address) => readPeerReport(address, reader(address), call))),
  ]);
  if ("error" in etcd) return [etcdSilentFinding(etcd.error, isControlPlane ? [node.node] : addresses)];
  const self = isControlPlane ? node.node : "";
  const findings = etcdFindings({ self, ...etcd, imageServices: services, peers });
  const versions =
    wanted === undefined || !isControlPlane ? [] : await etcdUpgradeFindings(site, wanted, peers, call);
  return [...findings, ...versions];
}

/**
 * etcd's objections to a configuration change. The node's own health doesn't count, since the change may be the fix; so any control plane may report the
 * members.
 */
export async function etcdConfigureFindings(
  { node, controlPlanes, reader }: GuardSite,
  peers: readonly PeerReport[],
  call: CallOptions,
): Promise<Finding[]> {
  const isControlPlane = node.role === "controlplane";
  const asked = [...new Set(isControlPlane ? [node.node, ...controlPlanes] : controlPlanes)];
  const etcd = await readEtcd(asked, reader, call);
  if ("error" in etcd) return [etcdSilentFinding(etcd.error, asked)];
  return etcdAtRiskFindings({
    self: isControlPlane ? node.node : "",
    ...etcd,
    imageServices: [],
    peers: [...peers],
  });
}

function etcdSilentFinding(error: string, asked: readonly string[]): Finding {
  const nodes = asked.join(",");
  return {
    code: "etcd-unreachable",
    problem: `etcd does not answer: ${error}`,
    hint: `Look at ${talosctlCommand("service etcd", nodes)} and ${talosctlCommand("etcd status", nodes)}.`,
    mayPass: true,
    recovers: true,
  };
}

/** Members and alarms, from the first of these that answers. */
export async function readEtcd(
  addresses: readonly string[],
  reader: (address: string) => TalosReader,
  call: CallOptions,
): Promise<{ through: string; members: EtcdMember[]; alarms: EtcdAlarm[] } | { error: string }> {
  let failed = "there is no control plane to ask";
  for (const address of addresses) {
    const etcd = await tryRead(() =>
      Promise.all([reader(address).etcdMembers(call), reader(address).etcdAlarms(call)]),
    );
    if ("value" in etcd) return { through: address, members: etcd.value[0], alarms: etcd.value[1] };
    failed = etcd.error;
  }
  return { error: failed };
}

async function etcdUpgradeFindings(
  { node: { node: self }, reader }: Pick<GuardSite, "node" | "reader">,
  wanted: EtcdWanted,
  peers: readonly PeerReport[],
  call: CallOptions,
): Promise<Finding[]> {
  const members = peers.flatMap((peer) =>
    peer.error !== undefined || "error" in peer.etcd ? [] : [{ address: peer.address, ...peer.etcd }],
  );
  const findings = await tryRead(async () =>
    etcdVersionFindings(await readEtcdStep(self, members, wanted, reader(self), call)),
  );
  return "error" in findings
    ? [
        {
          code: "etcd-version-unknown",
          problem: `the version of etcd could not be read: ${findings.error}`,
          hint: `Look at ${talosctlCommand("etcd status", self)}.`,
          mayPass: true,
        },
      ]
    : findings.value;
}

/** One control plane's report. */
export async function readPeerReport(
  address: string,
  talos: TalosReader,
  call: CallOptions,
): Promise<PeerReport> {
  const [machine, etcd] = await Promise.all([
    tryRead(() => talos.machineStatus(call)),
    tryRead<EtcdStatus>(() => talos.etcdStatus(call)),
  ]);
  if ("error" in machine) return { address, error: machine.error, waits: await talos.inMaintenance() };
  return { address, machine: machine.value, etcd: "error" in etcd ? { error: etcd.error } : etcd.value };
}

async function tryRead<T>(read: () => Promise<T>): Promise<{ value: T } | { error: string }> {
  try {
    return { value: await read() };
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return { error: error.detail };
    throw error;
  }
}
