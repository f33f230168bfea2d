import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { ApplyAnswer, CallOptions, TalosActor } from "../../talos/api/talosClient.ts";
import { hostnameOf } from "../../talos/hostname.ts";
import type { PlannedAction } from "../../talos/rolloutPlan.ts";
import { backoff } from "../timeouts.ts";
import { NodeRebooted } from "../errors.ts";
import { controlPlaneFindings, etcdConfigureFindings } from "../guards/controlPlane.ts";
import { readControlPlaneHealth, workerFindings } from "../guards/controlPlaneHealth.ts";
import { joinProblems, waitLimit, type Finding } from "../guards/finding.ts";
import { KubernetesError, type Manifest } from "../kubernetes.ts";
import { approvalFindings, plannedActions } from "../approval.ts";
import { unsealClients, type ConfigurationRequest } from "./sealedClients.ts";
import { acquireClusterLock, type ClusterLock } from "./clusterLock.ts";
import { nodeDeletionFindings, findMachineAtAddress } from "./nodeDeletion.ts";
import { NotRecovered, Refused } from "./refused.ts";
import { formerMemberFindings, etcdLeaveFindings } from "./etcdLeave.ts";
import { namesakeFindings } from "./namesake.ts";
import type { GateSite } from "./site.ts";
import type { ActionStake, Expected } from "./stake.ts";
import { inQueue } from "./clusterQueue.ts";

/** An action that takes the node down for a while: its volumes have left it, and it does not lead etcd. */
const down = { goesDown: true, forfeits: true };

/**
 * The only way to disturb a node or its cluster. Each method looks at the cluster and the node as they are at that moment, and then acts, or
 * throws `Refused` (or `NodeRebooted`) with nothing done. What was true one step earlier does not count.
 */
export class Gate {
  readonly #site: GateSite;
  #mine = false;
  #turn: ClusterLock | undefined;
  /** A reset was asked for here, whatever became of the answer. */
  #reset = false;

  constructor(site: GateSite) {
    this.#site = site;
  }

  /**
   * Runs `work` while nobody else disturbs a control plane of the cluster: no other operation of this process, no other process of this machine, and, where
   * there is a kubeconfig, no run on another machine. Each action on a control plane takes a turn. A caller with several actions, such as a drain, a
   * reboot and the wait for the node's return, puts all of them into one turn.
   */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    const { node, cluster, signal, acting, tell } = this.#site;
    if (this.#mine || node.role !== "controlplane") return work();
    const { hostTurn } = unsealClients(acting);
    return inQueue(cluster, signal, async () => {
      const endHost = await hostTurn?.(cluster, signal, () =>
        tell("waiting: another process on this machine is working on this cluster"),
      );
      try {
        this.#turn = await this.#acquireClusterLock();
        this.#mine = true;
        return await work();
      } finally {
        this.#mine = false;
        await this.#turn?.end();
        this.#turn = undefined;
        endHost?.();
      }
    });
  }

  async #acquireClusterLock(): Promise<ClusterLock | undefined> {
    const { acting, kubeconfig, kubeconfigForTurn, tell } = this.#site;
    const given = kubeconfig ?? (await kubeconfigForTurn?.());
    if (given === undefined) return undefined;
    try {
      const turn = await acquireClusterLock(await unsealClients(acting).kubernetes(given), this.#site);
      if (turn === undefined || !("problem" in turn)) return turn;
      throw new Refused([turn]);
    } catch (error) {
      const silent = error instanceof Refused || error instanceof KubernetesError;
      if (kubeconfig !== undefined || !silent) throw error;
      tell(`no lock in Kubernetes: ${error.message}`);
      return undefined;
    }
  }

