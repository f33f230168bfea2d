import { describeImage } from "../talos/nodeOutlook.ts";
import type { NodeFacts } from "./facts.ts";

/** What an upgrade that failed knows of its node. */
export interface NodeAfterFailure {
  /** As the node was before anything was done. */
  readonly before: NodeFacts;
  /** As it was read after the failure; undefined where it could not be read. */
  readonly after: NodeFacts | undefined;
  /** The wanted image is installed beside the one that runs. */
  readonly installed: boolean;
  /** It may have been asked to go down. */
  readonly committed: boolean;
}

/** Said of a node that has the wanted image installed and has not rebooted. */
export const installedNotice =
  "The new image is installed and starts with the next reboot, whatever causes it.";

/**
 * What has become of the node, in one sentence. It is read from the node after the failure: what a step expected of the node says nothing about
 * what the node did.
 */
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
