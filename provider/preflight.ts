import { TalosError } from "../talos/api/errors.ts";
import { pathAdvisories } from "./advice.ts";
import type { ChangedSoFar } from "./changedSoFar.ts";
import { stopIfCancelled, type UpgradeContext } from "./context.ts";
import { NodeMoved, PreflightError, type StepName, type UpgradeError } from "./errors.ts";
import { isSettled, readFacts, type NodeFacts } from "./facts.ts";
import type { Finding } from "./guards/finding.ts";
import { nodeUpgradeInputs, type NodeUpgradeInputs } from "./inputs.ts";
import { nodesByName } from "./nodesByName.ts";
import { requireGates } from "./rollout/gates.ts";
import { budgetOf, requireRoom } from "./rollout/budget.ts";
import { closedWindow } from "./rollout/window.ts";
import { Session, type Surroundings } from "./session.ts";
import { guard } from "./steps/guard.ts";
import { inspect } from "./steps/inspect.ts";
import { pull } from "./steps/pull.ts";
import { explain, rounds } from "./upgrade.ts";

/** How many nodes fetch the image at once: enough to use a registry's line, not so many that it turns them away. */
const pullsAtOnce = 8;

/** A node as the preflight found it. */
export interface PreflightNode {
  name: string;
  /** Talos release that runs. */
  runs: string;
  /** Whether the rollout is going to upgrade it. */
  due: boolean;
}

/**
 * Looks at every node before the first is touched: whoever cannot be upgraded stops all, since a rollout that ends in the
 * middle leaves a cluster of two releases. Then every node that is due fetches its image.
 */
export async function preflight(
  surroundings: Surroundings,
  urn: string,
  inputs: Record<string, unknown>,
  signal: AbortSignal,
  changed: ChangedSoFar,
): Promise<PreflightNode[]> {
  return surveyed(
    surroundings,
    urn,
    inputs,
    signal,
    () => changed.beforeRollout,
    async (survey) => {
      await survey.inspect();
      await survey.guard();
      survey.refuse();
      const sink = surroundings.statusOf(urn);
      for (const advice of adviceFor(survey.due(), surroundings.advised)) sink.warn(advice);
      if (inputs["prePull"] !== false) await survey.pull();
      survey.refuse();
      return survey.nodes.map(({ context, facts }) => ({
        name: context.wanted.name,
        runs: facts?.version ?? "",
        due: facts !== undefined && !isSettled(facts, context.wanted),
      }));
    },
  );
}

const nothingYet =
  "Nothing was changed on any node: no machine configuration was applied, and no node was upgraded or rebooted.";

/**
 * The part of the preflight that only reads, before the first machine configuration is applied: a configuration names the image that its node is to
 * run, so that a rollout which cannot begin is to change no configuration either. Members of etcd that this deployment may take out first are no
 * obstacle yet.
 * @param known nodes that the state has: one that is new may have no configuration yet, and is left for the preflight where it does not answer
 */
export async function lookBeforeChanges(
  surroundings: Surroundings,
  urn: string,
  inputs: Record<string, unknown>,
  known: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const hint =
    "Where a changed machine configuration is to fix this, deploy it with the release that runs now, then change the release.";
  await surveyed(
    surroundings,
    urn,
    inputs,
    signal,
    () => `${nothingYet} ${hint}`,
    async (survey) => {
      await survey.inspect(({ name }) => known.has(name));
      await survey.guard(() => undefined);
      survey.refuse();
    },
  );
}

async function surveyed<T>(
  surroundings: Surroundings,
  urn: string,
  inputs: Record<string, unknown>,
  signal: AbortSignal,
  changed: () => string,
  work: (survey: Survey) => Promise<T>,
): Promise<T> {
  const sessions = await Promise.all(
    preflightNodes(inputs).map((node) =>
      Session.open(speakingFor(surroundings, node.name), urn, node, signal),
    ),
  );
  try {
    return await work(
      new Survey(
        sessions.map(({ context }) => context),
        changed,
      ),
    );
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error(
      `cancelled before the rollout was begun. ${changed()} The next \`pulumi up\` begins again.`,
      {
        cause: error,
      },
    );
  } finally {
    for (const session of sessions) session.close();
  }
}

/** Each node's inputs as its NodeUpgrade has them: what is its own, and what all share. */
export function preflightNodes(inputs: Record<string, unknown>): NodeUpgradeInputs[] {
  const { nodes, ...shared } = inputs;
  return nodesByName(nodes).map(([, node]) => nodeUpgradeInputs({ ...shared, ...node }));
}

/** A node, as far as the survey has come with it. */
interface Surveyed {
  readonly context: UpgradeContext;
  facts?: NodeFacts;
  /** What stands against its upgrade. */
  problem?: UpgradeError;
}

interface Due extends Surveyed {
  facts: NodeFacts;
}

/** Takes all nodes through each step before the next, so that a node that is just booting disturbs nobody's guard. */
class Survey {
  readonly nodes: Surveyed[];

  readonly #changed: () => string;

  constructor(contexts: readonly UpgradeContext[], changed: () => string) {
    this.nodes = contexts.map((context) => ({ context }));
    this.#changed = changed;
  }

