import type { DiffResult } from "@pulumi/pulumi/provider/provider.js";
import type { CheckFailure } from "../check.ts";
import type { OtherResource } from "../otherResource.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "../secrets.ts";
import type { Surroundings } from "../session.ts";
import { alwaysSecret } from "../state.ts";
import { UnfinishedError } from "../unfinished.ts";
import { checkMembership } from "./checkMembership.ts";
import { changeMembership, MembershipError, pendingDepartures, previewDepartures } from "./membership.ts";

export const membershipType = "talos-node:index:ClusterMembership";

/**
 * The list of the cluster's nodes. An update that makes it shorter takes nodes out. Removals are updates and never deletions: a deletion may
 * be `pulumi destroy`, which must not wipe machines.
 */
export class MembershipResource implements OtherResource {
  readonly #surroundings: Surroundings;
  readonly #stop: AbortSignal;
  #leaving: string[] = [];

  constructor(surroundings: Surroundings, stop: AbortSignal) {
    this.#surroundings = surroundings;
    this.#stop = stop;
  }

  /** Addresses of the control planes that this deployment resets, as long as it has not done so. */
  get leaving(): readonly string[] {
    return this.#leaving;
  }

  check(inputs: Properties): CheckFailure[] {
    return checkMembership(inputs);
  }

  async diff(urn: string, state: Properties, news: Properties): Promise<DiffResult> {
    if (hasUnknown(news["nodes"]) || hasUnknown(news["clientConfiguration"])) return {};
    const leaving = pendingDepartures(state, news);
    if (leaving.length === 0) return {};
    await previewDepartures(this.#surroundings, urn, state, news, this.#stop);
    this.#leaving = leaving.flatMap(({ member, way }) =>
      way === "reset" && member.role === "controlplane" ? [member.node] : [],
    );
    return { changes: true };
  }

  async create(_urn: string, { values, secrets }: Unwrapped): Promise<{ id: string; outs: Properties }> {
    const outs = { ...values, members: values["nodes"] };
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
      this.#leaving = [];
      return wrap({ ...values, members }, marked);
    } catch (error) {
      if (!(error instanceof MembershipError)) throw error;
      throw new UnfinishedError(error.message, id, wrap({ ...values, members: error.members }, marked));
    }
  }

  inputsOf({ members: _members, ...inputs }: Properties): Properties {
    return inputs;
  }
}
