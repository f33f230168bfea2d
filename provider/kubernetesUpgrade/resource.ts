import { coded } from "../../talos/errorCodes.ts";
import { approvalProperty } from "../approval.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { changedInputs, type DetailedDiffResult } from "../detailedDiff.ts";
import type { CheckFailure } from "../check.ts";
import type { PluginResource } from "../pluginResource.ts";
import { nodesByName } from "../../talos/nodesByName.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "../secrets.ts";
import type { Surroundings } from "../session.ts";
import { alwaysSecret } from "../state.ts";
import { kubernetesReleasesBetween } from "../../talos/kubernetesPath.ts";
import { UnfinishedError } from "../unfinished.ts";
import { checkKubernetesUpgrade, kubernetesUpgradeInputs, type KubernetesUpgradeInputs } from "./inputs.ts";
import {
  nodeComponents,
  describeReleases,
  isAtRelease,
  lookAtCluster,
  progressText,
  releasesIn,
  releaseTable,
  silentText,
  type ClusterLook,
} from "./look.ts";
import { previewManifests } from "./manifests.ts";
import { findObstacles, upgradeThroughMinors } from "./upgrade.ts";
import { kubernetesTimeline } from "./timeline.ts";
import { refusedError, Work, type UpgradePart } from "./work.ts";

export const kubernetesUpgradeType = "talos-node:index:KubernetesUpgrade";

/** Outputs: what each node runs, what ran when the stack adopted the cluster, why the rest of an upgrade waits, and whether one failed. */
const outputProperties = ["running", "adopted", "postponed", "unfinished", "timeline"] as const;

/** How the upgrade proceeds from node to node: read when one is due; changing these alone changes nothing. */
const policyProperties = [
  "rollout",
  "drain",
  "storageGate",
  "timeoutSeconds",
  "prePull",
  "acceptRemovedApis",
  "removedObjects",
  "through",
];

/**
 * The Kubernetes of a cluster. Creating it changes nothing: a cluster keeps its release until the version in the settings changes. An update upgrades; a
 * refresh reads what runs.
 */
export class KubernetesUpgradeResource implements PluginResource {
  readonly #surroundings: Surroundings;
  readonly #reading: Surroundings;
  readonly #stop: AbortSignal;

  /** @param reading the surroundings for a refresh. Default: those of all other operations */
  constructor(surroundings: Surroundings, stop: AbortSignal, reading = surroundings) {
    this.#surroundings = surroundings;
    this.#reading = reading;
    this.#stop = stop;
  }

  check(inputs: Properties): CheckFailure[] {
    return checkKubernetesUpgrade(inputs);
  }

  async diff(
    urn: string,
    state: Properties,
    news: Properties,
    oldInputs: Properties,
  ): Promise<DetailedDiffResult> {
    const isDue = isUpgradeDue(state, news);
    const others = changedInputs(comparableInputs(oldInputs), comparableInputs(news), [
      ...policyProperties,
      ...outputProperties,
      ...alwaysSecret,
      approvalProperty,
      "kubernetesVersion",
    ]);
    if (!isDue) {
      const changed = Object.keys(others);
      return changed.length === 0 ? { changes: false } : { changes: true, changed, details: others };
    }
    const { [approvalProperty]: _approval, ...known } = news;
    if (!hasUnknown(known)) await this.#previewUpgrade(urn, known, state["unfinished"] !== undefined);
    return {
      changes: true,
      changed: ["kubernetesVersion", ...Object.keys(others)],
      details: { ...others, kubernetesVersion: "update" },
    };
  }

  async create(urn: string, { values, secrets }: Unwrapped): Promise<{ id: string; outs: Properties }> {
    const wanted = String(values["kubernetesVersion"]);
    const look = await this.#look(urn, values);
    if (look.nodes.length === 0)
      throw new Error(
        coded(
          "node-unreachable",
          `cannot determine which Kubernetes release the cluster runs: ${silentText(look)}`,
        ),
      );
    const outs: Properties = { ...values, running: releaseTable(look) };
    if (look.silent.length > 0)
      this.#surroundings.statusOf(urn).warn(`not every node could be read: ${silentText(look)}`);
    if (!isAtRelease({ ...look, silent: [] }, wanted)) {
      outs["adopted"] = releaseTable(look);
      this.#surroundings
        .statusOf(urn)
        .warn(
          `the cluster runs Kubernetes ${describeReleases(look) ?? "of an unknown release"}, but kubernetesVersion is ${wanted}: Kubernetes is not changed until that setting changes` +
            (releasesIn(look).includes(wanted)
              ? ". An upgrade to it has started: run `pulumi refresh`, and the next `pulumi up` finishes it"
              : ""),
        );
    }
    return { id: "kubernetes", outs: wrap(outs, [...secrets, ...alwaysSecret]) };
  }

