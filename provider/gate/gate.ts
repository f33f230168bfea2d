import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { ApplyAnswer, CallOptions, TalosActor } from "../../talos/api/talosClient.ts";
import type { TalosConnection } from "../../talos/api/transport.ts";
import { hostnameOf } from "../../talos/hostname.ts";
import { releaseToInstall } from "../../talos/releaseToInstall.ts";
import type { PlannedAction } from "../../talos/rolloutPlan.ts";
import { backoff } from "../timeouts.ts";
import { NodeRebooted } from "../errors.ts";
import { controlPlaneFindings, etcdConfigureFindings } from "../guards/controlPlane.ts";
import { readControlPlaneHealth, workerFindings } from "../guards/controlPlaneHealth.ts";
import { etcdJoinFindings } from "../guards/etcdJoinFindings.ts";
import { nodeLabel } from "../inputs.ts";
import { joinProblems, waitLimit, type Finding } from "../guards/finding.ts";
import { KubernetesError, type Manifest } from "../kubernetes.ts";
import { approvalFindings, plannedActions } from "../approval.ts";
import { unsealClients, type ConfigurationRequest } from "./sealedClients.ts";
import { acquireClusterLock, type ClusterLock } from "./clusterLock.ts";
import { nodeDeletionFindings, findMachineAtAddress } from "./nodeDeletion.ts";
import { NotRecovered, Refused } from "./refused.ts";
import { formerMemberFindings, etcdLeaveFindings } from "./etcdLeave.ts";
import { requireNoNamesake } from "./namesake.ts";
import type { GateSite } from "./site.ts";
import type { ActionStake, Expected } from "./stake.ts";
import { inQueue } from "./clusterQueue.ts";

/** An action that takes the node down temporarily: its volumes must have detached, and it must not lead etcd. */
const down = { goesDown: true, forfeits: true };

/**
 * The only way to disturb a node or its cluster. Each method checks the current state of the cluster and the node, then acts, or throws `Refused` (or
 * `NodeRebooted`) with nothing done. An earlier step's check doesn't count.
 */
export class Gate {
  readonly #site: GateSite;
  #mine = false;
  #lock: ClusterLock | undefined;
  /** A reset was requested here, whether or not the answer arrived. */
  #reset = false;

  constructor(site: GateSite) {
    this.#site = site;
  }

