import pLimit from "p-limit";
import { coded } from "../talos/errorCodes.ts";
import { throwIfCancelled, type UpgradeContext } from "./context.ts";
import { NodeRebooted, PreflightError, type StepName, type UpgradeError } from "./errors.ts";
import { runsWantedImage, type NodeFacts } from "./facts.ts";
import type { Finding } from "./guards/finding.ts";
import { kubernetesAtNextStep } from "./hops/kubernetes.ts";
import { upgradePathProblem } from "./hops/obstacles.ts";
import { isNextIn, nextHopStage, type HopStage, type NodeWithHops } from "./hops/path.ts";
import { requireGates } from "./rollout/gates.ts";
import { nodeBudget, requireBudgetRoom } from "./rollout/budget.ts";
import { whyWindowClosed } from "./rollout/window.ts";
import { Session, type Surroundings } from "./session.ts";
import { shareLists } from "./sharedLists.ts";
import { stepPlace, StepProgress } from "./progress.ts";
import { prefixStatusWithNode } from "./prefixedStatus.ts";
import { guard } from "./steps/guard.ts";
import { inspect, readFactsOnce } from "./steps/inspect.ts";
import { pull } from "./steps/pull.ts";
import { toUpgradeError, maxReboots } from "./upgrade.ts";

/** How many nodes pull the image concurrently: enough to saturate a registry's link, few enough to avoid rate limits. */
const maxConcurrentPulls = 8;

/** The caller's identity, and how it describes earlier changes. */
export interface SurveyCall {
  surroundings: Surroundings;
  urn: string;
  signal: AbortSignal;
  changed: () => string;
  /** What is blocked when there are problems. Default: the rollout. */
  what?: string;
}

/** Opens a connection to each node for the survey, and closes them afterwards. */
export async function withSurvey<T>(
  nodes: readonly NodeWithHops[],
  { surroundings, urn, signal, changed, what = "the rollout" }: SurveyCall,
  work: (survey: Survey) => Promise<T>,
): Promise<T> {
  const shared = shareLists(surroundings);
  const sessions = await Promise.all(
    nodes.map((node) => {
      const own = prefixStatusWithNode(shared, node.name);
      const progress = new StepProgress(own.statusOf(urn), surroundings.clock, { showsSteps: false });
      return Session.open(own, urn, node, signal, progress);
    }),
  );
  const surveys = sessions.map(({ context }, index): SurveyedNode => ({
    context,
    node: nodes[index] ?? context.wanted,
  }));
  try {
    const tell = (text: string): void => surroundings.statusOf(urn).status(text);
    return await work(new Survey(surveys, { what, changed, tell }));
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error(
      coded(
        "cancelled",
        `cancelled before ${what} started`,
        `${changed()} The next \`pulumi up\` ${what === "the rollout" ? "starts again" : "continues from here"}.`,
      ),
      {
        cause: error,
      },
    );
  } finally {
    for (const session of sessions) session.close();
  }
}

/** A node and the survey's results for it. */
interface SurveyedNode {
  readonly context: UpgradeContext;
  readonly node: NodeWithHops;
  facts?: NodeFacts;
  /** What blocks its upgrade. */
  problem?: UpgradeError;
}

interface DueNode extends SurveyedNode {
  facts: NodeFacts;
}

/** Takes all nodes through each step before the next, so that a node that is just booting doesn't disturb another one's guard. */
export class Survey {
  readonly nodes: SurveyedNode[];

  readonly #what: string;
  readonly #changed: () => string;
  readonly #tell: (text: string) => void;
  #shownStep: StepName | undefined;

  /** @param tell shows a line next to the resource: each step once, however many nodes there are */
  constructor(
    nodes: SurveyedNode[],
    { what, changed, tell }: { what: string; changed: () => string; tell: (text: string) => void },
  ) {
    this.nodes = nodes;
    this.#what = what;
    this.#changed = changed;
    this.#tell = tell;
  }