  /** @param mustAnswer nodes that are waited for; the others are asked once */
  async inspect(mustAnswer: (node: NodeUpgradeInputs) => boolean = () => true): Promise<void> {
    await this.#each("inspect", this.nodes, Infinity, async (node) => {
      const { context } = node;
      const facts = mustAnswer(context.wanted) ? await inspect(context) : await askOnce(context);
      if (facts !== undefined) node.facts = facts;
    });
  }

  /** @param onStray as for the step: members of etcd on no known control plane are no obstacle then */
  async guard(onStray?: (finding: Finding) => void): Promise<void> {
    const rooms = await this.#rooms();
    const first = await this.#firstToGo();
    await this.#each("guard", this.due(), Infinity, async (node) => {
      await guardAtRest(node.context, node, onStray);
      if (rooms.has(node)) await requireRoom(node.context);
      // The same for all of them: one speaks for the rollout.
      if (node === first) await requireGates(node.context, "guard");
    });
  }

  /** The first node that is due; none while no window is open. */
  async #firstToGo(): Promise<Due | undefined> {
    const [first] = this.due();
    return first === undefined || (await closedWindow(first.context)) !== undefined ? undefined : first;
  }

  /** The first node of each group that is due: it speaks for all of them. None while no window is open, since then no node goes down. */
  async #rooms(): Promise<Set<Due>> {
    const first = new Map<string, Due>();
    for (const node of this.due()) {
      const group = budgetOf(node.context)?.group;
      if (group === undefined || first.has(group)) continue;
      if ((await closedWindow(node.context)) === undefined) first.set(group, node);
    }
    return new Set(first.values());
  }

  async pull(): Promise<void> {
    await this.#each("pull", this.due(), pullsAtOnce, async ({ context, facts }) => {
      await pull(context, facts);
    });
  }

  /** Nodes that answered, and do not run the wanted image. */
  due(): Due[] {
    return this.nodes.filter(
      (node): node is Due => node.facts !== undefined && !isSettled(node.facts, node.context.wanted),
    );
  }

  /** @throws PreflightError with everything that was found */
  refuse(): void {
    const problems = this.nodes.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
    if (problems.length > 0) throw new PreflightError(problems, this.nodes.length, this.#changed());
  }

  /** The same step for many nodes, so many at a time; what goes wrong is kept with the node. */
  async #each<N extends Surveyed>(
    step: StepName,
    nodes: readonly N[],
    atOnce: number,
    work: (node: N) => Promise<void>,
  ): Promise<void> {
    const queue = [...nodes];
    const worker = async (): Promise<void> => {
      for (let node = queue.shift(); node !== undefined; node = queue.shift()) {
        stopIfCancelled(node.context);
        node.context.timer.start();
        node.context.progress.step(step);
        try {
          await work(node);
        } catch (error) {
          stopIfCancelled(node.context);
          node.problem = explain(node.context, step, error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, nodes.length) }, worker));
  }
}

/** A node that goes down while it is looked at is looked at again when it is back; it may be settled then. */
async function guardAtRest(
  context: UpgradeContext,
  node: Due,
  onStray?: (finding: Finding) => void,
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      if (!isSettled(node.facts, context.wanted))
        await guard(context, node.facts, { survey: true, ...(onStray === undefined ? {} : { onStray }) });
      return;
    } catch (error) {
      if (!(error instanceof NodeMoved) || round === rounds) throw error;
      context.talos.reconnect();
      node.facts = await inspect(context);
    }
  }
}

async function askOnce({ talos, wanted, patience, signal }: UpgradeContext): Promise<NodeFacts | undefined> {
  try {
    return await readFacts(talos, wanted, { deadlineMs: patience.probeMs * 2, signal });
  } catch (error) {
    if (error instanceof TalosError && error.kind !== "cancelled") return undefined;
    throw error;
  }
}

/**
 * What is known of the nodes' ways, each thing once with the nodes it concerns.
 * @param advised what this process has told already
 */
export function adviceFor(
  due: readonly { context: { wanted: NodeUpgradeInputs }; facts: NodeFacts }[],
  advised: Set<string>,
): string[] {
  const concerned = new Map<string, string[]>();
  for (const { context, facts } of due) {
    const { name, talosVersion, extensions, image } = context.wanted;
    for (const advice of pathAdvisories(facts.version, talosVersion, extensions, image)) {
      concerned.set(advice, [...(concerned.get(advice) ?? []), name]);
    }
  }
  return [...concerned].flatMap(([advice, names]) => {
    if (advised.has(advice)) return [];
    advised.add(advice);
    return [`${names.join(", ")}: ${advice}`];
  });
}

/** The one status line of the resource says which node it speaks of. */
function speakingFor(surroundings: Surroundings, name: string): Surroundings {
  return {
    ...surroundings,
    statusOf: (urn) => {
      const sink = surroundings.statusOf(urn);
      return {
        status: (text) => sink.status(`${name}: ${text}`),
        info: (text) => sink.info(text),
        warn: (text) => sink.warn(text),
      };
    },
  };
}