  /**
   * What stands against an action now. Throws `NodeRebooted` where the node is no longer in the boot that was expected.
   * @param goesDown the action takes the machine or its kubelet down, so that its volumes have to have left
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

  /** Throws `Refused` where a plan has to be approved, and the approved one does not do this to the node. */
  requireApproval(action: PlannedAction): void {
    const findings = approvalFindings(this.#site.approval, this.#site.node.name, action);
    if (findings.length > 0) throw new Refused(findings);
  }

  /** LifecycleService.Upgrade: runs the installer, which leaves the node at work. @returns its exit code */
  async install(
    image: string,
    onMessage: (text: string) => void,
    expected: Expected,
    call: CallOptions,
  ): Promise<number | undefined> {
    return this.#act({ kind: "restart", ...expected }, (talos) => talos.install(image, onMessage, call));
  }

  /** MachineService.Upgrade: installs and reboots. @returns the id that its events carry */
  async upgradeLegacy(
    request: { image: string; preserve: boolean },
    expected: Expected,
    call: CallOptions,
  ): Promise<string> {
    return this.#act({ kind: "restart", ...expected }, (talos) => talos.upgradeLegacy(request, call), down);
  }

  /** Moves etcd's leadership away, looks, and reboots: whoever goes down is a follower. */
  async reboot(expected: Expected, call: CallOptions): Promise<void> {
    await this.#act({ kind: "restart", ...expected }, (talos) => talos.reboot(call), down);
  }

  /** After an upgrade that failed on the node and left its services stopped: nothing more can be taken from the cluster. */
  async rebootStopped(expected: Expected, call: CallOptions): Promise<void> {
    await this.#requireSameBoot({ kind: "restart", ...expected });
    await this.#dial((talos) => talos.reboot(call));
  }

  /** MachineService.Reset. @returns the id that its events carry */
  async reset(expected: Expected & { etcdMember?: string | undefined }, call: CallOptions): Promise<string> {
    const onAct = (): void => {
      this.#reset = true;
      expected.onAct?.();
    };
    return this.#act({ kind: "leave", ...expected, onAct }, (talos) => talos.reset(call), { goesDown: true });
  }

  /**
   * Lets etcd take the data of every member to an older minor release, `3.6`. It takes nothing from the cluster, but holds for all of it: the
   * control planes are looked at as before a restart.
   */
  async enableEtcdDowngrade(version: string, call: CallOptions): Promise<void> {
    await this.#act({ kind: "convert" }, (talos) => talos.etcdDowngrade("enable", version, call));
  }

  /** Lets the data follow the servers again. */
  async cancelEtcdDowngrade(call: CallOptions): Promise<void> {
    await this.#act({ kind: "convert" }, (talos) => talos.etcdDowngrade("cancel", undefined, call));
  }

  /**
   * Takes the Node object away, if the machine was reset, or if Kubernetes says that it is not Ready and nothing answers at its address. Both are looked at here.
   * @param recorded the state tells that the machine was reset; what this gate has reset it knows, and what an earlier run has reset the Node object tells
   */
  async deleteNode(name: string, recorded: boolean): Promise<void> {
    const { acting, kubeconfig, node, reader, clock, patience, signal, tell } = this.#site;
    this.requireApproval("leaving");
    if (kubeconfig === undefined) throw new KubernetesError("there is no kubeconfig", 400);
    const kubernetes = await unsealClients(acting).kubernetes(kubeconfig);
    const call = { deadlineMs: patience.probeMs * 2, signal };
    const end = clock.now() + patience.certificateMs;
    const pause = backoff(clock, patience.pollMs, patience.pollMaxMs);
    for (;;) {
      const object = await kubernetes.node(name);
      if (object === undefined) return;
      const there = await findMachineAtAddress(reader(node.node), call);
      const findings = nodeDeletionFindings(node.node, object, there, this.#reset || recorded);
      if (findings.length === 0) return kubernetes.deleteNode(name);
      // Kubernetes takes the better part of a minute to see that a kubelet is gone.
      if (clock.now() >= end || findings.some(({ mayPass }) => !mayPass)) throw new Refused(findings);
      tell(`waiting: ${joinProblems(findings)}`);
      await clock.sleep(pause(), signal);
    }
  }

  /** Applies objects of the cluster, one after the other, in this cluster's turn. */
  async applyManifests(manifests: readonly Manifest[]): Promise<void> {
    const { acting, kubeconfig } = this.#site;
    if (kubeconfig === undefined) throw new KubernetesError("there is no kubeconfig", 400);
    await this.inTurn(async () => {
      const kubernetes = await unsealClients(acting).kubernetes(kubeconfig);
      for (const manifest of manifests) {
        const taken = await this.#turn?.hold();
        if (taken !== undefined) throw new Refused([taken]);
        await kubernetes.applyManifest(manifest);
      }
    });
  }

  /** Asks the node what a configuration would do. Changes nothing. */
  async tryConfiguration(data: string, call: CallOptions): Promise<ApplyAnswer> {
    return this.#dial((talos) => talos.applyConfiguration({ data, mode: "AUTO", dryRun: true }, call));
  }

  /** Applies a configuration in a mode that does not reboot, and waits until the control planes have recovered from it. */
  async applyConfiguration(
    { disturbs, changes = true, drained = false, as = "configuration", ...request }: ConfigurationRequest,
    call: CallOptions,
  ): Promise<ApplyAnswer> {
    if (changes) this.requireApproval(as);
    const apply = (talos: TalosActor): Promise<ApplyAnswer> => talos.applyConfiguration(request, call);
    return disturbs ? this.#act({ kind: "configure", as }, apply, { goesDown: drained }) : this.#dial(apply);
  }

  /**
   * Gives a machine in maintenance mode its first configuration, without client authentication: it is no part of the cluster yet. A control plane that etcd
   * still counts as a member was one: its machine was reinstalled, or another one has its address. No machine joins under the name of a node that is Ready.
   */
  async applyFirstConfiguration(data: string, call: CallOptions): Promise<ApplyAnswer> {
    const { connectionTo, node, patience, signal } = this.#site;
    this.requireApproval("configuration");
    const look = { deadlineMs: patience.probeMs * 2, signal };
    const findings = node.role === "controlplane" ? await formerMemberFindings(this.#site, look) : [];
    if (findings.length > 0) throw new Refused(findings);
    await this.#noNamesake(hostnameOf(data));
    return this.#dial((talos) => talos.applyFirstConfiguration(data, call), node.node, {
      ...connectionTo(node.node),
      credentials: "maintenance",
    });
  }

  async #noNamesake(name: string | undefined): Promise<void> {
    const { acting, clock, kubeconfig, kubeconfigForTurn, node, patience, signal, tell } = this.#site;
    const given = name === undefined ? undefined : (kubeconfig ?? (await kubeconfigForTurn?.()));
    if (name === undefined || given === undefined) return;
    const end = clock.now() + patience.certificateMs;
    const pause = backoff(clock, patience.pollMs, patience.pollMaxMs);
    try {
      const kubernetes = await unsealClients(acting).kubernetes(given);
      for (;;) {
        const findings = namesakeFindings(node.node, await kubernetes.node(name.toLowerCase()));
        if (findings.length === 0) return;
        if (clock.now() >= end) throw new Refused(findings);
        tell(`waiting: ${joinProblems(findings)}`);
        await clock.sleep(pause(), signal);
      }
    } catch (error) {
      // A cluster that is just being bootstrapped has no API server yet, and no node.
      if (!(error instanceof KubernetesError)) throw error;
      tell(`whether Kubernetes has a node ${name} is not known: ${error.message}`);
    }
  }

