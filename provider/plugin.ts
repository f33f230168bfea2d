import { importRefused } from "./unansweredHint.ts";
import type { CheckResult, InvokeResult } from "@pulumi/pulumi/provider/provider.js";
import { unusedVariantAdvice, upgradePathAdvisories } from "./upgradeAdvisories.ts";
import { checkNodeUpgrade, checkPreflight, hideSecretPropertyNames } from "./check.ts";
import { ConfirmedSchematicResource, confirmedSchematicType } from "./confirmedSchematic.ts";
import { clientCredentials, clientCredentialsFunction } from "./certificates/clientCredentials.ts";
import { DeploymentChanges } from "./deploymentChanges.ts";
import { wallClockMs } from "./clock.ts";
import type { UpgradeContext } from "./context.ts";
import { approvalForNode } from "./approval.ts";
import type { DetailedDiffResult, DetailingProvider } from "./detailedDiff.ts";
import { EngineGone } from "./errors.ts";
import { describeImage } from "../talos/nodeOutlook.ts";
import { versionChangeVerb } from "./facts.ts";
import { SharedInputs } from "./sharedInputs.ts";
import { nodeLabel, nodeUpgradeInputs } from "./inputs.ts";
import {
  checkConfiguration,
  deployConfiguration,
  diffConfiguration,
  guardType,
  nodeConfigurationType,
  readNodeConfiguration,
} from "./nodeConfiguration/resource.ts";
import { KubernetesUpgradeResource, kubernetesUpgradeType } from "./kubernetesUpgrade/resource.ts";
import { shareConnections } from "./sharedConnections.ts";
import { withoutRepeats } from "./quietStatus.ts";
import { unknownValue } from "../talos/secrecy/engineValues.ts";
import { unwrap, wrap, type Properties } from "./secrets.ts";
import { preflight } from "./preflight.ts";
import { parseRefusals } from "./refusals.ts";
import { diffRollout, readRollout, rolloutPlanInput } from "./rollout.ts";
import { ReadAhead } from "./readAhead.ts";
import { readNodeUpgrade } from "./readNodeUpgrade.ts";
import { ReadinessResource, readinessType } from "./readinessResource.ts";
import { sameButForPolicy } from "./rollout/policy.ts";
import { Session, type Surroundings } from "./session.ts";
import {
  alwaysSecret,
  inputsOf,
  keptOutputs,
  observedInputs,
  observedOutputs,
  snapshotOutput,
} from "./state.ts";
import { MembershipResource, membershipType } from "./membership/resource.ts";
import type { PluginResource } from "./pluginResource.ts";
import { StorageProbeResource, storageProbeType } from "./storage/probe/resource.ts";
import { timelineAfter } from "./timeline.ts";
import { UnfinishedError } from "./unfinished.ts";
import { upgradeInputs, upgradeDetails } from "./upgradeDiff.ts";
import { upgradeNode, type Outcome } from "./upgrade.ts";

const nodeUpgradeType = "talos-node:index:NodeUpgrade";
const preflightType = "talos-node:index:RolloutPreflight";

/** The plugin `talos-node`: NodeUpgrade, the RolloutPreflight before the first of them, and a NodeConfiguration per node. */
export class TalosNodeProvider implements DetailingProvider {
  readonly version = "0.1.0";
  readonly #surroundings: Surroundings;
  /** The same, for reads. */
  readonly #reading: Surroundings;
  readonly #stop = new AbortController();
  readonly #ahead: ReadAhead;
  /** Running operations that change nodes. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** Resources other than upgrades, by type. */
  readonly #others: ReadonlyMap<string, PluginResource>;
  readonly #changed = new DeploymentChanges();
  readonly #handedOver = new SharedInputs();
  /** Why this deployment has postponed the rollout of a cluster, by its CA. */
  readonly #postponed = new Map<string, string | undefined>();
  /** Something was created or updated, so this is not a preview. */
  #isDeployment = false;

