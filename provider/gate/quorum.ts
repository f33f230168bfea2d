import type { EtcdMember, EtcdStatus } from "../../talos/api/talosClient.ts";

/** The etcd status from one control plane, or why there is none. */
export type EtcdAnswer = EtcdStatus | { error: string };

/** etcd's quorum without one member. */
export interface Quorum {
  /** Healthy voters without the leaving one. */
  left: number;
  /** Voters they are counted against. */
  of: number;
  needed: number;
  holds: boolean;
}

/**
 * `for a while`: the member comes back, so it still counts as a voter. `at risk`: it stays, but a change may harm it; with two members the other one must be
 * healthy, since two never have a majority without one. `for good`: the remaining members must form a quorum by themselves.
 */
export type LeaveKind = "for a while" | "at risk" | "for good";

/**
 * The one quorum rule for upgrades, configurations and removals: is there a majority without this member?
 * @param going the leaving member; undefined if the node is not a member
 */
export function quorumWithout(
  going: string | undefined,
  way: LeaveKind,
  members: readonly EtcdMember[],
  answers: readonly EtcdAnswer[],
): Quorum {
  const healthy = new Set(
    answers.flatMap((etcd) => (whyUnhealthy(etcd) === undefined ? [memberIdOf(etcd)] : [])),
  );
  const voters = members.filter(({ learner }) => !learner);
  const rest = voters.filter(({ id }) => id !== going);
  const left = rest.filter(({ id }) => healthy.has(id)).length;
  const of = way === "for good" ? rest.length : voters.length;
  const needed = way === "at risk" && going !== undefined && of === 2 ? 1 : Math.floor(of / 2) + 1;
  // A single control plane has no majority to lose: its cluster is down during the reboot either way.
  const alone = way !== "for good" && voters.length <= 1;
  return { left, of, needed, holds: alone || left >= needed };
}

/** Why a member can't be counted on; undefined if it can. */
export function whyUnhealthy(etcd: EtcdAnswer): string | undefined {
  if ("error" in etcd) return etcd.error;
  if (etcd.errors.length > 0) return etcd.errors.join(", ");
  if (etcd.leader === "0") return "it knows no leader";
  return etcd.learner ? "it is a learner" : undefined;
}

function memberIdOf(etcd: EtcdAnswer): string {
  return "error" in etcd ? "" : etcd.memberId;
}