  /** Starts a service that was stopped, which takes nothing from the cluster. */
  async startService(id: string, call: CallOptions): Promise<void> {
    await this.#dial((talos) => talos.startService(id, call));
  }

  async #act<T>(
    stake: ActionStake,
    action: (talos: TalosActor) => Promise<T>,
    { goesDown = false, forfeits = false }: { goesDown?: boolean; forfeits?: boolean } = {},
  ): Promise<T> {
    this.requireApproval((stake.kind === "configure" ? stake.as : undefined) ?? plannedActions[stake.kind]);
    return this.inTurn(async () => {
      if (forfeits) await this.#moveEtcdLeaderAway();
      await this.require(stake, goesDown);
      const before = stake.kind === "configure" ? await this.#healthAfterChange() : [];
      const taken = await this.#turn?.hold();
      if (taken !== undefined) throw new Refused([taken]);
      if ("onAct" in stake) stake.onAct?.();
      const done = await this.#dial(action);
      if (stake.kind === "configure") await this.#awaitRecovery(before);
      return done;
    });
  }

  /** An election that is asked for takes milliseconds; one that is not leaves etcd without a leader for a second or more. */
  async #moveEtcdLeaderAway(): Promise<void> {
    const { node, reader, patience, signal } = this.#site;
    if (node.role !== "controlplane") return;
    const call = { deadlineMs: patience.probeMs * 2, signal };
    try {
      const { leader, memberId } = await reader(node.node).etcdStatus(call);
      if (leader !== memberId) return;
      if ((await reader(node.node).etcdMembers(call)).length > 1)
        await this.#dial((talos) => talos.forfeitLeadership(call));
    } catch (error) {
      // It is a courtesy: whether etcd is well is for the look that follows.
      if (!(error instanceof TalosError) || error.kind === "cancelled") throw error;
    }
  }

  /**
   * After a change of its configuration: waits until the node and its control plane are well, and stay so for a moment. What was wrong before
   * the change is not its doing.
   */
  async #awaitRecovery(before: readonly Finding[]): Promise<void> {
    const { clock, patience, signal, tell } = this.#site;
    const begun = clock.now();
    const pause = backoff(clock, patience.pollMs, patience.pollMaxMs);
    // A moment to reach, not a duration to measure: a sum of the pauses may be short of that by rounding, and no pause is short enough then.
    let steadyAt: number | undefined;
    for (;;) {
      const findings = this.#withoutRestarting(await this.#healthAfterChange(), begun).filter(
        ({ problem }) => !before.some((one) => one.problem === problem),
      );
      const now = clock.now();
      steadyAt = findings.length === 0 ? (steadyAt ?? now + patience.steadyMs) : undefined;
      if (steadyAt !== undefined && now >= steadyAt) return;
      if (steadyAt === undefined && now - begun >= patience.recoveryMs)
        throw new NotRecovered(findings, now - begun);
      if (findings.length > 0) tell(`recovering: ${joinProblems(findings)}`);
      const left = steadyAt === undefined ? Infinity : steadyAt - now;
      await clock.sleep(Math.min(pause(), left), signal);
    }
  }

  #withoutRestarting(findings: readonly Finding[], begun: number): readonly Finding[] {
    const { clock, patience } = this.#site;
    return clock.now() - begun < patience.serviceMs
      ? findings
      : findings.filter(({ restarting }) => !restarting);
  }

  async #healthAfterChange(): Promise<readonly Finding[]> {
    const { node, controlPlanes, reader, patience, signal } = this.#site;
    const call = { deadlineMs: patience.probeMs * 2, signal };
    if (node.role !== "controlplane") return workerFindings(node.node, reader(node.node), call);
    // Nobody is left out here: the node's own health is what is waited for.
    const health = await readControlPlaneHealth(
      undefined,
      [...new Set([node.node, ...controlPlanes])],
      reader,
      call,
    );
    return health.runs ? [...health.findings, ...health.restarting] : [];
  }

  /** Looks until nothing stands against the action; what may pass by itself is given some time. Throws `Refused`. */
  async require(stake: ActionStake, goesDown = false): Promise<void> {
    const { clock, patience, signal, tell } = this.#site;
    const begun = clock.now();
    const pause = backoff(clock, patience.pollMs, patience.pollMaxMs);
    for (;;) {
      const findings = this.#withoutRestarting(await this.look(stake, goesDown), begun);
      if (findings.length === 0) return;
      const left = begun + waitLimit(findings, patience) - clock.now();
      if (left <= 0) throw new Refused(findings);
      tell(`waiting: ${joinProblems(findings)}`);
      await clock.sleep(Math.min(pause(), left), signal);
    }
  }

  async #clusterFindings(stake: ActionStake): Promise<Finding[]> {
    const { node, controlPlanes, reader, patience, signal } = this.#site;
    const call = { deadlineMs: patience.probeMs * 2, signal };
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
    const { node, reader, patience, signal } = this.#site;
    const bootId = await reader(node.node)
      .bootId({ deadlineMs: patience.probeMs, signal })
      .catch((error: unknown) => {
        throw isTransient(error) ? new NodeRebooted("the node stopped answering") : error;
      });
    if (bootId !== stake.bootId) throw new NodeRebooted("the node has rebooted");
    // Neither the boot that was expected nor another one: nobody can tell.
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

  /** A connection of its own for each action: one that was open before may be half open. */
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
