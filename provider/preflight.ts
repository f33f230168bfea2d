import { pathAdvisories } from "./advice.ts";
import { stopIfCancelled, type UpgradeContext } from "./context.ts";
import { UpgradeError } from "./errors.ts";
import { isSettled, type NodeFacts } from "./facts.ts";
import { nodeUpgradeInputs, type NodeUpgradeInputs } from "./inputs.ts";
import { Session, type Surroundings } from "./session.ts";
import { guard } from "./steps/guard.ts";
import { inspect } from "./steps/inspect.ts";
import { pull } from "./steps/pull.ts";

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

/** What a rollout cannot be begun with: every node that would stop it, each with its reason. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";

  constructor(problems: readonly string[], nodes: number) {
    super(
      `the rollout was not begun, no node was touched: ${problems.length} of ${nodes} nodes could not be upgraded.\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
  }
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
  try {
    const contexts = sessions.map(({ context }) => context);
    const looked = await Promise.allSettled(contexts.map(look));
    const failed = looked
      .filter((result) => result.status === "rejected")
      .map((result): unknown => result.reason);
    const unforeseen = failed.find((reason) => !(reason instanceof UpgradeError));
    if (unforeseen !== undefined) throw unforeseen;
    if (failed.length > 0)
      throw new PreflightError(
        failed.map((reason) => (reason as UpgradeError).message),
        wanted.length,
      );
    const found = looked.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const due = found.filter((node) => node.due);
    const sink = surroundings.statusOf(urn);
    for (const advice of adviceFor(due)) sink.warn(advice);
    if (inputs["prePull"] !== false)
      await inTurns(due, pullsAtOnce, async ({ context, facts }) => {
        context.progress.step("pull");
        await pull(context, facts);
      });
    return found.map(({ context, facts, due: isDue }) => ({
      name: context.wanted.name,
      runs: facts.version,
      due: isDue,
    }));
  } finally {
    for (const session of sessions) session.close();
  }
}

/** Each node's inputs as its NodeUpgrade has them: what is its own, and what all share. */
export function preflightNodes(inputs: Record<string, unknown>): NodeUpgradeInputs[] {
  const { nodes, ...shared } = inputs;
  return (nodes as Record<string, unknown>[]).map((node) => nodeUpgradeInputs({ ...shared, ...node }));
}

interface Looked {
  context: UpgradeContext;
  facts: NodeFacts;
  due: boolean;
}

async function look(context: UpgradeContext): Promise<Looked> {
  context.progress.step("inspect");
  const facts = await inspect(context);
  if (isSettled(facts, context.wanted)) return { context, facts, due: false };
  context.progress.step("guard");
  await guard(context, facts);
  return { context, facts, due: true };
}

/** What is known of the nodes' ways, each thing once with the nodes it concerns. */
function adviceFor(due: readonly Looked[]): string[] {
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

/** Works through a list, so many at a time; the first failure ends it when those under way are done. */
async function inTurns(
  list: readonly Looked[],
  atOnce: number,
  work: (item: Looked) => Promise<void>,
): Promise<void> {
  const queue = [...list];
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined && failures.length === 0; next = queue.shift()) {
      stopIfCancelled(next.context);
      await work(next).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, list.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