  /**
   * Runs `work` while nobody else disturbs a control plane of the cluster: no other operation of this process, no other process of this machine and, with a
   * kubeconfig, no run on another machine. Every action on a control plane holds the lock. A caller with several actions, such as a drain, a reboot and the
   * wait for the node to return, runs all of them under one lock.
   */
  async underLock<T>(work: () => Promise<T>): Promise<T> {
    const { node, cluster, signal, acting, tell } = this.#site;
    if (this.#mine || node.role !== "controlplane") return work();
    const { hostLock } = unsealClients(acting);
    return inQueue(cluster, signal, async () => {
      const endHost = await hostLock?.(cluster, signal, () =>
        tell("waiting: another process on this machine is working on this cluster"),
      );
      try {
        this.#lock = await this.#acquireClusterLock();
        this.#mine = true;
        return await work();
      } finally {
        this.#mine = false;
        await this.#lock?.end();
        this.#lock = undefined;
        endHost?.();
      }
    });
  }

  async #acquireClusterLock(): Promise<ClusterLock | undefined> {
    const { acting, kubeconfig, kubeconfigForLock, tell } = this.#site;
    const given = kubeconfig ?? (await kubeconfigForLock?.());
    if (given === undefined) return undefined;
    try {
      const lock = await acquireClusterLock(await unsealClients(acting).kubernetes(given), this.#site);
      if (lock === undefined || !("problem" in lock)) return lock;
      throw new Refused([lock]);
    } catch (error) {
      const silent = error instanceof Refused || error instanceof KubernetesError;
      if (kubeconfig !== undefined || !silent) throw error;
      tell(`no lock in Kubernetes: ${error.message}`);
      return undefined;
    }
  }

  /**
   * What blocks an action now. Throws `NodeRebooted` if the node is no longer in the expected boot.
   * @param goesDown the action takes down the machine or its kubelet, so its volumes must have detached
   */
  async look(stake: ActionStake, goesDown = false): Promise<readonly Finding[]> {
    const volumes = goesDown ? this.#site.volumes?.() : undefined;
    const [findings, left = []] = await Promise.all([
      this.#clusterFindings(stake),
      volumes,
      this.#requireSameBoot(stake),
    ]);
    return [...findings, ...left];
  }

  /** Throws `Refused` if a plan must be approved and the approved one doesn't include this action for the node. */
  requireApproval(action: PlannedAction): void {
    const findings = approvalFindings(this.#site.approval, this.#site.node.name, action);
    if (findings.length > 0) throw new Refused(findings);
  }

  /** LifecycleService.Upgrade: runs the installer; the node keeps running. @returns its exit code */
  async install(
    image: string,
    onMessage: (text: string) => void,
    expected: Expected,
    call: CallOptions,
  ): Promise<number | undefined> {
    return this.#act({ kind: "restart", ...expected }, (talos) => talos.install(image, onMessage, call));
  }

  /** MachineService.Upgrade: installs and reboots. @returns the ID in its events */
  async upgradeLegacy(
    request: { image: string; preserve: boolean },
    expected: Expected,
    call: CallOptions,
  ): Promise<string> {
    return this.#act({ kind: "restart", ...expected }, (talos) => talos.upgradeLegacy(request, call), down);
  }

  /** Moves etcd leadership away, checks, and reboots, so that the node goes down as a follower. */
  async reboot(expected: Expected, call: CallOptions): Promise<void> {
    await this.#act({ kind: "restart", ...expected }, (talos) => talos.reboot(call), down);
  }

  /** After an upgrade that failed on the node and left its services stopped: there is nothing left to take from the cluster. */
  async rebootStopped(expected: Expected, call: CallOptions): Promise<void> {
    await this.#requireSameBoot({ kind: "restart", ...expected });
    await this.#dial((talos) => talos.reboot(call));
  }

  /** MachineService.Reset. @returns the ID in its events */
  async reset(expected: Expected & { etcdMember?: string | undefined }, call: CallOptions): Promise<string> {
    const onAct = (): void => {
      this.#reset = true;
      expected.onAct?.();
    };
    return this.#act({ kind: "leave", ...expected, onAct }, (talos) => talos.reset(call), { goesDown: true });
  }

  /**
   * Lets etcd downgrade every member's data to an older minor release, `3.6`. It takes nothing down but affects the whole cluster, so the control planes are
   * checked as before a restart.
   */
  async enableEtcdDowngrade(version: string, call: CallOptions): Promise<void> {
    await this.#act({ kind: "convert" }, (talos) => talos.etcdDowngrade("enable", version, call));
  }

  /** Cancels the downgrade, so that the data follows the servers again. */
  async cancelEtcdDowngrade(call: CallOptions): Promise<void> {
    await this.#act({ kind: "convert" }, (talos) => talos.etcdDowngrade("cancel", undefined, call));
  }

  /**
   * Deletes the Node object if the machine was reset, or if Kubernetes reports it NotReady and nothing answers at its address. Both are checked here.
   * @param recorded the state says the machine was reset; this gate knows its own resets, and the Node object shows those of an earlier run
   */
  async deleteNode(name: string, recorded: boolean): Promise<void> {
    const { acting, kubeconfig, node, reader, clock, timeouts, signal, tell } = this.#site;
    this.requireApproval("leaving");
    if (kubeconfig === undefined) throw new KubernetesError("there is no kubeconfig", 400);
    const kubernetes = await unsealClients(acting).kubernetes(kubeconfig);
    const call = { deadlineMs: timeouts.probeMs * 2, signal };
    const end = clock.now() + timeouts.certificateMs;
    const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
    for (;;) {
      const object = await kubernetes.node(name);
      if (object === undefined) return;
      const there = await findMachineAtAddress(reader(node.node), call);
      const findings = nodeDeletionFindings(node.node, object, there, this.#reset || recorded);
      if (findings.length === 0) return kubernetes.deleteNode(name);
      // Kubernetes takes most of a minute to notice that a kubelet is gone.
      if (clock.now() >= end || findings.some(({ mayPass }) => !mayPass)) throw new Refused(findings);
      tell(`waiting: ${joinProblems(findings)}`);
      await clock.sleep(pause(), signal);
    }
  }

  /** Applies objects to the cluster in order, under the cluster lock. */
  async applyManifests(manifests: readonly Manifest[]): Promise<void> {
    const { acting, kubeconfig } = this.#site;
    if (kubeconfig === undefined) throw new KubernetesError("there is no kubeconfig", 400);
    await this.underLock(async () => {
      const kubernetes = await unsealClients(acting).kubernetes(kubeconfig);
      for (const manifest of manifests) {
        const taken = await this.#lock?.hold();
        if (taken !== undefined) throw new Refused([taken]);
        await kubernetes.applyManifest(manifest);
      }
    });
  }

  /** Dry run: asks the node what a configuration would do. Changes nothing. */
  async tryConfiguration(data: string, call: CallOptions): Promise<ApplyAnswer> {
    return this.#dial((talos) => talos.applyConfiguration({ data, mode: "AUTO", dryRun: true }, call));
  }

  /** Applies a configuration in a mode that doesn't reboot, and waits until the control planes have recovered. */
  async applyConfiguration(
    { disturbs, changes = true, drained = false, as = "configuration", ...request }: ConfigurationRequest,
    call: CallOptions,
  ): Promise<ApplyAnswer> {
    if (changes) this.requireApproval(as);
    const apply = (talos: TalosActor): Promise<ApplyAnswer> => talos.applyConfiguration(request, call);
    return disturbs ? this.#act({ kind: "configure", as }, apply, { goesDown: drained }) : this.#dial(apply);
  }

  /**
   * Gives a machine in maintenance mode its first configuration, without client authentication: it is not part of the cluster yet. If etcd still lists a
   * control plane as a member, it was one before: its machine was reinstalled, or another one has its address. No etcd joins that can't start next to the running one, and no
   * machine under the name of a Ready node.
   */
  async applyFirstConfiguration(data: string, call: CallOptions): Promise<ApplyAnswer> {
    const { connectionTo, node, timeouts, signal } = this.#site;
    this.requireApproval("configuration");
    const look = { deadlineMs: timeouts.probeMs * 2, signal };
    const findings = node.role === "controlplane" ? await formerMemberFindings(this.#site, look) : [];
    if (findings.length > 0) throw new Refused(findings);
    const anonymous: TalosConnection = { ...connectionTo(node.node), credentials: "maintenance" };
    if (node.role === "controlplane") await this.#etcdCanJoin(data, anonymous, look);
    await requireNoNamesake(this.#site, hostnameOf(data));
    return this.#dial((talos) => talos.applyFirstConfiguration(data, call), node.node, anonymous);
  }

  /** The checks before the deployment may not have seen this machine: it was off, or an earlier run stopped before it. */
  async #etcdCanJoin(data: string, anonymous: TalosConnection, call: CallOptions): Promise<void> {
    const { node, controlPlanes, reader } = this.#site;
    const joining = { node, controlPlanes, reader, installs: releaseToInstall(data) };
    const look = (machine: TalosActor): Promise<Finding[]> => etcdJoinFindings({ ...joining, machine }, call);
    const findings = await this.#dial(look, node.node, anonymous);
    const label = nodeLabel(node);
    if (findings.length > 0)
      throw new Refused(findings.map((one) => ({ ...one, problem: `${label}: ${one.problem}` })));
  }

  /** Starts a stopped service; this takes nothing from the cluster. */
  async startService(id: string, call: CallOptions): Promise<void> {
    await this.#dial((talos) => talos.startService(id, call));
  }

  async #act<T>(
    stake: ActionStake,
    action: (talos: TalosActor) => Promise<T>,
    { goesDown = false, forfeits = false }: { goesDown?: boolean; forfeits?: boolean } = {},
  ): Promise<T> {
    this.requireApproval((stake.kind === "configure" ? stake.as : undefined) ?? plannedActions[stake.kind]);
    return this.underLock(async () => {
      if (forfeits) await this.#moveEtcdLeaderAway();
      await this.require(stake, goesDown);
      const before = stake.kind === "configure" ? await this.#healthAfterChange() : [];
      const taken = await this.#lock?.hold();
      if (taken !== undefined) throw new Refused([taken]);
      if ("onAct" in stake) stake.onAct?.();
      const done = await this.#dial(action);
      if (stake.kind === "configure") await this.#awaitRecovery(before);
      return done;
    });
  }

  /** A requested election takes milliseconds; an unrequested one leaves etcd without a leader for a second or more. */
  async #moveEtcdLeaderAway(): Promise<void> {
    const { node, reader, timeouts, signal } = this.#site;
    if (node.role !== "controlplane") return;
    const call = { deadlineMs: timeouts.probeMs * 2, signal };
    try {
      const { leader, memberId } = await reader(node.node).etcdStatus(call);
      if (leader !== memberId) return;
      if ((await reader(node.node).etcdMembers(call)).length > 1)
        await this.#dial((talos) => talos.forfeitLeadership(call));
    } catch (error) {
      // Best effort: the check that follows judges etcd's health.
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    }
  }

  /** After a configuration change: waits until the node and its control plane are healthy, and stay so briefly. Problems from before the change don't count. */
  async #awaitRecovery(before: readonly Finding[]): Promise<void> {
    const { clock, timeouts, signal, tell } = this.#site;
    const begun = clock.now();
    const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
    // A deadline instead of a summed duration: rounding can leave the sum of the pauses just short, and no pause is small enough to make up for it.
    let steadyAt: number | undefined;
    for (;;) {
      const findings = this.#withoutRestarting(await this.#healthAfterChange(), begun).filter(
        ({ problem }) => !before.some((one) => one.problem === problem),
      );
      const now = clock.now();
      steadyAt = findings.length === 0 ? (steadyAt ?? now + timeouts.steadyMs) : undefined;
      if (steadyAt !== undefined && now >= steadyAt) return;
      if (steadyAt === undefined && now - begun >= timeouts.recoveryMs)
        throw new NotRecovered(findings, now - begun);
      if (findings.length > 0) tell(`recovering: ${joinProblems(findings)}`);
      const left = steadyAt === undefined ? Infinity : steadyAt - now;
      await clock.sleep(Math.min(pause(), left), signal);
    }
  }