  /** @param mustAnswer nodes to wait for; the others are asked once */
  async inspect(mustAnswer: (node: UpgradeContext["wanted"]) => boolean = () => true): Promise<void> {
    await this.#forEachNode("inspect", this.nodes, Infinity, async (node) => {
      const { context } = node;
      const facts = mustAnswer(context.wanted) ? await inspect(context) : await readFactsOnce(context);
      if (facts !== undefined) node.facts = facts;
    });
  }

  /** Whether nodes several minor releases behind, and those that wait for them, can reach their releases. Returns the next hop. */
  async ways({ isConfigured = true } = {}): Promise<HopStage | undefined> {
    const stage = nextHopStage(
      this.nodes.map(({ node }) => node),
      this.found(),
    );
    await this.#forEachNode("guard", this.due(), Infinity, async (one) => {
      const isNext = isNextIn(stage, one.node);
      const problem = await upgradePathProblem(one.context, one.facts, one.node, { isNext, isConfigured });
      if (problem !== undefined) throw problem;
    });
    return stage;
  }

  /** What each answering node runs, by name. */
  found(): ReadonlyMap<string, NodeFacts> {
    return new Map(
      this.nodes.flatMap(({ context, facts }) =>
        facts === undefined ? [] : [[context.wanted.name, facts] as const],
      ),
    );
  }

  /**
   * @param onStray as for the step: etcd members on no known control plane don't block then
   * @param isFirst Kubernetes is upgraded after this check if a node's next step needs it
   */
  async guard({
    onStray,
    isFirst = false,
  }: { onStray?: (finding: Finding) => void; isFirst?: boolean } = {}): Promise<void> {
    const due = this.due().filter(({ problem }) => problem === undefined);
    const [rooms, first] = this.#hasRefusal() ? [new Set<DueNode>(), undefined] : await this.#nodesThatWait();
    await this.#forEachNode("guard", due, Infinity, async (node) => {
      await guardWhenRunning(node.context, node, { isRefused: () => this.#hasRefusal(), onStray, isFirst });
      if (rooms.has(node)) await requireBudgetRoom(node.context);
      // The same for all of them: one node checks for the rollout.
      if (node === first) await requireGates(node.context, "guard");
    });
  }

  /** Some node can't be upgraded: the outcome is decided. */
  #hasRefusal(): boolean {
    return this.nodes.some(({ problem }) => problem !== undefined);
  }

  /** The nodes that check on behalf of their group and of the rollout, where workers or gates may have to be waited for. */
  async #nodesThatWait(): Promise<[Set<DueNode>, DueNode | undefined]> {
    return [await this.#firstDueOfGroups(), await this.#firstDueNode()];
  }

  /** The first due node; none while no window is open. */
  async #firstDueNode(): Promise<DueNode | undefined> {
    const [first] = this.due();
    return first === undefined || (await whyWindowClosed(first.context)) !== undefined ? undefined : first;
  }

  /** The first due node of each group: it checks for the group. None while no window is open, since then no node goes down. */
  async #firstDueOfGroups(): Promise<Set<DueNode>> {
    const first = new Map<string, DueNode>();
    for (const node of this.due()) {
      const group = nodeBudget(node.context)?.group;
      if (group === undefined || first.has(group)) continue;
      if ((await whyWindowClosed(node.context)) === undefined) first.set(group, node);
    }
    return new Set(first.values());
  }

  async pull(): Promise<void> {
    await this.#forEachNode("pull", this.due(), maxConcurrentPulls, async ({ context, facts }) => {
      await pull(context, facts);
    });
  }

  /** For nodes that have been read already. @param of the number of nodes of the rollout */
  async tryPulls(trials: readonly { facts: NodeFacts }[], of: number): Promise<void> {
    for (const [index, { facts }] of trials.entries()) {
      const node = this.nodes[index];
      if (node !== undefined) node.facts = facts;
    }
    await this.pull();
    this.refuse(of);
  }

  /** Nodes that answered and don't run the desired image. */
  due(): DueNode[] {
    return this.nodes.filter(
      (node): node is DueNode =>
        node.facts !== undefined && !runsWantedImage(node.facts, node.context.wanted),
    );
  }

  /** @throws PreflightError with every problem */
  refuse(of = this.nodes.length): void {
    const problems = this.nodes.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
    if (problems.length > 0) throw new PreflightError(problems, of, this.#changed(), this.#what);
  }

  /** Runs a step for many nodes with limited concurrency; errors are kept with the node. */
  async #forEachNode<N extends SurveyedNode>(
    step: StepName,
    nodes: readonly N[],
    atOnce: number,
    work: (node: N) => Promise<void>,
  ): Promise<void> {
    if (step !== this.#shownStep && nodes.length > 0) {
      this.#shownStep = step;
      this.#tell(
        `${stepPlace(step)} · ${nodes.length === 1 ? nodes[0]?.context.wanted.name : `${nodes.length} nodes`}`,
      );
    }
    const workOn = async (node: N): Promise<void> => {
      throwIfCancelled(node.context);
      node.context.timer.start();
      node.context.progress.step(step);
      try {
        await work(node);
      } catch (error) {
        throwIfCancelled(node.context);
        node.problem = toUpgradeError(node.context, step, error);
      }
    };
    await pLimit(atOnce).map(nodes, workOn);
  }
}

/** A node that goes down while it is being checked is checked again when it is back; it may be up to date then. */
async function guardWhenRunning(
  context: UpgradeContext,
  node: DueNode,
  {
    isRefused,
    onStray,
    isFirst,
  }: {
    isRefused: () => boolean;
    onStray: ((finding: Finding) => void) | undefined;
    isFirst: boolean;
  },
): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      if (!runsWantedImage(node.facts, context.wanted)) {
        context.gate.requireApproval("upgrade");
        const options = {
          ...{ survey: true, isRefused },
          ...(onStray === undefined ? {} : { onStray }),
          ...(isFirst
            ? { kubernetes: (runs?: string) => kubernetesAtNextStep(node.node, node.facts.version, runs) }
            : {}),
        };
        await guard(context, node.facts, options);
      }
      return;
    } catch (error) {
      if (!(error instanceof NodeRebooted) || round === maxReboots) throw error;
      context.talos.reconnect();
      node.facts = await inspect(context);
    }
  }
}
