import { describeImage } from "../talos/nodeOutlook.ts";
import type { NodeFacts } from "./facts.ts";

/** What a failed upgrade knows about its node. */
export interface NodeAfterFailure {
  /** The node before anything was done. */
  readonly before: NodeFacts;
  /** The node as read after the failure; undefined if it couldn't be read. */
  readonly after: NodeFacts | undefined;
  /** The desired image is installed next to the running one. */
  readonly installed: boolean;
  /** It may have been told to go down. */
  readonly committed: boolean;
}

/** For a node with the desired image installed that has not rebooted. */
export const installedNotice =
  "The new image is installed and starts with the next reboot, whatever causes it.";

/** What happened to the node, in one sentence. It is read from the node after the failure: a step's expectation says nothing about what the node did. */
export function describeNodeAfterFailure({ before, after, installed, committed }: NodeAfterFailure): string {
  if (after === undefined) {
    const asked = committed
      ? "It may be rebooting into the new image"
      : "It is unknown whether it has rebooted";
    return `${asked}: it could not be read after that.`;
  }
  const image = describeImage(after.version, after.schematicId);
  const stage = after.machine.stage === "running" ? "" : `, and is ${after.machine.stage}`;
  if (before.bootId === undefined || after.bootId === undefined) return `It runs ${image}${stage}.`;
  if (before.bootId !== after.bootId) return `It has rebooted, and runs ${image}${stage}.`;
  const next = installed ? ` ${installedNotice}` : "";
  return `It has not rebooted, and runs ${image}${stage}.${next}`;
}
