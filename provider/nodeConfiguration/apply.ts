import type { NodeConfigurationInputs } from "../../talos/inputs/nodeConfiguration.ts";
import { coded, framed } from "../../talos/errorCodes.ts";
import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { ApplyAnswer, TalosReader } from "../../talos/api/talosClient.ts";
import { isItself } from "../../talos/endpoint.ts";
import type { Connections } from "../connections.ts";
import { throwIfCancelled } from "../context.ts";
import { Cancelled } from "../errors.ts";
import { Gate } from "../gate/gate.ts";
import { Refused } from "../gate/refused.ts";
import { inQueue } from "../gate/clusterQueue.ts";
import { fetchKubeconfig, fetchKubeconfigForLock } from "../fetchKubeconfig.ts";
import { nodeLabel } from "../inputs.ts";
import { KubernetesError } from "../kubernetes.ts";
import { talosctlCommand } from "../talosctl.ts";
import { askedApproval, type Surroundings } from "../session.ts";
import { failedAfterApply, notApplied, refusedAfter } from "./applyErrors.ts";
import { requireConfigurationApproval } from "./approval.ts";
import { endDrain, toConfigurationError, openForDrain, whileDrained } from "./kubeletDrain.ts";
import { iscsiRemovalProblem } from "./iscsiRemoval.ts";
import { readKubeletStake, restartsKubelet } from "./kubelet.ts";
import {
  ConfigurationError,
  findConfiguration,
  waitForConfiguration,
  configurationForNode,
  configurationForJoining,
  judgeChange,
  needsReboot,
  reinstallRefusal,
  type FoundConfiguration,
} from "./look.ts";
import { requireHardware } from "./firstHardware.ts";
import { hintForUnanswered } from "../unansweredHint.ts";

/** The caller, and where its messages go. */
export interface ApplyCall {
  readonly surroundings: Surroundings;
  readonly urn: string;
  readonly signal: AbortSignal;
}

/** One node's configuration, and what the state knows about it. */
export interface ApplyOrder {
  readonly wanted: NodeConfigurationInputs;
  /** The state has no configuration for this node: only then may it get one without client authentication. */
  readonly isNew: boolean;
  /** What this stack last applied to the node. */
  readonly before: string | undefined;
  /** Whether this apply should change these differing lines. If not, they were changed manually and stay. */
  readonly isDue: (lines: readonly string[]) => boolean;
  /** The node already received this very configuration: if it doesn't answer, there is nothing to do. */
  readonly settles: boolean;
  /** The node received this configuration, and a later step failed. */
  readonly resumes: boolean;
}

export interface ApplyOutcome {
  /** The node has received the configuration. */
  readonly applied: boolean;
  /** What failed, before or after that. */
  readonly failure?: Error;
}

const unchanged: ApplyOutcome = { applied: false };

/** Applies a node's configuration unless it already has it. Only the gate applies it, after checking the cluster. */
export async function applyConfiguration(
  call: ApplyCall,
  connections: Connections,
  order: ApplyOrder,
): Promise<ApplyOutcome> {
  return new ConfigurationApply(call, connections, order).run();
}

class ConfigurationApply {
  readonly #call: ApplyCall;
  readonly #connections: Connections;
  readonly #order: ApplyOrder;
  readonly #sink: ReturnType<Surroundings["statusOf"]>;
  #gate: Gate;
  /** What to send: the desired configuration with the running Kubernetes. */
  #data: string;
  /** The configuration itself changes, not only its formatting. */
  #changes = true;