  async update(
    id: string,
    urn: string,
    state: Properties,
    { values, secrets }: Unwrapped,
  ): Promise<Properties> {
    const marked = [...secrets, ...alwaysSecret];
    // Only nodes or credentials changed: the cluster stays as it is, and an unreachable node blocks nothing.
    if (!isUpgradeDue(state, values)) {
      const { adopted, timeline } = state;
      const running = releaseTable(await this.#look(urn, values));
      const kept = {
        ...(adopted === undefined ? {} : { adopted }),
        ...(timeline === undefined ? {} : { timeline }),
      };
      return wrap({ ...values, running, ...kept }, marked);
    }
    const inputs = kubernetesUpgradeInputs(values);
    const works: { parts: readonly UpgradePart[] }[] = [];
    const outcome = await upgradeThroughMinors(
      inputs,
      async (release) => {
        const work = await this.#open(urn, { ...values, kubernetesVersion: release });
        works.push(work);
        return work;
      },
      state["unfinished"] !== undefined,
    );
    const way = { from: String(state["kubernetesVersion"]), to: inputs.kubernetesVersion };
    const parts = works.flatMap((work) => work.parts);
    const timeline = kubernetesTimeline({ ...way, parts }, outcome, this.#stop.aborted) ?? state["timeline"];
    const kept = timeline === undefined ? {} : { timeline: timeline as Properties };
    // No nodes are asked after a stop: the state stays as it was, and the next `up` reads the cluster.
    if (!outcome.ok && this.#stop.aborted)
      throw new UnfinishedError(
        outcome.error.message,
        id,
        wrap({ ...values, ...kept, ...keptOutputs(state), unfinished: true }, marked),
      );
    const work = await this.#open(urn, values);
    try {
      const look = await lookAtCluster(work.nodes);
      const now: Properties = { ...values, ...kept, running: releaseTable(look) };
      if (outcome.ok && outcome.postponed === undefined) return wrap(now, marked);
      // Records how far it got; the next `up` continues.
      const reached = describeReleases(look) ?? state["kubernetesVersion"];
      if (outcome.ok) {
        work.warn(`the Kubernetes upgrade is postponed: ${outcome.postponed ?? ""}`);
        return wrap({ ...now, postponed: outcome.postponed }, marked);
      }
      throw new UnfinishedError(
        [outcome.error.message, ...outcome.notes, progressText(look, work.inputs.kubernetesVersion)].join(
          " ",
        ),
        id,
        wrap({ ...now, kubernetesVersion: reached, unfinished: true }, marked),
      );
    } finally {
      work.close();
    }
  }

  /** Replaces the desired release by the running one: a manual cluster upgrade shows as a version change. */
  async read(urn: string, state: Properties): Promise<Properties> {
    if (state["clientConfiguration"] === undefined) return state;
    const look = await this.#look(urn, state, this.#reading);
    if (look.silent.length > 0) {
      this.#surroundings
        .statusOf(urn)
        .warn(
          coded(
            "node-unreachable",
            `not every node could be read, so the state is kept as it was: ${silentText(look)}`,
          ),
        );
      return state;
    }
    const running = releaseTable(look);
    const { adopted, ...rest } = state;
    const inputs = kubernetesUpgradeInputs(state);
    // Unchanged since the stack adopted the cluster. An upgrade stuck halfway to the desired release doesn't count as unchanged: nothing else would finish it.
    const isHalfDone = releasesIn(look).includes(inputs.kubernetesVersion);
    if (adopted !== undefined && !isHalfDone && JSON.stringify(adopted) === JSON.stringify(running))
      return { ...state, running };
    if (isAtRelease(look, inputs.kubernetesVersion)) return { ...rest, running };
    return { ...rest, running, kubernetesVersion: describeReleases(look) ?? inputs.kubernetesVersion };
  }

  inputsOf(state: Properties): Properties {
    return Object.fromEntries(
      Object.entries(state).filter(([key]) => !(outputProperties as readonly string[]).includes(key)),
    );
  }

  /** Shows in a preview what will happen, and refuses what would be refused later. */
  async #previewUpgrade(urn: string, news: Properties, isUnfinished: boolean): Promise<void> {
    const work = await this.#open(urn, news);
    try {
      const look = await lookAtCluster(work.nodes);
      if (look.nodes.length === 0) {
        work.warn(
          `cannot determine from here which Kubernetes release the cluster runs: ${silentText(look)}`,
        );
        return;
      }
      const findings = await findObstacles(work, look, true);
      const lasting = findings.filter(({ mayPass }) => !mayPass);
      if (lasting.length > 0) throw refusedError(work, lasting);
      for (const { problem, hint } of findings) work.warn(`${problem}. ${hint}`);
      if (look.silent.length > 0) work.warn(`not every node answers now: ${silentText(look)}`);
      const isThere = isAtRelease(look, work.inputs.kubernetesVersion) && !isUnfinished;
      const lines = [
        ...planLines(look, work.inputs.kubernetesVersion),
        ...(isThere ? [] : await manifestLines(work, look)),
      ];
      if (lines.length > 0)
        work.info(
          `Kubernetes ${[work.inputs.kubernetesVersion, ...intermediateReleaseLines(look, work.inputs)].join(", through ")}:\n${lines.map((line) => `  ${line}`).join("\n")}`,
        );
    } finally {
      work.close();
    }
  }

  async #look(urn: string, values: Properties, surroundings = this.#surroundings): Promise<ClusterLook> {
    const work = await this.#open(urn, values, surroundings);
    try {
      return await lookAtCluster(work.nodes);
    } finally {
      work.close();
    }
  }

  #open(urn: string, values: Properties, surroundings = this.#surroundings): Promise<Work> {
    return Work.open(surroundings, urn, kubernetesUpgradeInputs(this.inputsOf(values)), this.#stop);
  }
}

function isUpgradeDue(state: Properties, news: Properties): boolean {
  return (
    state["kubernetesVersion"] !== news["kubernetesVersion"] ||
    state["postponed"] !== undefined ||
    state["unfinished"] !== undefined
  );
}

function keptOutputs({ kubernetesVersion, running }: Properties): Properties {
  return { kubernetesVersion, running };
}

/** The parts of the nodes that matter here: their Talos belongs to their own upgrades. */
function comparableInputs(inputs: Properties): Properties {
  const nodes = nodesByName(inputs["nodes"]).map(([name, { talosVersion: _talos, ...node }]) => [name, node]);
  return { ...inputs, nodes: Object.fromEntries(nodes) as Properties };
}

/** `~ kubelet: v1.35.4 -> v1.36.1 on w1, w2` */
function planLines({ nodes }: ClusterLook, target: string): string[] {
  const due = new Map<string, string[]>();
  for (const look of nodes) {
    const { node, runs } = look;
    for (const component of nodeComponents(look)) {
      const release = runs[component];
      if (node.pinned.includes(component) || release === target) continue;
      const line = `~ ${component}: ${release ?? "not known"} -> ${target}`;
      due.set(line, [...(due.get(line) ?? []), node.name]);
    }
  }
  return [...due].map(([line, names]) => `${line} on ${names.join(", ")}`);
}

/** Intermediate minor releases: each is a complete upgrade that restarts every kubelet. */
function intermediateReleaseLines(
  look: ClusterLook,
  { kubernetesVersion, through }: KubernetesUpgradeInputs,
): string[] {
  const oldest = releasesIn(look)[0] ?? kubernetesVersion;
  const way = kubernetesReleasesBetween(oldest, kubernetesVersion, through)?.slice(0, -1) ?? [];
  return way.length === 0 ? [] : [way.join(", ")];
}

async function manifestLines(work: Work, look: ClusterLook): Promise<string[]> {
  try {
    return await previewManifests(work, look);
  } catch (error) {
    if (!(error instanceof Error) || (error instanceof TalosError && error.kind === "cancelled")) throw error;
    work.warn(`cannot determine what changes in the bootstrap manifests: ${error.message}`);
    return [];
  }
}
