import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, EtcdMember, TalosReader } from "../../talos/api/talosClient.ts";
import { normalizeHost } from "../../talos/endpoint.ts";
import type { Finding } from "../guards/finding.ts";
import { removeMemberCommand, talosctlCommand } from "../talosctl.ts";
import { readEtcd, readPeerReport } from "../guards/controlPlane.ts";
import { alarmFindings, peerMachineFindings } from "../guards/etcd.ts";
import { quorumFindings, type EtcdReport } from "../membership/quorum.ts";

interface LeavingSite {
  readonly node: { name: string; node: string };
  /** Addresses of the control planes that stay. */
  readonly controlPlanes: readonly string[];
  readonly reader: (address: string) => TalosReader;
}

/** What blocks a control plane from leaving for good: a lost quorum, an etcd alarm, another control plane that is down. */
export async function etcdLeaveFindings(
  leaving: LeavingSite,
  known: string | undefined,
  call: CallOptions,
): Promise<Finding[]> {
  const { node, controlPlanes, reader } = leaving;
  const others = controlPlanes.filter((address) => address !== node.node);
  const [report, etcd, peers] = await Promise.all([
    etcdSeenByOthers(leaving, known, call),
    readEtcd(others, reader, call),
    Promise.all(others.map((address) => readPeerReport(address, reader(address), call))),
  ]);
  if (report === undefined || "error" in etcd) {
    return [
      {
        code: "etcd-unreachable",
        problem: "etcd does not answer on any of the remaining control planes",
        hint: `Look at ${talosctlCommand("service etcd", others.join(","))} and ${talosctlCommand("etcd status", others.join(","))}.`,
        mayPass: true,
      },
    ];
  }
  const unclear = unclearMemberFindings(report, node.node);
  if (unclear.length > 0) return unclear;
  // It has already left etcd: nothing more to lose.
  if (report.leaving === undefined) return [];
  return [
    ...quorumFindings(report),
    ...alarmFindings({ ...etcd, peers, self: etcd.through }),
    ...peers.flatMap((peer) => peerMachineFindings(peer, node.node, [])),
  ];
}

/** A node whose etcd is stopped can't tell which member is its own; its name and address may be others than those of the settings. */
function unclearMemberFindings({ unclaimed }: EtcdReport, address: string): Finding[] {
  if (unclaimed.length === 0) return [];
  const names = unclaimed.map(({ hostname, id }) => hostname || id).join(" or ");
  return [
    {
      code: "etcd-unknown-member",
      problem: `etcd does not answer on ${address}, and its member may be ${names}`,
      hint: `Start it (${talosctlCommand("service etcd", address)}), or remove members whose machines are gone.`,
      mayPass: true,
    },
  ];
}

/**
 * A machine in maintenance mode has no data. If the other control planes know a member with its name or address, it was a control plane of this cluster,
 * whatever the state says; starting it anew under that member would harm etcd.
 */
export async function formerMemberFindings(site: LeavingSite, call: CallOptions): Promise<Finding[]> {
  const report = await etcdSeenByOthers(site, undefined, call);
  if (report?.leaving === undefined) return [];
  const { name, node } = site.node;
  const through = site.controlPlanes.find((address) => address !== node) ?? node;
  return [
    {
      code: "etcd-former-member",
      problem: `${name} (${node}) answers without client authentication, and etcd still has its member ${report.leaving}: it was a control plane of this cluster and was reinstalled or reset, or another machine has its address`,
      hint: `If this is the right machine, remove its old member first: ${removeMemberCommand(report.leaving, through)}. That is your consent to set it up again.`,
      mayPass: false,
    },
  ];
}

/**
 * etcd without the node, as the remaining control planes see it; undefined if none of them answers.
 * @param known its member's ID. Without it, the member is found by name or address, or as the only one that no remaining control plane has
 */
export async function etcdSeenByOthers(
  { node, controlPlanes, reader }: LeavingSite,
  known: string | undefined,
  call: CallOptions,
): Promise<EtcdReport | undefined> {
  const others = controlPlanes.filter((address) => address !== node.node);
  const staying = await Promise.all(
    others.map(async (address) => ({ address, etcd: await tryRead(() => reader(address).etcdStatus(call)) })),
  );
  for (const address of others) {
    const members = await tryRead(() => reader(address).etcdMembers(call));
    if ("error" in members) continue;
    const taken = new Set(staying.flatMap(({ etcd }) => ("error" in etcd ? [] : [etcd.memberId])));
    const free = members.filter(({ id }) => !taken.has(id));
    const own =
      known === undefined
        ? free.find((member) => member.hostname === node.name || isAt(member, node.node))
        : members.find(({ id }) => id === known);
    const isOpen = own === undefined && known === undefined;
    const unclaimed = isOpen ? free.filter((member) => !others.some((other) => isAt(member, other))) : [];
    return { leaving: own?.id, name: node.name, members, unclaimed, staying };
  }
  return undefined;
}

function isAt({ addresses }: EtcdMember, address: string): boolean {
  return addresses.some((own) => normalizeHost(own) === normalizeHost(address));
}

async function tryRead<T extends object>(read: () => Promise<T>): Promise<T | { error: string }> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return { error: error.detail };
    throw error;
  }
}
