import type { ErrorCode } from "../../talos/errorCodes.ts";
import type { EtcdAlarm, EtcdMember, EtcdStatus, MachineStatus } from "../../talos/api/talosClient.ts";
import { lacksOnlyServices } from "../facts.ts";
import { quorumWithout, type LeaveKind } from "../gate/quorum.ts";
import { removeMemberCommand, talosctlCommand } from "../talosctl.ts";
import { hintForUnanswered } from "../unansweredHint.ts";
import type { Finding } from "./finding.ts";

/** One control plane's report, or why there is none. */
export type PeerReport = { address: string } & (
  | { error: string; /** It is in maintenance mode. */ waits?: boolean }
  | { error?: never; machine: MachineStatus; etcd: EtcdStatus | { error: string } }
);

/** The control plane as seen just before one of its nodes goes down. */
export interface ControlPlaneReport {
  /** The control plane to be disturbed; empty for a worker. */
  self: string;
  members: EtcdMember[];
  alarms: EtcdAlarm[];
  /** The control plane that reported the members. Default: the one to be disturbed. */
  through?: string;
  /** Services that come with the image: a control plane where only they fail is functional, and its own upgrade fixes them. */
  imageServices: readonly string[];
  /** Every control plane, this node included. */
  peers: PeerReport[];
}

/** Whether this node may reboot. From Talos 1.13 on the server checks none of this (siderolabs/talos v1.13 internal/app/lifecycle/lifecycle.go). */
export function etcdFindings(report: ControlPlaneReport): Finding[] {
  return [
    ...peerFindings({ ...report, peers: report.peers.map((peer) => withoutListedErrors(peer, report)) }),
    ...memberFindings(report.members, reportingControlPlane(report)),
    ...membershipFindings(report),
    ...alarmFindings(report),
    ...quorumFindings(report, "for a while"),
  ];
}

/** etcd's objections to a configuration change. The node stays up, so a stray member is reported only if it would cost the majority. */
export function etcdAtRiskFindings(report: ControlPlaneReport): Finding[] {
  const votes = quorumFindings(report, "at risk");
  return [
    ...memberFindings(report.members, reportingControlPlane(report)),
    ...alarmFindings(report),
    ...(votes.length === 0 ? [] : [...membershipFindings(report), ...votes]),
  ];
}

/** A control plane whose etcd answers, the same one for all findings so that shared findings are reported once; otherwise the one that reported the members. */
function reportingControlPlane({
  through,
  peers,
  self,
}: Pick<ControlPlaneReport, "through" | "peers" | "self">): string {
  const answering = peers.filter(hasEtcd).map(({ address }) => address);
  return answering.sort()[0] ?? through ?? self;
}

/** Members that don't vote yet. */
export function memberFindings(members: readonly EtcdMember[], through: string): Finding[] {
  return members.flatMap(({ id, hostname, addresses, learner }): Finding[] => {
    if (hostname === "") {
      return [
        {
          code: "etcd-member-not-started",
          problem: `etcd member ${addresses.join(", ") || id} was added and has never started`,
          hint: `Start it, or remove it with ${removeMemberCommand(id, through)}.`,
          mayPass: true,
        },
      ];
    }
    if (!learner) return [];
    return [
      {
        code: "etcd-learner",
        problem: `etcd member ${hostname} is a learner`,
        hint: `Wait until it has caught up and votes. ${talosctlCommand("etcd members", through)} shows it.`,
        mayPass: true,
      },
    ];
  });
}

/** None of them clears by itself. */
export function alarmFindings(
  report: Pick<ControlPlaneReport, "members" | "alarms" | "peers" | "self" | "through">,
): Finding[] {
  const { members, alarms } = report;
  return alarms.map(({ memberId, alarm }) => ({
    code: "etcd-alarm" as const,
    problem: `etcd alarm ${alarm} at ${members.find(({ id }) => id === memberId)?.hostname ?? `member ${memberId}`}`,
    hint:
      alarm === "NOSPACE"
        ? `Free space with ${talosctlCommand("etcd defrag", addressOf(memberId, report))}, then ${talosctlCommand("etcd alarm disarm", addressOf(memberId, report))}.`
        : `Recover that member before anything else: its data differs from the others' (${talosctlCommand("etcd status", addressOf(memberId, report))}).`,
    mayPass: false,
  }));
}

