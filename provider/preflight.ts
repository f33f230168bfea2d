import { pathAdvisories } from "./advice.ts";
import { stopIfCancelled, type UpgradeContext } from "./context.ts";
import { NodeMoved, PreflightError, type StepName, type UpgradeError } from "./errors.ts";
import { isSettled, type NodeFacts } from "./facts.ts";
import { nodeUpgradeInputs, type NodeUpgradeInputs } from "./inputs.ts";
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
): Promise<PreflightNode[]> {
  const wanted = preflightNodes(inputs);
  const sessions = await Promise.all(
    wanted.map((node) => Session.open(speakingFor(surroundings, node.name), urn, node, signal)),
  );
  const survey = new Survey(sessions.map(({ context }) => context));
  try {
    await survey.inspect();
    await survey.guard();
    survey.refuse();
    const sink = surroundings.statusOf(urn);
    for (const advice of adviceFor(survey.due())) sink.warn(advice);
    if (inputs["prePull"] !== false) await survey.pull();
    survey.refuse();
    return survey.nodes.map(({ context, facts }) => ({
      name: context.wanted.name,
      runs: facts?.version ?? "",
      due: facts !== undefined && !isSettled(facts, context.wanted),
    }));
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error(
      "cancelled before the rollout was begun: no node was touched. The next `pulumi up` begins again.",
      { cause: error },
    );
  } finally {
    for (const session of sessions) session.close();
  }
}

/** Each node's inputs as its NodeUpgrade has them: what is its own, and what all share. */
export function preflightNodes(inputs: Record<string, unknown>): NodeUpgradeInputs[] {
  const { nodes, ...shared } = inputs;
  return (nodes as Record<string, unknown>[]).map((node) => nodeUpgradeInputs({ ...shared, ...node }));
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

  constructor(contexts: readonly UpgradeContext[]) {
    this.nodes = contexts.map((context) => ({ context }));
  }

  async inspect(): Promise<void> {
    await this.#each("inspect", this.nodes, Infinity, async (node) => {
      node.facts = await inspect(node.context);
    });
  }

  async guard(): Promise<void> {
    const rooms = await this.#rooms();
    const first = await this.#firstToGo();
    await this.#each("guard", this.due(), Infinity, async (node) => {
      await guardAtRest(node.context, node);
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
    const problems = this.nodes.flatMap(({ problem }) => (problem === undefined ? [] : [problem.message]));
    if (problems.length > 0) throw new PreflightError(problems, this.nodes.length);
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
async function guardAtRest(context: UpgradeContext, node: Due): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      if (!isSettled(node.facts, context.wanted)) await guard(context, node.facts);
      return;
    } catch (error) {
      if (!(error instanceof NodeMoved) || round === rounds) throw error;
      context.talos.reconnect();
      node.facts = await inspect(context);
    }
  }
}

/** What is known of the nodes' ways, each thing once with the nodes it concerns. */
export function adviceFor(
  due: readonly { context: { wanted: NodeUpgradeInputs }; facts: NodeFacts }[],
): string[] {
  const concerned = new Map<string, string[]>();
  for (const { context, facts } of due) {
    const { name, talosVersion, extensions, image } = context.wanted;
    for (const advice of pathAdvisories(facts.version, talosVersion, extensions, image)) {
      concerned.set(advice, [...(concerned.get(advice) ?? []), name]);
    }
  }
  return [...concerned].map(([advice, names]) => `${names.join(", ")}: ${advice}`);
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
