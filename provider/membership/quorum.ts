import type { EtcdMember } from "../../talos/api/talosClient.ts";
import { quorumWithout, whyUnhealthy, type EtcdAnswer } from "../gate/quorum.ts";
import { memberFindings } from "../guards/etcd.ts";
import type { Finding } from "../guards/finding.ts";
import { talosctlCommand } from "../talosctl.ts";

/** etcd as seen before a member leaves for good. */
export interface EtcdReport {
  /** The leaving member; undefined if it is not (or no longer) a member. */
  leaving: string | undefined;
  /** Name of the leaving node. */
  name: string;
  members: EtcdMember[];
  /** Without a match for the leaving node: the members that may be its own, since no remaining control plane has them. */
  unclaimed: EtcdMember[];
  /** The member status from each remaining control plane, by address; an error if there is none. */
  staying: { address: string; etcd: EtcdAnswer }[];
}

/** Whether this member may leave. The remaining members must form a quorum: healthy members, counted against the number of members afterwards. */
export function quorumFindings({ leaving, name, members, staying }: EtcdReport): Finding[] {
  if (leaving === undefined) return [];
  const through = staying.map(({ address }) => address).join(",");
  const findings = memberFindings(
    members.filter(({ id }) => id !== leaving),
    staying[0]?.address ?? through,
  );
  const sick = staying.flatMap(({ address, etcd }) => {
    const why = whyUnhealthy(etcd);
    return why === undefined ? [] : [`${address}: ${why}`];
  });
  const {
    holds,
    left: alive,
    of,
    needed,
  } = quorumWithout(
    leaving,
    "for good",
    members,
    staying.map(({ etcd }) => etcd),
  );
  if (!holds) {
    findings.push({
      code: "etcd-quorum",
      problem:
        `without ${name}, etcd would lose its majority: ${alive} of the ${of} remaining members are healthy, ${needed} needed` +
        (sick.length === 0 ? "" : ` (${sick.join("; ")})`),
      hint:
        of === 0
          ? "The last member of etcd is the cluster: destroy the cluster, or add a control plane first."
          : `Bring the others back first: ${talosctlCommand("etcd members", through)} and ${talosctlCommand("etcd status", through)} show them.`,
      mayPass: true,
    });
  }
  return findings;
}
