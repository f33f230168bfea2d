import { Command } from "commander";
import { ignoreClosedOutput } from "../tools/ignoreClosedOutput.ts";
import { benchCrash } from "./bench/crash.ts";
import { benchFresh } from "./bench/fresh.ts";
import { benchNodes } from "./bench/nodes.ts";
import { benchPreview } from "./bench/preview.ts";
import { benchRollout } from "./bench/rollout.ts";
import { benchScale } from "./bench/scale.ts";

/** `npm run bench -- <figure>`: measures how long things take, each next to its baseline. */
const root = new Command("bench").description("Measures the figures in the documentation.");

root
  .command("preview")
  .description("a preview of the stack dev against a bare program with the same SDKs and as many resources")
  .option("--runs <number>", "how often to run each", Number, 7)
  .action(async ({ runs }: { runs: number }) => benchPreview(runs));

root
  .command("nodes")
  .description("each node's upgrade against the time that the simulated node itself takes")
  .action(benchNodes);

root
  .command("fresh")
  .description("from a fresh clone to a finished `lab -- up`")
  .option("--build", "also build the tools from scratch", false)
  .action(async ({ build }: { build: boolean }) => benchFresh(build));

root
  .command("rollout")
  .description("a rollout of five nodes against the time the nodes take, and against talosctl upgrade --wait")
  .option("--node-seconds <number>", "total time of one node's upgrade", Number, 5)
  .action(async ({ nodeSeconds }: { nodeSeconds: number }) => benchRollout(nodeSeconds));

root
  .command("crash")
  .description("rollouts whose engine or provider is killed with SIGKILL, and how they end")
  .option("--kills <number>", "total number of kills", Number, 40)
  .action(async ({ kills }: { kills: number }) => benchCrash(kills));

root
  .command("scale")
  .description(
    "a stack of many nodes against a bare program with as many resources: time, memory, state, calls",
  )
  .option("--nodes <number>", "how many nodes", Number, 100)
  .option("--preview-only", "skip the figures that require a deployed stack in a lab", false)
  .action(async ({ nodes, previewOnly }: { nodes: number; previewOnly: boolean }) =>
    benchScale(nodes, !previewOnly),
  );

ignoreClosedOutput();
try {
  await root.parseAsync();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
