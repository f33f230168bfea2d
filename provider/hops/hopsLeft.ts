import { TalosError } from "../../talos/api/errors.ts";
import { nodeLabel } from "../inputs.ts";
import type { Properties } from "../secrets.ts";
import { Session, type Surroundings } from "../session.ts";
import { preflightNodes } from "./hopInputs.ts";
import { remainingHops, type NodeWithHops } from "./path.ts";
import { readNodes } from "../readNodes.ts";

/** `w1 (10.0.0.21) runs v1.10.9`: nodes with hops left, for a refresh. Undefined if there are none. Nodes that don't answer are reported by their upgrades. */
export async function describeHopsLeft(
  surroundings: Surroundings,
  urn: string,
  inputs: Properties,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (inputs["hops"] === undefined) return undefined;
  const found = await readNodes(preflightNodes(inputs), (node) =>
    describeNode(surroundings, urn, node, signal),
  );
  const left = found.filter((text) => text !== undefined);
  return left.length === 0 ? undefined : left.join(", ");
}

async function describeNode(
  surroundings: Surroundings,
  urn: string,
  node: NodeWithHops,
  signal: AbortSignal,
): Promise<string | undefined> {
  const session = await Session.open(surroundings, urn, node, signal);
  const { talos, timeouts } = session.context;
  try {
    const { tag } = await talos.version({ deadlineMs: timeouts.probeMs * 2, signal });
    return remainingHops({ version: tag }, node).length === 0 ? undefined : `${nodeLabel(node)} runs ${tag}`;
  } catch (error) {
    if (error instanceof TalosError) return undefined;
    throw error;
  } finally {
    session.close();
  }
}
