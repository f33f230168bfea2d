import { coded } from "../talos/errorCodes.ts";
import { createHash } from "node:crypto";
import {
  isEmptyPlan,
  planDigest,
  planFromInput,
  canonicalPlan,
  type ApprovedPlan,
  type RolloutPlan,
} from "../talos/rolloutPlan.ts";
import { isRecord } from "../talos/values.ts";
import { approvalInRun, approvalProperty, parseConfirmation, formatConfirmation } from "./approval.ts";
import { approvedPlanMismatch } from "./approvedPlan.ts";
import { withDefaults } from "../talos/inputs/defaults.ts";
import { configurationSchema, readinessSchema } from "../talos/inputs/rolloutReadiness.ts";
import { checkPreflight, inputFailures, type CheckFailure } from "./check.ts";
import { planDeployment } from "./deploymentPlan.ts";
import { checkReleaseReadsContract } from "./contractFit.ts";
import type { DetailedDiffResult, Details } from "./detailedDiff.ts";
import {
  checkTalosconfigExpiry,
  checkTalosconfigRole,
  checkTalosconfigUsable,
} from "./certificates/expiry.ts";
import { wallClockMs } from "./clock.ts";
import { describeImage } from "../talos/nodeOutlook.ts";
import { refuseEtcdJoins } from "./guards/etcdJoin.ts";
import { checkHardware } from "./hardware.ts";
import { preflightNodes } from "./hops/hopInputs.ts";
import { departures, knownMembers, type Departure } from "../talos/members.ts";
import { membershipInputs } from "./membership/members.ts";
import { nodesByName } from "../talos/nodesByName.ts";
import type { AddedInputs, PluginResource } from "./pluginResource.ts";
import { checkKubernetesEarly } from "./kubernetesUpgrade/earlyCheck.ts";
import type { ReadAhead } from "./readAhead.ts";
import { lookBeforeChanges, nothingDeployedYet } from "./preflight.ts";
import { refusedInput, refusedProperty } from "./refusals.ts";
import { propertyPath } from "./rollout.ts";
import { unknownValue } from "../talos/secrecy/engineValues.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "./secrets.ts";
import type { Surroundings } from "./session.ts";
import { alwaysSecret } from "./state.ts";

export const readinessType = "talos-node:index:RolloutReadiness";

/** Preview inputs for people and reports: what will be done to the nodes, and the digest of it. */
const planProperty = "plan";
const digestProperty = "planDigest";
/** The output that resources which disturb a node take as their input. */
const confirmedProperty = "confirmed";

/** Checks the nodes before the first machine configuration is applied. It changes nothing. */
export class ReadinessResource implements PluginResource {
  readonly #surroundings: Surroundings;
  readonly #stop: AbortSignal;
  readonly #ahead: ReadAhead | undefined;

  readonly secretInputs = ["hardware"];

  constructor(surroundings: Surroundings, stop: AbortSignal, ahead?: ReadAhead) {
    this.#surroundings = surroundings;
    this.#stop = stop;
    this.#ahead = ahead;
  }

  check(inputs: Properties): CheckFailure[] {
    return [
      ...inputFailures("RolloutReadiness", readinessSchema, inputs),
      ...checkPreflight(preflightInputs(inputs)),
    ];
  }

  /** Whether the nodes can be reached at all, and problems that the nodes' own guards don't check. */
  async checkAgainstNodes(urn: string, before: Properties, inputs: Properties): Promise<CheckFailure[]> {
    const [now, sink] = [wallClockMs(this.#surroundings), this.#surroundings.statusOf(urn)];
    const failures = [
      ...checkTalosconfigUsable(inputs),
      ...checkTalosconfigExpiry(inputs, now, sink),
      ...checkTalosconfigRole(inputs, changesNodes(before, inputs), sink),
      ...checkReleaseReadsContract(before, inputs),
    ];
    if (failures.length > 0 || readinessInputs(inputs).preview) return failures;
    return (await this.#checkMachinesAndKubernetes(urn, before, inputs)).map(({ reason, ...failure }) => ({
      ...failure,
      reason: `${reason}\n${nothingDeployedYet}`,
    }));
  }

