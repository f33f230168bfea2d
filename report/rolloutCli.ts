import { Command } from "commander";
import { runCommand } from "./command.ts";
import { runRolloutReport, type RolloutOptions } from "./rolloutCommand.ts";

/** `npm run rollout:report -- --stack prod` */

const exitCodes = `
Exit codes:
  0  the report is made
  1  no report could be made
  2  the report is made, and the last rollout failed`;

const command = new Command("rollout:report")
  .description("Shows how the last upgrade of each node went: a table, and a single HTML page with a chart.")
  .option("-s, --stack <name>", "the stack")
  .option("--from <file>", "use a saved `pulumi stack export` instead; - for standard input")
  .option("-o, --out <folder>", "output folder", "reports")
  .addHelpText("after", exitCodes);
await command.parseAsync();
process.exitCode = await runCommand(() => runRolloutReport(command.opts<RolloutOptions>()));
