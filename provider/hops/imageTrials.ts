import { runsWantedImage, type NodeFacts } from "../facts.ts";
import { upgradeLegs, type NodeWithHops } from "./path.ts";

/** A node that pulls an image on behalf of all that need it. */
export interface ImageTrial {
  /** Its inputs for the step that installs the image. */
  wanted: NodeWithHops;
  facts: NodeFacts;
}

/**
 * Every image that the nodes will still install, each once, on one of the nodes that need it. Only a node can tell whether it gets an image: mirrors and credentials are in its
 * configuration, and this machine may reach other registries. One node is enough, since all use the same registry; pulled on every node, the images would fill the disks, and
 * Talos deletes unused ones after an hour (siderolabs/talos v1.13 controllers/cri/image_gc.go). Different nodes take different images, so that no disk gets all of them.
 * @returns none if no node has hops left: then each due node pulls its image anyway
 */
export function imageTrials(
  nodes: readonly NodeWithHops[],
  found: ReadonlyMap<string, NodeFacts>,
): ImageTrial[] {
  const needed = new Map<string, ImageTrial[]>();
  let hasHops = false;
  for (const node of nodes) {
    const facts = found.get(node.name);
    if (facts === undefined || runsWantedImage(facts, node)) continue;
    const legs = upgradeLegs(facts, node);
    hasHops ||= legs.length > 0;
    const steps = legs.length === 0 ? [node] : legs.map((leg) => leg.wanted);
    for (const wanted of steps)
      needed.set(wanted.image, [...(needed.get(wanted.image) ?? []), { wanted, facts }]);
  }
  if (!hasHops) return [];
  return [...needed.values()].flatMap((takers, index) => takers[index % takers.length] ?? []);
}
