import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { etcdMinor } from "../../../talos/etcdVersions.ts";
import { etcdRelease, requestedMinor } from "./etcdRelease.ts";
import { followVersions } from "./etcdVersion.ts";
import type { EtcdData } from "../machine/disk.ts";
import { CallFailure } from "../machine/failure.ts";
import type { Machine } from "../machine/machine.ts";

export interface EtcdMember {
  id: string;
  hostname: string;
  peerUrls: string[];
  clientUrls: string[];
  isLearner: boolean;
}

export function newMemberId(): string {
  return randomBytes(8).readBigUInt64BE().toString();
}

/** etcd has reported its storage version since 3.6; for older releases, Talos uses the server version (v1alpha1_server.go EtcdStatus). */
function storageVersion(release: string, clusterVersion: string | undefined): string {
  const minor = etcdMinor(release);
  const own = `${String(minor?.major)}.${String(minor?.minor)}`;
  return `${(minor?.minor ?? 0) >= 6 ? (clusterVersion ?? own) : own}.0`;
}

/** etcd as seen by one control plane. Its members are the cluster's nodes with etcd data on their disk. */
export class EtcdView {
  readonly #node: Machine;

  constructor(node: Machine) {
    this.#node = node;
  }

  /** The nodes that hold a member, including those that are switched off. */
  holders(): Machine[] {
    const clusterId = this.#node.config?.clusterId;
    return this.#node.network
      .nodes()
      .filter((node) => node.disk.etcd !== undefined && node.clusterId === clusterId)
      .sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  static readonly serves = (node: Machine): boolean =>
    node.boot?.services.isUp("etcd") === true && !node.faults.has("etcd-member-unhealthy");

  members(): EtcdMember[] {
    const members = this.holders().map((node) => ({
      id: node.disk.etcd?.memberId ?? "0",
      hostname: node.hostname,
      peerUrls: [`https://${node.address}:2380`],
      clientUrls: [`https://${node.address}:2379`],
      isLearner: node.faults.has("etcd-learner"),
    }));
    const neverStarted = this.holders().some((node) => node.faults.has("etcd-member-not-started"));
    return neverStarted
      ? [
          ...members,
          // etcd lists no name and no client URL for a member that has never started.
          { id: "1", hostname: "", peerUrls: ["https://192.0.2.1:2380"], clientUrls: [], isLearner: false },
        ]
      : members;
  }

  /** Whether a majority of the voting members serves. */
  hasQuorum(): boolean {
    const voters = this.members().filter(({ isLearner }) => !isLearner);
    const serving = this.holders().filter(
      (node) => EtcdView.serves(node) && !node.faults.has("etcd-learner"),
    );
    return voters.length > 0 && serving.length > voters.length / 2;
  }

  /** The holders that serve requests. */
  serving(): Machine[] {
    return this.holders().filter(EtcdView.serves);
  }

  /** What the leader does every few seconds. */
  followVersions(): void {
    if (this.hasQuorum()) followVersions(this.serving(), this.holders().length);
  }

  leader(): string {
    if (!this.hasQuorum()) return "0";
    const { network, config } = this.#node;
    const candidates = this.holders().filter(
      (node) => EtcdView.serves(node) && !node.faults.has("etcd-learner"),
    );
    const clusterId = config?.clusterId ?? "";
    const current = candidates.find((node) => node.disk.etcd?.memberId === network.leaders.get(clusterId));
    const leader = (current ?? candidates[0])?.disk.etcd?.memberId ?? "0";
    network.leaders.set(clusterId, leader);
    return leader;
  }

  /** Hands leadership to another member. */
  forfeit(): EtcdMember | undefined {
    const own = this.#node.disk.etcd?.memberId;
    if (this.leader() !== own) return undefined;
    const next = this.holders().find((node) => EtcdView.serves(node) && node !== this.#node);
    if (next?.disk.etcd === undefined) return undefined;
    this.#node.network.leaders.set(this.#node.config?.clusterId ?? "", next.disk.etcd.memberId);
    return this.members().find(({ id }) => id === next.disk.etcd?.memberId);
  }

  removeMember(memberId: string): void {
    this.requireLeader();
    const holder = this.holders().find((node) => node.disk.etcd?.memberId === memberId);
    if (holder === undefined) throw new CallFailure(status.NOT_FOUND, "etcdserver: member not found");
    delete holder.disk.etcd;
    holder.saveDisk();
  }

  alarms(): { memberId: string; alarm: "NOSPACE" | "CORRUPT" }[] {
    return this.holders().flatMap((node) => {
      const memberId = node.disk.etcd?.memberId ?? "0";
      return [
        ...(node.faults.has("etcd-alarm-nospace") ? [{ memberId, alarm: "NOSPACE" as const }] : []),
        ...(node.faults.has("etcd-alarm-corrupt") ? [{ memberId, alarm: "CORRUPT" as const }] : []),
      ];
    });
  }

  /** Disarming only helps once the cause is gone; here, it always is. */
  disarm(): { memberId: string; alarm: "NOSPACE" | "CORRUPT" }[] {
    const alarms = this.alarms();
    for (const node of this.holders()) {
      node.faults.clear("etcd-alarm-nospace");
      node.faults.clear("etcd-alarm-corrupt");
    }
    return alarms;
  }

  /** etcd's revision, as in a snapshot. */
  revision(): number {
    return 1000 + this.members().length;
  }

  requireLeader(): void {
    if (!this.hasQuorum()) throw new CallFailure(status.UNAVAILABLE, "etcdserver: no leader");
  }

  requireLocal(what: string): void {
    if (this.#node.boot?.services.get("etcd")?.state !== "Running") {
      throw new CallFailure(
        status.UNKNOWN,
        `${what}: rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial tcp [::1]:2379: connect: connection refused"`,
      );
    }
  }

  /**
   * `etcdctl downgrade`: the checks and their order match etcd (etcd v3.7.1 server/etcdserver/version/version.go).
   * @returns etcd's cluster version
   */
  downgrade(action: "validate" | "enable" | "cancel", version = ""): string {
    const failed = (what: string): CallFailure =>
      new CallFailure(status.UNKNOWN, `failed to query etcd status: etcdserver: ${what}`);
    const target = action === "cancel" ? undefined : requestedMinor(version);
    this.requireLocal("failed to create etcd client");
    this.requireLeader();
    const data = this.#node.disk.etcd;
    const current = etcdMinor(data?.clusterVersion ?? "") ?? { major: 3, minor: 0 };
    if (action === "cancel") {
      if (data?.downgradeTo === undefined) throw failed("no inflight downgrade job");
      this.#agree((etcd) => delete etcd.downgradeTo);
      return data.clusterVersion ?? "";
    }
    if (target?.major !== current.major || target.minor !== current.minor - 1)
      throw failed("invalid downgrade target version");
    if (data?.downgradeTo !== undefined) throw failed("cluster has a downgrade job in progress");
    if (action === "enable") {
      this.#agree((etcd) => (etcd.downgradeTo = version));
      // etcd's leader checks versions every four seconds; the lab checks sooner.
      void this.#node.boot
        ?.sleep(0.3)
        .then(() => this.followVersions())
        .catch(() => {});
    }
    return data?.clusterVersion ?? "";
  }

  /** A change through raft reaches every serving member. */
  #agree(change: (etcd: EtcdData) => void): void {
    for (const node of this.serving()) {
      if (node.disk.etcd !== undefined) change(node.disk.etcd);
      node.saveDisk();
    }
  }

  status(): object {
    this.requireLocal("failed to query etcd status");
    this.followVersions();
    const version = etcdRelease(this.#node);
    const leader = this.#node.faults.has("etcd-member-unhealthy") ? "0" : this.leader();
    return {
      memberId: this.#node.disk.etcd?.memberId ?? "0",
      protocolVersion: version,
      storageVersion: storageVersion(version, this.#node.disk.etcd?.clusterVersion),
      dbSize: "4194304",
      dbSizeInUse: "2097152",
      leader,
      raftIndex: "4711",
      raftTerm: "3",
      raftAppliedIndex: "4711",
      errors: [
        ...(leader === "0" ? ["etcdserver: no leader"] : []),
        ...this.alarms().map(({ memberId, alarm }) => `memberID:${memberId} alarm:${alarm} `),
      ],
      isLearner: this.#node.faults.has("etcd-learner"),
    };
  }

  /** What the upgrade API of Talos 1.12 and older requires of etcd before it takes a control plane down. */
  validateForUpgrade(): void {
    this.requireLeader();
    const members = this.members();
    if (members.length === 2) {
      throw new CallFailure(
        status.UNKNOWN,
        "error validating etcd for upgrade: etcd member count(2) is insufficient to maintain quorum if upgrade commences",
      );
    }
    const unstarted = members.find(({ hostname }) => hostname === "");
    if (unstarted !== undefined) {
      throw new CallFailure(
        status.UNKNOWN,
        `error validating etcd for upgrade: etcd member ${unstarted.id} is not started, all members must be running to perform an upgrade`,
      );
    }
    const sick = this.holders().find((node) => !EtcdView.serves(node));
    if (sick !== undefined) {
      throw new CallFailure(
        status.UNKNOWN,
        `error validating etcd for upgrade: etcd member ${sick.hostname} is not healthy; all members must be healthy to perform an upgrade`,
      );
    }
  }
}
