import type { EtcdAlarm, EtcdMember, EtcdStatus, MachineStatus } from "../../talos/api/talosClient.ts";
import { lacksOnly } from "../facts.ts";
import { quorumWithout } from "../gate/quorum.ts";
import { removeMember, talosctl } from "../talosctl.ts";
import { adviceForUnanswered } from "../unanswered.ts";
import type { Finding } from "./finding.ts";

/** What one control plane says of itself, or why it says nothing. */
export type PeerReport = { address: string } & (
  { error: string } | { error?: never; machine: MachineStatus; etcd: EtcdStatus | { error: string } }
);

/** The control plane as seen just before one of its nodes goes down. */
export interface ControlPlaneReport {
  /** The node that is to be upgraded. */
  self: string;
  members: EtcdMember[];
  alarms: EtcdAlarm[];
  /** Services that come with the image: a control plane where only they fail does its work, and is mended when its turn comes. */
  mended: readonly string[];
  /** Every control plane, this node included. */
  peers: PeerReport[];
}

/**
 * May this node leave for a reboot? From Talos 1.13 on the server checks none of this (siderolabs/talos v1.13
 * internal/app/lifecycle/lifecycle.go).
 */
export function etcdFindings(report: ControlPlaneReport): Finding[] {
  const findings: Finding[] = [];
  const wait = (problem: string, hint: string): void => {
    findings.push({ problem, hint, mayPass: true });
  };
  const name = (id: string): string =>
    report.members.find((member) => member.id === id)?.hostname ?? `member ${id}`;

  findings.push(...peerFindings(report).filter(({ problem }) => !tellsAlarm(problem, report)));

  for (const member of report.members) {
    if (member.hostname === "") {
      wait(
        `etcd member ${member.addresses.join(", ") || member.id} was added and has never started`,
        `Start it, or remove it with ${removeMember(member.id, through(report))}.`,
      );
    } else if (member.learner) {
      wait(`etcd member ${member.hostname} is a learner`, "Wait until it has caught up and votes.");
    }
  }
  findings.push(...membershipFindings(report));
  for (const { memberId, alarm } of report.alarms) {
    findings.push({
      problem: `etcd alarm ${alarm} at ${name(memberId)}`,
      hint:
        alarm === "NOSPACE"
          ? `Free space with ${talosctl("etcd defrag", addressOf(memberId, report))}, then ${talosctl("etcd alarm disarm", addressOf(memberId, report))}.`
          : "Recover that member before anything else: its data differs from the others'.",
      mayPass: false,
    });
  }
  findings.push(...quorumFindings(report));
  return findings;
}

/** Each member's status repeats the alarms of all (etcd, server/etcdserver/api/v3rpc/maintenance.go); they are told once, below. */
function tellsAlarm(problem: string, { alarms }: ControlPlaneReport): boolean {
  return / reports memberID:/.test(problem) && alarms.some(({ alarm }) => problem.includes(`alarm:${alarm}`));
}

