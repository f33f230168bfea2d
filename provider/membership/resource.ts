import { changedInputs, type DetailedDiffResult, type Details } from "../detailedDiff.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { propertyPath } from "../rollout.ts";
import { checkKubeconfigExpiry } from "../certificates/expiry.ts";
import type { CheckFailure } from "../check.ts";
import { wallClockMs } from "../clock.ts";
import type { AddedInputs, PluginResource } from "../pluginResource.ts";
import { refusedInput, refusedProperty } from "../refusals.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "../secrets.ts";
import type { StatusSink } from "../progress.ts";
import type { Surroundings } from "../session.ts";
import { alwaysSecret, inputsWithoutUpdate } from "../state.ts";
import { checkDriverChanges } from "../storage/driverChanges.ts";
import { UnfinishedError } from "../unfinished.ts";
import { checkMembership } from "./checkMembership.ts";
import { knownMembers } from "../../talos/members.ts";
import { membersByName } from "./members.ts";
import {
  changeMembership,
  MembershipError,
  pendingDepartures,
  previewDepartures,
  RemovalRefused,
} from "./membership.ts";

export const membershipType = "talos-node:index:ClusterMembership";

/**
 * The list of the cluster's nodes. An update that shortens it removes nodes. Removals are updates, never deletions: a deletion may be `pulumi destroy`, which
 * must not wipe machines.
 */
export class MembershipResource implements PluginResource {
  readonly #surroundings: Surroundings;
  readonly #stop: AbortSignal;
  /** Results of a preview's check per resource, reused by its diff: the machines are asked once. */
  readonly #heldWarnings = new Map<string, { of: string; warnings: string[] }>();

  constructor(surroundings: Surroundings, stop: AbortSignal) {
    this.#surroundings = surroundings;
    this.#stop = stop;
  }

  check(inputs: Properties): CheckFailure[] {
    return checkMembership(inputs);
  }

