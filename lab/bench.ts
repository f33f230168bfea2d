import { Command } from "commander";
import { benchFresh } from "./bench/fresh.ts";
import { benchNodes } from "./bench/nodes.ts";
import { benchPreview } from "./bench/preview.ts";

/** `npm run bench -- <figure>`: how long things take, measured, with what they are measured against. */
const root = new Command("bench").description("Measures the figures that the documentation names.");

root
  .command("preview")
  .description("a preview of the stack dev against a bare program with the same SDKs and as many resources")
  .option("--runs <number>", "how often each is run", Number, 7)
  .action(async ({ runs }: { runs: number }) => benchPreview(runs));

root
  .command("nodes")
  .description("each node's upgrade against the time that the simulated node itself needs")
  .action(benchNodes);

root
  .command("fresh")
  .description("from a fresh clone to a finished `lab -- up`")
  .option("--build", "build the tools from nothing as well", false)
  .action(async ({ build }: { build: boolean }) => benchFresh(build));

try {
  await root.parseAsync();
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