  /** Machines that don't fit their configurations, and a Kubernetes upgrade that would be refused after the nodes were upgraded for it. */
  async #checkMachinesAndKubernetes(
    urn: string,
    before: Properties,
    inputs: Properties,
  ): Promise<CheckFailure[]> {
    const looking = { surroundings: this.#surroundings, urn, signal: this.#stop };
    return [
      ...(await checkHardware(looking, before, inputs)),
      ...(await checkKubernetesEarly(looking, before, inputs)),
    ];
  }

  /**
   * Lists the leaving nodes and what happens to their machines, the first thing a preview shows about nodes. Then adds the plan if something changes or needs
   * approval; the state keeps only the machine configurations' hashes.
   */
  async deriveInputs(urn: string, before: Properties, inputs: Properties): Promise<AddedInputs> {
    const derived = await this.#addedInputs(urn, before, inputs);
    if (!readinessInputs(inputs).preview) return derived;
    // This preview's preflight fails with it, together with the other refusals.
    const refusals = await this.#checkMachinesAndKubernetes(urn, before, inputs);
    return { ...derived, added: { ...derived.added, ...refusedInput(refusals) } };
  }

  async #addedInputs(urn: string, before: Properties, inputs: Properties): Promise<AddedInputs> {
    const isListed = !hasUnknown(before["nodes"]) && !hasUnknown(inputs["nodes"]);
    const leaving = isListed ? findLeaving(before, inputs) : [];
    const { approvedPlan, preview, run: program } = readinessInputs(inputs);
    const hashes = isRecord(inputs["configurations"]) ? hashesOf(inputs["configurations"]) : undefined;
    const added: Properties = {
      drain: drainDisabled,
      ...(isListed ? memberInputs(inputs, leaving) : {}),
      ...(hashes === undefined ? {} : { configurations: hashes }),
    };
    const approved: ApprovedPlan | undefined =
      approvedPlan === undefined
        ? undefined
        : { digest: approvedPlan.digest, plan: planFromInput(approvedPlan.plan) };
    if (hashes === undefined && approved === undefined) return { added, dropped: [...notKept] };
    const isListChanged = leaving.length > 0 || isLookDue(before, inputs) || before["nodes"] === undefined;
    const isChanged = isListChanged || configurationsDiffer(before["configurations"], hashes);
    const withoutPlan = { added, dropped: [...notKept], secret: ["configurations"] };
    if (!isChanged && approved === undefined) return withoutPlan;
    const plan = isListed ? await this.#planDeployment(urn, before, inputs, leaving) : undefined;
    // Nothing to do and nothing to approve. Configurations may be written in another way.
    if (!isListChanged && plan !== undefined && isEmptyPlan(plan)) return withoutPlan;
    added[planProperty] = plan === undefined ? unknownValue : canonicalPlan(plan);
    added[digestProperty] = plan === undefined ? unknownValue : planDigest(plan);
    // A saved plan from a preview that approved nothing fits the approved deployment: only the deployment knows this value.
    if (approved !== undefined)
      added[approvalProperty] = preview
        ? unknownValue
        : formatConfirmation({
            digest: approved.digest,
            program,
            run: this.#surroundings.run ?? "",
          });
    const reason =
      approved === undefined || plan === undefined ? undefined : approvedPlanMismatch(approved, plan);
    return {
      ...withoutPlan,
      failures: reason === undefined ? [] : [{ property: "", reason }],
    };
  }

  /** A check is due when a node should run something else; membership changes and the plan are shown. Other changes are only stored. */
  async diff(
    _urn: string,
    state: Properties,
    news: Properties,
    oldInputs: Properties,
  ): Promise<DetailedDiffResult> {
    const isLook = isLookDue(state, news);
    // A refresh compares with what an earlier run planned and approved: both are unchanged.
    const approval = news[approvalProperty];
    const isApproved =
      hasUnknown(approval) ||
      (typeof approval === "string" && parseConfirmation(approval).run === (this.#surroundings.run ?? ""));
    const isPlanned =
      news[digestProperty] !== undefined &&
      ((approval !== undefined && isApproved) || oldInputs[digestProperty] !== news[digestProperty]);
    const leaving = hasUnknown(news["nodes"]) ? [] : findLeaving(oldInputs, news);
    if (!isLook && !isPlanned && leaving.length === 0) return { changes: false };
    // If nothing is shown, the engine lists all inputs as they were.
    const images = oldInputs["images"] === undefined ? "add" : "update";
    const details: Details = isLook ? { [news["images"] === undefined ? "nodes" : "images"]: images } : {};
    for (const { member } of leaving) {
      details[propertyPath("members", member.name)] = "delete";
      details[propertyPath("leaving", member.name)] = "add";
    }
    if (isPlanned) details[digestProperty] = "add";
    return {
      changes: true,
      changed: [
        ...(isLook ? ["nodes"] : []),
        ...(leaving.length > 0 ? ["leaving"] : []),
        ...(isPlanned ? [planProperty, digestProperty] : []),
      ],
      details,
    };
  }

  async create(urn: string, { values, secrets }: Unwrapped): Promise<{ id: string; outs: Properties }> {
    const confirmed = this.#confirmation(values);
    await this.#refuseJoins(urn, values, new Set());
    await lookBeforeChanges(this.#surroundings, urn, preflightInputs(values), new Set(), this.#stop);
    return { id: "readiness", outs: wrap({ ...values, ...confirmed }, [...secrets, ...alwaysSecret]) };
  }

  async update(
    _id: string,
    urn: string,
    state: Properties,
    { values, secrets }: Unwrapped,
  ): Promise<Properties> {
    const known = new Set(nodesByName(state["nodes"]).map(([name]) => name));
    const confirmed = this.#confirmation(values);
    await this.#refuseJoins(urn, values, known);
    if (isLookDue(state, values))
      await lookBeforeChanges(this.#surroundings, urn, preflightInputs(values), known, this.#stop);
    return wrap({ ...values, ...confirmed }, [...secrets, ...alwaysSecret]);
  }

  /** A refresh: the engine will ask for every node. */
  async read(_urn: string, state: Properties): Promise<Properties> {
    void this.#readAhead(state);
    return state;
  }

  async #readAhead(state: Properties): Promise<void> {
    try {
      await this.#ahead?.begin(preflightNodes(preflightInputs(state)));
    } catch {
      // Each node's resource reads its node itself, and reports what fails.
    }
  }

  #refuseJoins(urn: string, values: Properties, known: ReadonlySet<string>): Promise<void> {
    const call = { known, changed: nothingDeployedYet, signal: this.#stop };
    return refuseEtcdJoins(this.#surroundings, urn, preflightNodes(preflightInputs(values)), call);
  }

  inputsOf({ [confirmedProperty]: _confirmed, ...inputs }: Properties): Properties {
    return inputs;
  }

  #planDeployment(
    urn: string,
    before: Properties,
    inputs: Properties,
    leaving: readonly Departure[],
  ): Promise<RolloutPlan | undefined> {
    const { configurations = {}, hidden } = withDefaults(plannedSchema, inputs);
    return planDeployment(
      this.#surroundings,
      urn,
      {
        rollout: preflightInputs(inputs),
        configurations,
        hidden,
        leaving,
        known: new Set(nodesByName(before["nodes"]).map(([name]) => name)),
      },
      this.#stop,
    );
  }

  /** The check has just compared the approved plan with this one. */
  #confirmation(values: Properties): Properties {
    const approval = values[approvalProperty];
    if (typeof approval !== "string") return {};
    const plan = planFromInput(values[planProperty]);
    if (plan === undefined)
      throw new Error(
        coded(
          "plan-unknown",
          "approvedPlan is set, and the changes of this deployment are not known yet: a machine configuration or an image is unknown",
        ),
      );
    const confirmed = { ...parseConfirmation(approval), run: this.#surroundings.run ?? "" };
    return { [confirmedProperty]: approvalInRun(confirmed, plan) };
  }
}

/** Configurations grow with the cluster: only the plan reads them. */
const plannedSchema = readinessSchema.pick({ configurations: true, hidden: true });
const ownSchema = readinessSchema.pick({ approvedPlan: true, preview: true, run: true });
const readinessInputs = (inputs: Properties) => withDefaults(ownSchema, inputs);

function memberInputs(inputs: Properties, leaving: readonly Departure[]): Properties {
  const members = Object.fromEntries(
    nodesByName(inputs["nodes"]).map(([name, { role, node }]) => [
      name,
      `${String(role)} at ${String(node)}`,
    ]),
  );
  const images = imagesOf(inputs);
  const always = { members, ...(images === undefined ? {} : { images }) };
  if (leaving.length === 0) return always;
  return {
    ...always,
    leaving: Object.fromEntries(leaving.map(({ member, way }) => [member.name, fateText[way]])),
  };
}

const textSchema = configurationSchema.pick({ text: true });

/** A hash of each machine configuration, by node name. Configurations are full of random keys, so the hash can't be used to test guesses. */
function hashesOf(configurations: Properties): Properties {
  return Object.fromEntries(
    Object.entries(configurations).map(([name, configuration]) => {
      const text = textSchema.safeParse(configuration).data?.text;
      const isKnown = text !== undefined && !hasUnknown(text);
      return [name, isKnown ? createHash("sha256").update(text).digest("hex") : unknownValue];
    }),
  );
}

/** Older states have no configurations: that is not a change. */
function configurationsDiffer(before: unknown, hashes: Properties | undefined): boolean {
  if (!isRecord(before) || hashes === undefined) return false;
  return Object.entries(hashes).some(([name, hash]) => before[name] !== hash);
}

/** The nodes' desired images, each once: `v1.13.9 with schematic c9078f941996…`. Undefined while unknown. */
function imagesOf(inputs: Properties): string | undefined {
  const described = nodesByName(inputs["nodes"]).map(([, { talosVersion, schematicId }]) => {
    const schematic = schematicId ?? inputs["schematicId"];
    return typeof talosVersion === "string" && typeof schematic === "string" && !hasUnknown(schematic)
      ? describeImage(talosVersion, schematic)
      : undefined;
  });
  const known = described.filter((text) => text !== undefined);
  return known.length === 0 || known.length < described.length ? undefined : [...new Set(known)].join(", ");
}

function isLookDue(state: Properties, news: Properties): boolean {
  if (state["schematicId"] !== news["schematicId"]) return true;
  const before = new Map(nodesByName(state["nodes"]));
  return nodesByName(news["nodes"]).some(([name, node]) => {
    const last = before.get(name);
    return (
      last !== undefined && ["talosVersion", "image", "schematicId"].some((key) => last[key] !== node[key])
    );
  });
}

/** As far as settings tell: a node may also have been changed by hand. */
function changesNodes(before: Properties, inputs: Properties): boolean {
  if (before["nodes"] === undefined) return true;
  if (hasUnknown(before["nodes"]) || hasUnknown(inputs["nodes"])) return false;
  const { configurations } = inputs;
  return (
    isLookDue(before, inputs) ||
    findLeaving(before, inputs).length > 0 ||
    configurationsDiffer(
      before["configurations"],
      isRecord(configurations) ? hashesOf(configurations) : undefined,
    )
  );
}

const fateText: Record<Departure["way"], string> = {
  reset:
    "its machine is RESET: drained, taken out of etcd, its configuration and data wiped; it boots into maintenance mode",
  keep: "its machine is left as it is, and runs on (onRemove: keep)",
  moved: "the machine at its old address is left as it is: the node is listed with another address now",
};

function findLeaving(before: Properties, inputs: Properties): Departure[] {
  return departures(knownMembers({ nodes: before["nodes"] }), membershipInputs(inputs));
}

/** Read once; the state keeps none of it. */
const notKept: readonly string[] = [
  ...["configurations", "contract", "hidden", "approvedPlan", "preview", "run"],
  "kubernetes",
];

/** Inputs that a preflight doesn't take. */
const ownInputs: readonly string[] = [
  ...["onRemove", "leaving", "members", "images", "hardware"],
  ...notKept,
  ...[planProperty, digestProperty, approvalProperty, confirmedProperty, refusedProperty],
];

/** Draining needs a kubeconfig, which a new cluster has only after its nodes are configured; the preflight checks it. */
const drainDisabled = { enabled: false };

/** A preflight's inputs: what happens to a leaving machine is not among them. */
function preflightInputs({ nodes, ...inputs }: Properties): Properties {
  const shared = Object.entries(inputs).filter(([key]) => !ownInputs.includes(key));
  const rollout = { ...Object.fromEntries(shared), drain: drainDisabled };
  if (typeof nodes !== "object" || nodes === null) return { ...rollout, nodes };
  const without = Object.entries(nodes as Record<string, Properties>).map(([name, node]) => {
    const { onRemove: _own, ...rest } = node;
    return [name, rest];
  });
  return { ...rollout, nodes: Object.fromEntries(without) as Properties };
}