  /** This deployment's kubeconfig: of the first resources only this one has it. */
  async checkAgainstNodes(urn: string, _before: Properties, inputs: Properties): Promise<CheckFailure[]> {
    return checkKubeconfigExpiry(inputs, wallClockMs(this.#surroundings), this.#surroundings.statusOf(urn));
  }

  /**
   * Drivers that leave are checked in every run. Why a change is refused in a preview is passed as an extra input, so that the preflight reports it with
   * everything else.
   */
  async deriveInputs(urn: string, before: Properties, inputs: Properties): Promise<AddedInputs> {
    const isPreview = inputs["preview"] === true;
    const looking = { surroundings: this.#surroundings, urn, isPreview };
    const { failures, leaving } = await checkDriverChanges(looking, before, inputs);
    const added = Object.keys(leaving).length === 0 ? {} : { leavingDrivers: leaving };
    const derived: AddedInputs = { added, dropped: ["preview", "acceptDriverChanges"] };
    if (!isPreview) return { ...derived, failures };
    const refusals = [...(await this.#refusedDepartures(urn, before, inputs)), ...failures];
    return { ...derived, added: { ...added, ...refusedInput(refusals) } };
  }

  async #refusedDepartures(urn: string, before: Properties, inputs: Properties): Promise<CheckFailure[]> {
    const known = before["nodes"] !== undefined && !hasUnknown([before["nodes"], inputs["nodes"]]);
    if (!known || hasUnknown(inputs["clientConfiguration"])) return [];
    if (pendingDepartures(before, inputs).length === 0) return [];
    // The diff shows what happens to each node.
    const warnings: string[] = [];
    const sink = { ...silentSink, warn: (text: string) => void warnings.push(text) };
    try {
      await previewDepartures(
        { ...this.#surroundings, statusOf: () => sink },
        urn,
        before,
        inputs,
        this.#stop,
      );
      this.#heldWarnings.set(urn, { of: requestedMembership(inputs), warnings });
      return [];
    } catch (error) {
      if (!(error instanceof RemovalRefused)) throw error;
      return [{ property: "", reason: error.message }];
    }
  }

  async diff(
    urn: string,
    state: Properties,
    news: Properties,
    oldInputs: Properties,
  ): Promise<DetailedDiffResult> {
    if (hasUnknown(news["nodes"])) return {};
    const leaving = pendingDepartures(state, news);
    const { changed, details } = memberDetails(oldInputs, news);
    // The resource must change, or the preflight would get the refusal of the last deployment: none.
    if (news[refusedProperty] !== undefined) {
      details[refusedProperty] = "add";
      changed.push(refusedProperty);
    }
    if (leaving.length === 0)
      return changed.length === 0 ? { changes: false } : { changes: true, changed, details };
    if (hasUnknown(news["clientConfiguration"])) return {};
    if (news[refusedProperty] === undefined) await this.#tell(urn, state, news);
    if (Object.keys(details).length === 0) details["nodes"] = "update";
    return { changes: true, changed: [...new Set(["nodes", ...changed])], details };
  }

  async #tell(urn: string, state: Properties, news: Properties): Promise<void> {
    const held = this.#heldWarnings.get(urn);
    this.#heldWarnings.delete(urn);
    if (held?.of !== requestedMembership(news))
      return previewDepartures(this.#surroundings, urn, state, news, this.#stop);
    for (const warning of held.warnings) this.#surroundings.statusOf(urn).warn(warning);
  }

  async create(_urn: string, { values, secrets }: Unwrapped): Promise<{ id: string; outs: Properties }> {
    const outs = { ...outputs(values), members: membersByName(knownMembers({ nodes: values["nodes"] })) };
    return { id: "membership", outs: wrap(outs, [...secrets, ...alwaysSecret]) };
  }

  async update(
    id: string,
    urn: string,
    state: Properties,
    { values, secrets }: Unwrapped,
  ): Promise<Properties> {
    const marked = [...secrets, ...alwaysSecret];
    try {
      const members = await changeMembership(this.#surroundings, urn, state, values, this.#stop);
      return wrap({ ...outputs(values), members: membersByName(members) }, marked);
    } catch (error) {
      if (!(error instanceof MembershipError)) throw error;
      throw new UnfinishedError(
        error.message,
        id,
        wrap({ ...outputs(values), members: membersByName(error.members) }, marked),
      );
    }
  }

  inputsOf({ members: _members, ...inputs }: Properties): Properties {
    return inputs;
  }
}

/** Without the inputs that change without an update. */
function outputs(values: Properties): Properties {
  return Object.fromEntries(Object.entries(values).filter(([key]) => !inputsWithoutUpdate.includes(key)));
}

const doNothing = (): void => undefined;
const silentSink: StatusSink = { status: doNothing, info: doNothing, warn: doNothing };

/** What the machines are asked about. */
function requestedMembership({ nodes, onRemove, endpoints }: Properties): string {
  return JSON.stringify([nodes, onRemove, endpoints]);
}

/** Added, removed and changed nodes by name; unchanged nodes are left out, whatever their place in an older state's list. */
function memberDetails(oldInputs: Properties, news: Properties): { changed: string[]; details: Details } {
  const [before, after] = [oldInputs, news].map((inputs) => Object.fromEntries(nodesByName(inputs["nodes"])));
  const others = changedInputs(oldInputs, news, [
    "nodes",
    "members",
    "approval",
    refusedProperty,
    ...inputsWithoutUpdate,
    ...alwaysSecret,
  ]);
  const nodes = changedInputs(before ?? {}, after ?? {});
  const details: Details = { ...others };
  const list = Array.isArray(oldInputs["nodes"]) ? (oldInputs["nodes"] as { name?: unknown }[]) : undefined;
  for (const [name, kind] of Object.entries(nodes)) {
    // A list of 0.1.0 has no keys: removals are shown by their index there, changes under their current name.
    const place = list?.findIndex((node) => node.name === name);
    const gone = place === undefined ? propertyPath("nodes", name) : `nodes[${place}]`;
    details[kind === "delete" ? gone : propertyPath("nodes", name)] =
      kind === "update" && list !== undefined ? "add" : kind;
  }
  return {
    changed: [...(Object.keys(nodes).length === 0 ? [] : ["nodes"]), ...Object.keys(others)],
    details,
  };
}
