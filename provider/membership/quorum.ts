import type { EtcdMember } from "../../talos/api/talosClient.ts";
import { quorumWithout, whyUnhealthy, type EtcdAnswer } from "../gate/quorum.ts";
import { memberFindings } from "../guards/etcd.ts";
import type { Finding } from "../guards/finding.ts";
import { talosctlCommand } from "../talosctl.ts";

/** etcd as it is seen before one of its members leaves it for good. */
export interface EtcdReport {
  /** The member that leaves; undefined where it is none (any more). */
  leaving: string | undefined;
  /** Name of the node that leaves. */
  name: string;
  members: EtcdMember[];
  /** What each control plane that stays says of its member, by address; an error where it says nothing. */
  staying: { address: string; etcd: EtcdAnswer }[];
}

/**
 * May this member leave? Those that are left have to be a quorum by themselves: healthy members, counted against the number that there will
 * be afterwards.
 */
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