  constructor(surroundings: Surroundings) {
    this.#surroundings = { ...surroundings, statusOf: withoutRepeats((urn) => surroundings.statusOf(urn)) };
    this.#reading = { ...this.#surroundings, talos: shareConnections(() => surroundings.talos()) };
    this.#ahead = new ReadAhead(this.#reading, this.#stop.signal);
    this.#others = new Map<string, PluginResource>([
      [membershipType, new MembershipResource(this.#surroundings, this.#stop.signal)],
      [confirmedSchematicType, new ConfirmedSchematicResource()],
      [readinessType, new ReadinessResource(this.#surroundings, this.#stop.signal, this.#ahead)],
      [storageProbeType, new StorageProbeResource(this.#surroundings, this.#stop.signal)],
      [
        kubernetesUpgradeType,
        new KubernetesUpgradeResource(this.#surroundings, this.#stop.signal, this.#ahead.surroundings()),
      ],
    ]);
  }

  // Arrow functions: in places, the SDK's server detaches the methods from the object.
  readonly check = async (urn: string, olds: Properties, news: Properties): Promise<CheckResult> => {
    const type = typeOf(urn);
    if (type === nodeConfigurationType) return checkConfiguration(this.#call(urn), olds, news);
    const other = this.#others.get(type);
    if (other === undefined && type !== nodeUpgradeType && type !== preflightType) {
      return { inputs: news, failures: [{ property: "", reason: `this plugin has no resource ${type}` }] };
    }
    const { values, secrets } = unwrap(news);
    // Only plain values are touched, so that unknown values and other secrets stay as the engine wrote them.
    const marked = wrap(
      news,
      [...alwaysSecret, ...(other?.secretInputs ?? [])].filter(
        (key) => !secrets.has(key) && values[key] !== undefined,
      ),
    );
    if (other !== undefined) {
      const before = unwrap(olds).values;
      const malformed = hideSecretPropertyNames(other.check(values), alwaysSecret);
      if (malformed.length > 0) return { inputs: marked, failures: malformed };
      const failures = (await other.checkAgainstNodes?.(urn, before, values)) ?? [];
      if (other.deriveInputs === undefined) return { inputs: marked, failures };
      const derived = await other.deriveInputs(urn, before, values);
      const kept = Object.entries(marked).filter(([key]) => derived.dropped?.includes(key) !== true);
      return {
        inputs: { ...Object.fromEntries(kept), ...wrap(derived.added, derived.secret ?? []) },
        failures: [...failures, ...(derived.failures ?? [])],
      };
    }
    if (type === nodeUpgradeType)
      return {
        inputs: this.#handedOver.digestShared(approvalForNode(marked), { values, secrets }),
        failures: hideSecretPropertyNames(checkNodeUpgrade(values), alwaysSecret),
      };
    const { refusals, ...rollout } = values;
    const { refusals: _refusals, ...kept } = marked;
    const failures = hideSecretPropertyNames(checkPreflight(rollout), alwaysSecret);
    if (failures.length > 0) return { inputs: kept, failures };
    const before = unwrap(olds).values;
    const plan = await rolloutPlanInput(
      this.#surroundings,
      urn,
      before,
      rollout,
      this.#stop.signal,
      this.#isDeployment,
    );
    // Unknown, not absent: a saved plan (`pulumi up --plan`) rejects an input that only the update has.
    return { inputs: { ...kept, plan: plan ?? unknownValue }, failures: parseRefusals(refusals) };
  };

  readonly diff = async (
    _id: string,
    urn: string,
    olds: Properties,
    news: Properties,
    oldInputs: Properties = olds,
  ): Promise<DetailedDiffResult> => {
    if (typeOf(urn) === guardType) return {};
    const inputs = unwrap(oldInputs).values;
    if (typeOf(urn) === preflightType)
      return diffRollout(inputs, unwrap(news).values, unwrap(olds).values["postponed"] !== undefined);
    if (typeOf(urn) === nodeConfigurationType) return diffConfiguration(olds, news, inputs);
    const before = unwrap(olds).values;
    const after = unwrap(news).values;
    const other = this.#others.get(typeOf(urn));
    if (other !== undefined) return other.diff(urn, before, after, inputs);
    this.#advise(urn, before, after);
    if (before["node"] === after["node"]) {
      // The state already has the desired image as an input, but the node doesn't run it: the engine sees no difference.
      if (before["postponed"] !== undefined) return { changes: true };
      if (sameButForPolicy(upgradeInputs(inputsOf(before)), upgradeInputs(after))) return { changes: false };
    }
    if (before["node"] !== after["node"]) return { changes: true, replaces: ["node"] };
    return upgradeDetails(inputsOf(inputs), after);
  };

  readonly create = async (urn: string, inputs: Properties): Promise<{ id: string; outs: Properties }> => {
    this.#isDeployment = true;
    const other = this.#others.get(typeOf(urn));
    if (other !== undefined) return this.#track(other.create(urn, unwrap(inputs)));
    if (typeOf(urn) === preflightType)
      return { id: "preflight", outs: await this.#track(this.#preflight(urn, inputs)) };
    if (typeOf(urn) === nodeConfigurationType) {
      const id = String(unwrap(inputs).values["node"]);
      return { id, outs: await this.#track(this.#configure(urn, undefined, inputs)) };
    }
    const { id, outputs } = await this.#track(this.#upgrade(urn, inputs));
    return { id, outs: outputs };
  };

  readonly update = async (
    id: string,
    urn: string,
    olds: Properties,
    news: Properties,
  ): Promise<{ outs: Properties }> => {
    this.#isDeployment = true;
    const other = this.#others.get(typeOf(urn));
    if (other !== undefined) {
      return { outs: await this.#track(other.update(id, urn, unwrap(olds).values, unwrap(news))) };
    }
    if (typeOf(urn) === preflightType)
      return { outs: await this.#track(this.#preflight(urn, news, unwrap(olds).values["hopsTaken"])) };
    if (typeOf(urn) === nodeConfigurationType) {
      return { outs: await this.#track(this.#configure(urn, { id, olds }, news)) };
    }
    const { timeline, takenSnapshot } = unwrap(olds).values;
    return {
      outs: (await this.#track(this.#upgrade(urn, news, { id, timeline, takenSnapshot }))).outputs,
    };
  };

  readonly read = async (
    id: string,
    urn: string,
    state: Properties,
  ): Promise<{ id: string; inputs: Properties; props: Properties }> => {
    if (typeOf(urn) === nodeConfigurationType) {
      const call = { ...this.#call(urn), surroundings: this.#reading };
      return { id, ...(await readNodeConfiguration(call, state, this.#ahead)) };
    }
    // A stack of 0.1.0 may be refreshed before it is deployed with this version.
    if (typeOf(urn) === guardType) return { id, inputs: state, props: state };
    const { values, secrets } = unwrap(state);
    const marked = new Set([...secrets, ...alwaysSecret]);
    const other = this.#others.get(typeOf(urn));
    if (other !== undefined) {
      const live = (await other.read?.(urn, values)) ?? values;
      return { id, inputs: wrap(other.inputsOf(live), marked), props: wrap(live, marked) };
    }
    if (typeOf(urn) === preflightType) {
      const { inputs, props } = await readRollout(this.#reading, urn, values, this.#stop.signal);
      return { id, inputs: wrap(inputs, marked), props: wrap(props, marked) };
    }
    if (values["clientConfiguration"] === undefined) {
      throw new Error(importRefused(id));
    }
    const read = await readNodeUpgrade(this.#reading, urn, values, this.#stop.signal, this.#ahead);
    return { id, inputs: wrap(read.inputs, marked), props: wrap(read.props, marked) };
  };

  /** Nodes keep what they run, and clusters keep their nodes: `pulumi destroy` touches no machine. */
  readonly delete = async (): Promise<void> => undefined;

  /**
   * The engine was killed: stops between steps and leaves the rest to the next run. Resolves when no operation is running; a running installer may finish,
   * since half an image is worse than a late one.
   */
  async abandon(): Promise<void> {
    this.#stop.abort(new EngineGone());
    await Promise.allSettled(this.#underWay);
  }

  /** The plugin's functions. */
  readonly invoke = async (token: string, args: Properties): Promise<InvokeResult> => {
    if (token === clientCredentialsFunction) return clientCredentials(args, wallClockMs(this.#surroundings));
    return { outputs: {}, failures: [{ property: "", reason: `this plugin has no function ${token}` }] };
  };

  readonly cancel = async (): Promise<void> => {
    this.#stop.abort();
  };

  #call(urn: string) {
    return { surroundings: this.#surroundings, urn, signal: this.#stop.signal };
  }

  /** Warns about known issues between the running release and the desired one, if the state says which runs. */
  #advise(urn: string, before: Properties, after: Properties): void {
    const [from, to] = [before["runningVersion"], after["talosVersion"]];
    if (typeof from !== "string" || typeof to !== "string") return;
    const sink = this.#surroundings.statusOf(urn);
    const found =
      from === to
        ? unusedVariantAdvice(before, after)
        : upgradePathAdvisories(from, to, after["extensions"], after["image"]);
    for (const advice of found) {
      if (this.#surroundings.advised.has(advice)) continue;
      this.#surroundings.advised.add(advice);
      sink.warn(advice);
    }
  }

  #configure(
    urn: string,
    last: { id: string; olds: Properties } | undefined,
    news: Properties,
  ): Promise<Properties> {
    return deployConfiguration(this.#call(urn), last, news, (name) => this.#changed.noteConfiguration(name));
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    return work.finally(() => this.#underWay.delete(work));
  }

  /** @param before hops of the previous run: they stay in the state until there are others */
  async #preflight(urn: string, given: Properties, before?: unknown): Promise<Properties> {
    const { values, secrets } = unwrap(given);
    const found = await preflight(this.#surroundings, urn, values, this.#stop.signal, this.#changed);
    const { nodes, postponed, taken } = found;
    const { caCertificate: cluster } = values["clientConfiguration"] as { caCertificate: string };
    this.#postponed.set(cluster, postponed);
    const due = nodes.filter((node) => node.due).map(({ name }) => name);
    const hopsTaken = taken.length > 0 ? taken : before;
    const hops = {
      ...(postponed === undefined ? {} : { postponed }),
      ...(hopsTaken === undefined ? {} : { hopsTaken }),
    };
    return wrap({ ...values, due, ...hops }, new Set([...secrets, ...alwaysSecret]));
  }

  async #upgrade(
    urn: string,
    given: Properties,
    last?: { id: string; timeline: unknown; takenSnapshot: unknown },
  ): Promise<{ id: string; outputs: Properties }> {
    const { values, secrets } = unwrap(given);
    const inputs = nodeUpgradeInputs(this.#handedOver.restoreShared(values));
    const id = last?.id ?? inputs.node;
    const marked = new Set([...secrets, ...alwaysSecret]);
    const session = await Session.open(this.#surroundings, urn, inputs, this.#stop.signal);
    const { wanted, progress } = session.context;
    try {
      const postponed = this.#postponed.get(wanted.clientConfiguration.caCertificate);
      const outcome = await upgradeNode({ ...session.context, postponed });
      const timeline = keptOutputs(
        timelineAfterRun(session.context, outcome, last?.timeline),
        snapshotOutput(outcome.snapshot) ?? last?.takenSnapshot,
      );
      if (outcome.ok && outcome.postponed !== undefined) {
        const { postponed, facts } = outcome;
        progress.warn(`${nodeLabel(wanted)} is postponed: ${postponed}`);
        const live = { ...values, ...observedOutputs(facts), postponed };
        return {
          id,
          outputs: wrap({ ...live, ...keptOutputs(last?.timeline, last?.takenSnapshot) }, marked),
        };
      }
      if (outcome.ok) {
        const took = progress.summary();
        const image = describeImage(outcome.facts.version, outcome.facts.schematicId);
        const done = outcome.upgraded
          ? `${versionChangeVerb(outcome.before.version, outcome.facts.version)}: runs`
          : "runs";
        progress.info(`${nodeLabel(wanted)} ${done} ${image}${took === "" ? "" : ` (${took})`}`);
        return { id, outputs: wrap({ ...values, ...observedOutputs(outcome.facts), ...timeline }, marked) };
      }
      const { facts, error } = outcome;
      // A node that never answered doesn't exist as far as anyone knows: there is no state to keep.
      if (facts === undefined && last === undefined) throw error;
      const properties =
        facts === undefined ? values : { ...observedInputs(values, facts), ...observedOutputs(facts) };
      throw new UnfinishedError(error.message, id, wrap({ ...properties, ...timeline }, marked));
    } finally {
      session.close();
    }
  }
}

/** The timeline of the last upgrade, including this run. */
function timelineAfterRun({ wanted, progress }: UpgradeContext, outcome: Outcome, last: unknown): unknown {
  const { before } = outcome;
  if (before === undefined) return last;
  return timelineAfter(
    {
      from: { version: before.version, schematicId: before.schematicId ?? "" },
      to: { version: wanted.talosVersion, schematicId: wanted.schematicId, image: wanted.image },
      steps: progress.times(),
      ...(outcome.ok
        ? { cordonedMs: outcome.cordonedMs }
        : {
            failure: {
              step: outcome.error.step,
              reason: outcome.error.message,
              cancelled: outcome.cancelled,
            },
          }),
    },
    last,
  );
}

/** The type in a URN: `urn:pulumi:<stack>::<project>::<parents>$<type>::<name>`. */
function typeOf(urn: string): string {
  return urn.split("::")[2]?.split("$").at(-1) ?? "";
}