  #withoutRestarting(findings: readonly Finding[], begun: number): readonly Finding[] {
    const { clock, timeouts } = this.#site;
    return clock.now() - begun < timeouts.serviceMs
      ? findings
      : findings.filter(({ restarting }) => !restarting);
  }

  async #healthAfterChange(): Promise<readonly Finding[]> {
    const { node, controlPlanes, reader, timeouts, signal } = this.#site;
    const call = { deadlineMs: timeouts.probeMs * 2, signal };
    if (node.role !== "controlplane") return workerFindings(node.node, reader(node.node), call);
    // No node is exempt here: the wait is for this node's own health.
    const health = await readControlPlaneHealth(
      undefined,
      [...new Set([node.node, ...controlPlanes])],
      reader,
      call,
    );
    return health.runs ? [...health.findings, ...health.restarting] : [];
  }

  /** Checks until nothing blocks the action; transient findings get some time to clear. Throws `Refused`. */
  async require(stake: ActionStake, goesDown = false): Promise<void> {
    const { clock, timeouts, signal, tell } = this.#site;
    const begun = clock.now();
    const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs);
    for (;;) {
      const findings = this.#withoutRestarting(await this.look(stake, goesDown), begun);
      if (findings.length === 0) return;
      const left = begun + waitLimit(findings, timeouts) - clock.now();
      if (left <= 0) throw new Refused(findings);
      tell(`waiting: ${joinProblems(findings)}`);
      await clock.sleep(Math.min(pause(), left), signal);
    }
  }

  async #clusterFindings(stake: ActionStake): Promise<Finding[]> {
    const { node, controlPlanes, reader, timeouts, signal } = this.#site;
    const call = { deadlineMs: timeouts.probeMs * 2, signal };
    if (stake.kind === "configure") {
      const own = node.role === "controlplane" ? [node.node] : [];
      const asked = [...new Set([...own, ...controlPlanes])];
      const health = await readControlPlaneHealth(node.node, asked, reader, call);
      if (!health.runs || asked.length === 0) return [];
      const etcd = await etcdConfigureFindings(this.#site, health.peers, call);
      return [...health.findings, ...health.restarting, ...etcd];
    }
    if (stake.kind === "leave" && node.role === "controlplane")
      return etcdLeaveFindings(this.#site, stake.etcdMember, call);
    return controlPlaneFindings(this.#site, call);
  }

  async #requireSameBoot(stake: ActionStake): Promise<void> {
    if (stake.kind === "configure" || !("bootId" in stake)) return;
    const { node, reader, timeouts, signal } = this.#site;
    const bootId = await reader(node.node)
      .bootId({ deadlineMs: timeouts.probeMs, signal })
      .catch((error: unknown) => {
        throw isTransient(error) ? new NodeRebooted("the node stopped answering") : error;
      });
    if (bootId !== stake.bootId) throw new NodeRebooted("the node has rebooted");
    // Neither the expected boot nor another one: the boot is unknown.
    if (bootId === undefined) {
      throw new Refused([
        {
          code: "boot-id-unknown",
          problem: "the node does not report its boot ID, so a reboot could not be detected",
          hint: "The client certificate needs the role os:admin.",
          mayPass: false,
        },
      ]);
    }
  }

  /** Opens a new connection for each action: an existing one may be half open. */
  async #dial<T>(
    action: (talos: TalosActor) => Promise<T>,
    address = this.#site.node.node,
    connection = this.#site.connectionTo(address),
  ): Promise<T> {
    const connect = await unsealClients(this.#site.acting).talos();
    const talos = connect(connection);
    try {
      return await action(talos);
    } finally {
      talos.close();
    }
  }
}