/** Alarms and learners are reported once, from the alarm list and the member list. A member's other errors are reported as they are. */
function withoutListedErrors(peer: PeerReport, report: ControlPlaneReport): PeerReport {
  if (!hasEtcd(peer)) return peer;
  const { memberId, errors, learner } = peer.etcd;
  const onlyAlarms = withoutAlarms(peer.etcd, report).errors.length === 0;
  const isListed = report.members.some((member) => member.id === memberId && member.learner);
  return {
    ...peer,
    etcd: { ...peer.etcd, errors: onlyAlarms ? [] : errors, learner: learner && !isListed },
  };
}

/** Every member's status repeats the alarms of all members (etcd, server/etcdserver/api/v3rpc/maintenance.go). The member still votes. */
function withoutAlarms<E extends EtcdStatus>(etcd: E, { alarms }: Pick<ControlPlaneReport, "alarms">): E {
  const isAlarm = (error: string): boolean =>
    error.startsWith("memberID:") && alarms.some(({ alarm }) => error.includes(`alarm:${alarm}`));
  return { ...etcd, errors: etcd.errors.filter((error) => !isAlarm(error)) };
}

/** Problems that each control plane reports about itself; for the node itself, only etcd counts. */
export function peerFindings({
  peers,
  self,
  imageServices,
}: Pick<ControlPlaneReport, "peers" | "self" | "imageServices">): Finding[] {
  const findings: Finding[] = [];
  const wait = (code: ErrorCode, problem: string, hint: string): void => {
    findings.push({ code, problem, hint, mayPass: true, recovers: true });
  };
  for (const peer of peers) {
    findings.push(...peerMachineFindings(peer, self, imageServices));
    if (peer.error !== undefined) continue;
    if ("error" in peer.etcd) {
      wait(
        "etcd-unreachable",
        `etcd on ${peer.address} does not answer: ${peer.etcd.error}`,
        `Check ${talosctlCommand("service etcd", peer.address)}.`,
      );
      continue;
    }
    if (peer.etcd.errors.length > 0) {
      wait(
        "etcd-errors",
        `etcd on ${peer.address} reports ${peer.etcd.errors.join(", ")}`,
        `Check ${talosctlCommand("etcd status", peer.address)}.`,
      );
    }
    if (peer.etcd.leader === "0") {
      wait(
        "etcd-no-leader",
        `etcd on ${peer.address} has no leader`,
        `Wait for an election, or check ${talosctlCommand("etcd status", peer.address)}.`,
      );
    }
    if (peer.etcd.learner)
      wait("etcd-learner", `etcd on ${peer.address} is a learner`, "Wait until it has caught up and votes.");
  }
  return findings;
}

/** Machine problems of each control plane; none for the node itself if it answers. */
export function peerMachineFindings(
  peer: PeerReport,
  self: string | undefined,
  imageServices: readonly string[],
): Finding[] {
  if (peer.error !== undefined) {
    return [
      {
        code: "control-plane-down",
        problem:
          peer.waits === true
            ? `control plane ${peer.address} is in maintenance mode, without a configuration`
            : `control plane ${peer.address} is down: ${peer.error}`,
        hint: `${peer.waits === true ? "Add a new one in a `pulumi up` of its own, before this rollout or after it." : hintForUnanswered(peer.error)} Only one control plane may be down at a time.`,
        mayPass: true,
        recovers: false,
      },
    ];
  }
  const { stage, ready, unmet } = peer.machine;
  if (
    peer.address === self ||
    (stage === "running" && (ready || lacksOnlyServices(peer.machine, imageServices)))
  )
    return [];
  const why = unmet.map(({ name, reason }) => `${name} ${reason}`.trim()).join(", ");
  return [
    {
      code: "control-plane-not-ready",
      problem: `control plane ${peer.address} is ${stage}, not ready${why === "" ? "" : ` (${why})`}`,
      hint: `Only one control plane may be down at a time: wait until it is ready. ${talosctlCommand("services", peer.address)} shows what it waits for.`,
      mayPass: true,
      recovers: true,
    },
  ];
}

