import { isDeepStrictEqual } from "node:util";
import { planRollout } from "./plan.ts";
import { preflight, type PreflightNode } from "./preflight.ts";
import { hasUnknown, type Properties } from "./secrets.ts";
import type { Surroundings } from "./session.ts";

/**
 * The rollout of the deployment that this process serves. The engine asks for the check of every resource in each deployment, changed or not; so a
 * rollout that an earlier deployment has begun is known here before its next node's turn comes.
 */
export class Rollout {
  readonly #surroundings: Surroundings;
  readonly #signal: AbortSignal;
  readonly #leaving: () => readonly string[];
  #seen: { urn: string; inputs: Properties } | undefined;
  /** The look at all nodes, once in a deployment. */
  #looked: Promise<PreflightNode[]> | undefined;

  /** @param leaving addresses of control planes that are taken out of the cluster before the rollout begins */
  constructor(surroundings: Surroundings, signal: AbortSignal, leaving: () => readonly string[] = () => []) {
    this.#surroundings = surroundings;
    this.#signal = signal;
    this.#leaving = leaving;
  }

  /**
   * What the rollout would do, for the preview to show. Read from the nodes when what they are to run has changed, else what was read then:
   * a preview without a change asks no node.
   */
  async plan(urn: string, olds: Properties, news: Properties): Promise<unknown> {
    if (!hasUnknown(news)) this.#seen = { urn, inputs: news };
    if (olds["plan"] !== undefined && isDeepStrictEqual(wantedOf(olds), wantedOf(news))) return olds["plan"];
    // As long as this is only a preview, who leaves is still a member of etcd.
    const { controlPlanes } = news;
    const now = Array.isArray(controlPlanes)
      ? { ...news, controlPlanes: [...(controlPlanes as unknown[]), ...this.#leaving()] }
      : news;
    const plan = await planRollout(this.#surroundings, urn, now, this.#signal);
    const sink = this.#surroundings.statusOf(urn);
    for (const warning of plan?.warnings ?? []) sink.warn(warning);
    return plan?.lines;
  }

  /** The rollout's beginning: RolloutPreflight is created or changed. */
  begin(urn: string, inputs: Properties): Promise<PreflightNode[]> {
    this.#looked = preflight(this.#surroundings, urn, inputs, this.#signal);
    return this.#looked;
  }

  /**
   * Before the first node of this deployment is disturbed: where an earlier deployment has begun the rollout, or a node has drifted,
   * RolloutPreflight is unchanged, and nobody has looked at the other nodes yet.
   */
  async resume(): Promise<void> {
    if (this.#looked === undefined && this.#seen !== undefined) {
      this.#looked = preflight(
        this.#surroundings,
        this.#seen.urn,
        this.#seen.inputs,
        this.#signal,
        "resumed",
      );
    }
    await this.#looked;
  }
}

/** What the nodes are to run: the plan is about nothing else. */
function wantedOf({ nodes, schematicId, kubernetesVersion }: Properties): unknown {
  return { nodes, schematicId, kubernetesVersion };
}