  constructor(call: ApplyCall, connections: Connections, order: ApplyOrder) {
    this.#call = call;
    this.#connections = connections;
    this.#order = order;
    this.#data = order.wanted.machineConfiguration;
    this.#sink = call.surroundings.statusOf(call.urn);
    const { wanted } = order;
    const { acting, clock, timeouts } = call.surroundings;
    const reader = (address: string): TalosReader => connections.to(address);
    this.#gate = new Gate({
      node: wanted,
      controlPlanes: wanted.controlPlanes,
      services: [],
      cluster: wanted.clientConfiguration.caCertificate,
      kubeconfig: undefined,
      kubeconfigForLock: () => fetchKubeconfigForLock(reader, wanted.controlPlanes, this.#callOptions(2)),
      approval: askedApproval(wanted.approval, call.surroundings),
      acting,
      reader,
      connectionTo: (address) => connections.connectionTo(address),
      clock,
      timeouts: { ...timeouts, recoveryMs: wanted.timeoutSeconds * 1000 },
      signal: call.signal,
      tell: (text) => this.#sink.status(text),
    });
  }

  async run(): Promise<ApplyOutcome> {
    const { wanted, isNew, settles, before, isDue } = this.#order;
    const found = await this.#find();
    if (found.state === "unreachable") {
      if (settles) {
        this.#sink.warn(
          coded("config-unreadable", `${this.#label}: its configuration could not be read: ${found.reason}`),
        );
        return unchanged;
      }
      throw new ConfigurationError(
        coded(
          "config-unreadable",
          `${this.#label}: its configuration was not applied, since the current one could not be read: ${found.reason}`,
          `${hintForUnanswered(found.reason)}${this.#directAddressHint()} Then run \`pulumi up\` again.`,
        ),
      );
    }
    if (found.state === "maintenance") {
      if (!isNew) throw new ConfigurationError(reinstallRefusal(wanted, this.#call.urn));
      requireConfigurationApproval(wanted, this.#gate);
      await requireHardware(this.#call, wanted);
      await this.#applyFirst();
      return { applied: true };
    }
    const verdict = judgeChange(wanted, found.configuration, before);
    this.#data = configurationForNode(wanted, found.configuration).machineConfiguration;
    if (found.configuration === this.#data || !isDue(verdict.lines)) {
      await this.#endEarlierDrain();
      return unchanged;
    }
    const look = { ...this.#call, wanted, connections: this.#connections };
    const refusal = verdict.refusal ?? (await iscsiRemovalProblem(look, verdict.lines));
    if (refusal !== undefined) throw new ConfigurationError(refusal);
    this.#changes = verdict.lines.length > 0;
    if (this.#changes) requireConfigurationApproval(wanted, this.#gate);
    return restartsKubelet(verdict.lines) ? this.#restartKubelet() : this.#applyChange(verdict.disturbs);
  }

  /** One kubelet of a cluster at a time, and none under volumes whose sessions would be logged out. */
  async #restartKubelet(): Promise<ApplyOutcome> {
    const { wanted } = this.#order;
    return inQueue(`${wanted.clientConfiguration.caCertificate}\0kubelet`, this.#call.signal, async () => {
      const stake = await readKubeletStake({ ...this.#call, wanted, connections: this.#connections });
      const refused = stake.is === "unknown" || (stake.is === "drain" && !wanted.drain.enabled);
      if (refused) throw new ConfigurationError(stake.reason);
      // A staged change restarts nothing.
      if (stake.is === "drain" && (await this.#chooseMode()) === "NO_REBOOT")
        return this.#applyDrained(stake.kubeconfig);
      return this.#endDrainAfter(await this.#applyChange(true), () => this.#endEarlierDrain());
    });
  }

  /** Drains the node, applies the configuration while it is empty, and uncordons it. */
  async #applyDrained(kubeconfig: string): Promise<ApplyOutcome> {
    const session = await openForDrain(this.#call, this.#order.wanted, kubeconfig);
    const { context } = session;
    const own = this.#gate;
    this.#gate = context.gate;
    try {
      return await context.gate.underLock(async () => {
        const work = (): Promise<ApplyOutcome> => this.#applyChange(true, true);
        const outcome = await whileDrained(context, work, ({ applied }) => applied);
        return this.#endDrainAfter(outcome, () => endDrain(context, true));
      });
    } catch (error) {
      throw error instanceof TalosError
        ? notApplied(this.#label, error)
        : toConfigurationError(this.#label, error);
    } finally {
      this.#gate = own;
      session.close();
    }
  }

  async #endDrainAfter(outcome: ApplyOutcome, end: () => Promise<void>): Promise<ApplyOutcome> {
    if (!outcome.applied || outcome.failure !== undefined) return outcome;
    try {
      await end();
      return outcome;
    } catch (error) {
      return { applied: true, failure: failedAfterApply(this.#label, error) };
    }
  }

  /** A killed run may have left the node cordoned, and a failed one may have left its storage still recovering. */
  async #endEarlierDrain(): Promise<void> {
    const { wanted, settles, resumes } = this.#order;
    if (settles && !resumes) return;
    const call = { deadlineMs: this.#call.surroundings.timeouts.probeMs * 2, signal: this.#call.signal };
    const peer = (address: string): TalosReader => this.#connections.to(address);
    try {
      const kubeconfig = await fetchKubeconfig(peer, wanted.controlPlanes, call);
      const session = await openForDrain(this.#call, wanted, kubeconfig);
      try {
        await endDrain(session.context, resumes);
      } finally {
        session.close();
      }
    } catch (error) {
      // A cluster without Kubernetes has no cordon either.
      const silent = error instanceof KubernetesError || (error instanceof TalosError && !resumes);
      if (!silent || resumes) throw error;
    }
  }

  get #label(): string {
    return nodeLabel(this.#order.wanted);
  }

  /** A first configuration can't go through an endpoint: a machine without one trusts nobody who could forward to it. */
  #directAddressHint(): string {
    const { isNew, wanted } = this.#order;
    const { endpoint, others = [] } = this.#connections.connectionTo(wanted.node);
    if (!isNew || [endpoint, ...others].some((way) => isItself(way, wanted.node))) return "";
    return ` For its first configuration a machine must answer at ${wanted.node} itself, port 50000: no endpoint forwards to it yet. From another host, \`talosctl apply-config --insecure --nodes ${wanted.node}\` can apply it.`;
  }

  #find(accept?: (found: FoundConfiguration) => boolean, forMs?: number): Promise<FoundConfiguration> {
    const { wanted } = this.#order;
    return waitForConfiguration(
      { ...this.#call, wanted },
      this.#connections.to(wanted.node),
      (text) => this.#sink.status(text),
      accept,
      forMs,
    );
  }

  /** The first configuration of a machine in maintenance mode, sent without client authentication because the machine has no client CA. */
  async #applyFirst(): Promise<void> {
    const data = await this.#configurationForJoining();
    for (let tries = 0; ; tries++) {
      try {
        this.#warn(await this.#gate.applyFirstConfiguration(data, this.#callOptions(10)));
        return;
      } catch (error) {
        if (error instanceof Refused)
          throw new ConfigurationError(framed("", error.problems, `. Nothing was sent to it. ${error.hint}`));
        if (!isTransient(error)) throw notApplied(this.#label, error);
        // The machine may have stored it and started to install before it answered.
        const found = await this.#findAfterFirst();
        if (found.state === "configured") return;
        // Silence proves nothing: the next `up` checks again, and until then the state has no configuration for the node.
        if (found.state === "unreachable" || tries >= 2) throw notApplied(this.#label, error);
      }
    }
  }

  /**
   * A joining node gets the Kubernetes that the cluster runs, not a newer one: its kubelet would be ahead of the API servers. If no other control plane has a
   * configuration, or none answers, the cluster is as new as the node.
   */
  async #configurationForJoining(): Promise<string> {
    const { wanted } = this.#order;
    for (const address of wanted.controlPlanes.filter((other) => other !== wanted.node)) {
      const found = await findConfiguration(this.#call, this.#connections.to(address));
      if (found.state === "configured") return configurationForJoining(wanted, found.configuration);
    }
    return wanted.machineConfiguration;
  }

  /** Whether a machine that accepted unauthenticated calls still does; once it starts to install, it is away for some minutes and then configured. */
  async #findAfterFirst(): Promise<FoundConfiguration> {
    const found = await this.#find(({ state }) => state !== "maintenance");
    const { contactMs } = this.#call.surroundings.timeouts;
    return found.state === "unreachable" ? this.#find(undefined, contactMs) : found;
  }

  /** Determines what the change needs, and applies it in the mode that needs no reboot. */
  async #applyChange(disturbs: boolean, drained = false): Promise<ApplyOutcome> {
    for (let tries = 0; ; tries++) {
      const mode = await this.#chooseMode();
      try {
        this.#warn(await this.#send({ mode, disturbs: disturbs && mode === "NO_REBOOT", drained }));
        if (mode === "STAGED") {
          this.#sink.warn(
            coded(
              "config-staged",
              `${this.#label}: its configuration is staged and takes effect at the next boot: with the next upgrade, or after ${talosctlCommand("reboot", this.#order.wanted.node)}`,
            ),
          );
        }
        return { applied: true };
      } catch (error) {
        if (error instanceof Cancelled || error instanceof ConfigurationError) throw error;
        // The node changed since the dry run: what needs a reboot now is staged.
        if (needsReboot(error) && tries === 0) continue;
        return this.#outcomeAfterFailure(error);
      }
    }
  }

  /** A dry run tells what the change needs. Without its answer nothing is applied: a guess could reboot the node. */
  async #chooseMode(): Promise<"NO_REBOOT" | "STAGED"> {
    const { clock, timeouts } = this.#call.surroundings;
    const end = clock.now() + timeouts.kubernetesMs;
    for (;;) {
      try {
        const { mode } = await this.#gate.tryConfiguration(this.#data, this.#callOptions(5));
        if (mode === "NO_REBOOT") return "NO_REBOOT";
        if (mode === "REBOOT" || mode === "STAGED") return "STAGED";
        throw new ConfigurationError(
          coded(
            "config-rejected",
            `${this.#label}: its configuration was not applied: the dry run returned the unknown mode ${mode}`,
          ),
        );
      } catch (error) {
        if (!isTransient(error) || clock.now() >= end) throw notApplied(this.#label, error);
        this.#sink.status("the dry run got no answer; retrying");
        await clock.sleep(timeouts.evictMs, this.#call.signal);
      }
    }
  }

  /** Waits for the cluster to allow it, up to the limit in the settings. */
  async #send(request: {
    mode: "NO_REBOOT" | "STAGED";
    disturbs: boolean;
    drained: boolean;
  }): Promise<ApplyAnswer> {
    const { clock, timeouts } = this.#call.surroundings;
    const { timeoutSeconds } = this.#order.wanted;
    const begun = clock.now();
    for (;;) {
      throwIfCancelled(this.#call);
      try {
        return await this.#gate.applyConfiguration(
          { data: this.#data, changes: this.#changes, ...request },
          this.#callOptions(10),
        );
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        const waited = clock.now() - begun;
        const hopeless = error.findings.some(({ mayPass }) => !mayPass);
        if (hopeless || waited >= timeoutSeconds * 1000) throw refusedAfter(this.#label, error, waited);
        this.#sink.status(`waiting: ${error.message}`);
        await clock.sleep(timeouts.evictMs, this.#call.signal);
      }
    }
  }

  /** The call failed; only the node can tell whether it has the configuration. */
  async #outcomeAfterFailure(error: unknown): Promise<ApplyOutcome> {
    const { wanted, before } = this.#order;
    const found = await this.#find();
    const applied =
      found.state === "configured" && judgeChange(wanted, found.configuration, before).lines.length === 0;
    // A lost response is not a failure if the node has the configuration.
    if (applied && isTransient(error)) return { applied };
    return {
      applied,
      failure: applied ? failedAfterApply(this.#label, error) : notApplied(this.#label, error),
    };
  }

  #warn({ warnings }: ApplyAnswer): void {
    for (const warning of warnings) this.#sink.warn(`${this.#label}: Talos warns: ${warning}`);
  }

  #callOptions(factor: number): { deadlineMs: number; signal: AbortSignal } {
    return { deadlineMs: this.#call.surroundings.timeouts.probeMs * factor, signal: this.#call.signal };
  }
}