/** Control planes and members must be the same machines. Members are matched by ID: their addresses may be on another network. */
function membershipFindings(report: ControlPlaneReport): Finding[] {
  const { members, peers } = report;
  const through = reportingControlPlane(report);
  const ids = new Map(
    peers.flatMap((peer) => (hasEtcd(peer) ? [[peer.etcd.memberId, peer.address] as const] : [])),
  );
  const findings: Finding[] = [];
  for (const [id, address] of ids) {
    if (!members.some((member) => member.id === id)) {
      findings.push({
        code: "etcd-not-a-member",
        problem: `control plane ${address} is not a member of this etcd cluster`,
        hint: `Let it join first. ${talosctlCommand("etcd members", through)} shows the members.`,
        mayPass: true,
      });
    }
  }
  // While a control plane doesn't answer, any unmatched member may be its own.
  if (ids.size < peers.length) return findings;
  for (const member of members.filter(({ id, hostname }) => hostname !== "" && !ids.has(id))) {
    findings.push({
      code: "etcd-unknown-member",
      problem: `etcd member ${member.hostname} does not run on any of the control planes ${[...ids.values()].join(", ")}`,
      hint: `Add its control plane to the settings, or remove the member with ${removeMemberCommand(member.id, through)}.`,
      mayPass: false,
      stray: true,
    });
  }
  return findings;
}

/** Whether a majority would remain. */
function quorumFindings(report: ControlPlaneReport, way: LeaveKind): Finding[] {
  const { self, members, peers } = report;
  const own = peers.find(({ address }) => address === self);
  const going = own !== undefined && hasEtcd(own) ? own.etcd.memberId : undefined;
  const others = peers.flatMap((peer) =>
    peer.address !== self && peer.error === undefined
      ? ["error" in peer.etcd ? peer.etcd : withoutAlarms(peer.etcd, report)]
      : [],
  );
  const { holds, left, of, needed } = quorumWithout(going, way, members, others);
  if (holds) return [];
  const learns = members.some(({ learner }) => learner);
  const isPair = of === 2 && !learns && way === "for a while" && self !== "";
  return [
    {
      code: "etcd-quorum",
      problem:
        self === ""
          ? `etcd has no majority: ${left} of ${of} members are healthy, ${needed} needed`
          : `etcd would lose its majority: ${left} of ${of} members would remain healthy, ${needed} needed`,
      hint: isPair
        ? "A cluster of two control planes cannot lose one: add a third (or go back to one) first."
        : learns
          ? "Wait until the learner votes, and bring back the members that are down."
          : "Bring the other members back first.",
      // Two members don't become three by waiting; with more, another finding names the missing member and how long to wait.
      mayPass: !isPair,
      votes: true,
      recovers: true,
    },
  ];
}

/** The address of a member if its control plane reports it; otherwise the control plane that reported the members. */
function addressOf(memberId: string, report: Pick<ControlPlaneReport, "peers" | "self" | "through">): string {
  const own = report.peers.find((peer) => hasEtcd(peer) && peer.etcd.memberId === memberId);
  return own?.address ?? reportingControlPlane(report);
}

function hasEtcd(peer: PeerReport): peer is Extract<PeerReport, { error?: never }> & { etcd: EtcdStatus } {
  return peer.error === undefined && !("error" in peer.etcd);
}