/** What stands against each control plane by what it says of itself; of the node itself only its etcd is judged. */
export function peerFindings({
  peers,
  self,
  mended,
}: Pick<ControlPlaneReport, "peers" | "self" | "mended">): Finding[] {
  const findings: Finding[] = [];
  const wait = (problem: string, hint: string, recovers = true): void => {
    findings.push({ problem, hint, mayPass: true, recovers });
  };
  for (const peer of peers) {
    if (peer.error !== undefined) {
      wait(
        `control plane ${peer.address} is down: ${peer.error}`,
        `${adviceForUnanswered(peer.error)} Only one control plane may be down at a time.`,
        false,
      );
      continue;
    }
    const works = peer.machine.ready || lacksOnly(peer.machine, mended);
    if (peer.address !== self && !(peer.machine.stage === "running" && works)) {
      const unmet = peer.machine.unmet.map(({ name, reason }) => `${name} ${reason}`.trim()).join(", ");
      wait(
        `control plane ${peer.address} is ${peer.machine.stage}, not ready${unmet === "" ? "" : ` (${unmet})`}`,
        "Only one control plane may be down at a time: wait until it is ready.",
      );
    }
    if ("error" in peer.etcd) {
      wait(
        `etcd on ${peer.address} does not answer: ${peer.etcd.error}`,
        `Look at ${talosctl("service etcd", peer.address)}.`,
      );
      continue;
    }
    if (peer.etcd.errors.length > 0) {
      wait(
        `etcd on ${peer.address} reports ${peer.etcd.errors.join(", ")}`,
        `Look at ${talosctl("etcd status", peer.address)}.`,
      );
    }
    if (peer.etcd.leader === "0") {
      wait(
        `etcd on ${peer.address} knows no leader`,
        `Wait for an election, or look at ${talosctl("etcd status", peer.address)}.`,
      );
    }
    if (peer.etcd.learner)
      wait(`etcd on ${peer.address} is a learner`, "Wait until it has caught up and votes.");
  }
  return findings;
}

/** Control planes and members have to be the same machines. Members are known by id: their addresses may be on another network. */
function membershipFindings({ self, members, peers }: ControlPlaneReport): Finding[] {
  const ids = new Map(
    peers.flatMap((peer) => (hasEtcd(peer) ? [[peer.etcd.memberId, peer.address] as const] : [])),
  );
  const findings: Finding[] = [];
  for (const [id, address] of ids) {
    if (!members.some((member) => member.id === id)) {
      findings.push({
        problem: `control plane ${address} is no member of this etcd`,
        hint: `Let it join first: ${talosctl("etcd members", through({ peers, self }))} shows who has.`,
        mayPass: true,
      });
    }
  }
  // While a control plane gives no answer, any member that is left over may be its own.
  if (ids.size < peers.length) return findings;
  for (const member of members.filter(({ id, hostname }) => hostname !== "" && !ids.has(id))) {
    findings.push({
      problem: `etcd member ${member.hostname} is on none of the control planes ${[...ids.values()].join(", ")}`,
      hint: `Add its control plane to the settings, or remove the member with ${removeMember(member.id, through({ peers, self }))}.`,
      mayPass: false,
      stray: true,
    });
  }
  return findings;
}

/** Would a majority be left? */
function quorumFindings({ self, members, peers }: ControlPlaneReport): Finding[] {
  const own = peers.find(({ address }) => address === self);
  const going = own !== undefined && hasEtcd(own) ? own.etcd.memberId : undefined;
  const others = peers.flatMap((peer) =>
    peer.address !== self && peer.error === undefined ? [peer.etcd] : [],
  );
  const { holds, left, of, needed } = quorumWithout(going, "for a while", members, others);
  if (holds) return [];
  return [
    {
      problem: `etcd would lose its majority: ${left} of ${of} members left, ${needed} needed`,
      hint:
        of === 2
          ? "A cluster of two control planes cannot lose one: add a third (or go back to one) first."
          : "Bring the other members back first.",
      // Two members will not become three; with more of them another finding says who is missing, and for how long.
      mayPass: of > 2,
      votes: true,
      recovers: true,
    },
  ];
}

/** Where a member runs, as far as its control plane says so; else the node itself, which knows the member too. */
function addressOf(memberId: string, { peers, self }: ControlPlaneReport): string {
  return peers.find((peer) => hasEtcd(peer) && peer.etcd.memberId === memberId)?.address ?? self;
}

/** A control plane whose etcd answers: the same for all of them, so that what concerns several is told once. */
function through({ peers, self }: Pick<ControlPlaneReport, "peers" | "self">): string {
  return peers.find(hasEtcd)?.address ?? self;
}

function hasEtcd(peer: PeerReport): peer is Extract<PeerReport, { error?: never }> & { etcd: EtcdStatus } {
  return peer.error === undefined && !("error" in peer.etcd);
}
