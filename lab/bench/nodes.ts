import type { EngineEvent } from "@pulumi/pulumi/automation/index.js";
import { labReport } from "../control.ts";
import { labFiles, stackOf } from "../layout.ts";
import { defaultTimings } from "../node/machine/timings.ts";
import { openStack } from "../stack.ts";
import { summarize, formatFigure } from "./figures.ts";

/** How much longer a node's upgrade takes than the node itself takes to install, shut down and boot. */
export async function benchNodes(): Promise<void> {
  const lab = await labReport(labFiles.socket);
  if (lab?.mode !== "running" || lab.nodes.some((node) => node.upgrades > 0)) {
    throw new Error("this figure needs a fresh lab: npm run lab -- stop && npm run lab -- start");
  }
  // The pull isn't counted: the preflight has already fetched the image on every node.
  const { installSeconds, rebootSeconds, bootSeconds } = defaultTimings;
  const own = installSeconds + rebootSeconds + bootSeconds;
  const begun = new Map<string, number>();
  const taken = new Map<string, number>();
  const stack = await openStack(stackOf.running);
  await stack.up({
    onEvent: (event: EngineEvent) => {
      const now = performance.now();
      const [pre, done] = [event.resourcePreEvent?.metadata, event.resOutputsEvent?.metadata];
      if (pre?.type === "talos-node:index:NodeUpgrade") begun.set(pre.urn, now);
      const from = done === undefined ? undefined : begun.get(done.urn);
      if (done !== undefined && from !== undefined)
        taken.set(done.urn.split("::").at(-1) ?? "", (now - from) / 1000);
    },
  });
  const over = [...taken].map(([name, time]) => {
    process.stdout.write(
      `${name}: ${time.toFixed(2)} s, ${(time - own).toFixed(2)} s over the node's own ${own.toFixed(2)} s\n`,
    );
    return time - own;
  });
  process.stdout.write(`over all nodes: ${formatFigure(summarize(over))}; aim: at most 1.00 s each\n`);
}
