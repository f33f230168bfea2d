import { isTransient, TalosError } from "../../talos/api/errors.ts";
import type { UpgradeContext } from "../context.ts";
import { runsWantedImage } from "../facts.ts";
import { readNodes } from "../readNodes.ts";

/** The progress of a rollout. */
export interface RolloutStanding {
  /** Names of the nodes that run their desired image. */
  done: string[];
  /** Names of those that don't, in rollout order. */
  left: string[];
  /** Names of those that didn't answer. */
  silent: string[];
}

/** Asks every node what it runs, so the report is correct even if a node was upgraded by hand. */
export async function readStanding(context: UpgradeContext): Promise<RolloutStanding> {
  const { wanted, peer, timeouts, signal } = context;
  const call = { deadlineMs: timeouts.probeMs, signal };
  const seen = await readNodes(wanted.rollout.nodes, async ({ name, node, ...own }) => {
    const { talosVersion = wanted.talosVersion, schematicId = wanted.schematicId } = own;
    try {
      const [version, extensions] = await Promise.all([
        peer(node).version(call),
        peer(node).extensions(call),
      ]);
      const facts = {
        version: version.tag,
        schematicId: extensions.schematicId,
        extensions: extensions.installed,
      };
      return {
        name,
        is: runsWantedImage(facts, { ...wanted, talosVersion, schematicId }) ? "done" : "left",
      };
    } catch (error) {
      if (!(error instanceof TalosError) || (error.kind === "cancelled" && !isTransient(error))) throw error;
      return { name, is: "silent" };
    }
  });
  const named = (is: string): string[] => seen.filter((one) => one.is === is).map(({ name }) => name);
  return { done: named("done"), left: named("left"), silent: named("silent") };
}

/** `Done: cp1, cp2. Left: cp3, w1. Not read: w2.` */
export function describeStanding({ done, left, silent }: RolloutStanding): string {
  return [
    `Done: ${done.length === 0 ? "none" : done.join(", ")}.`,
    `Left: ${left.length === 0 ? "none" : left.join(", ")}.`,
    ...(silent.length === 0 ? [] : [`Not read: ${silent.join(", ")}.`]),
  ].join(" ");
}
