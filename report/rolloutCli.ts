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
  .description("How the last upgrade of each node went: a table, and one HTML page with a drawing.")
  .option("-s, --stack <name>", "the stack")
  .option("--from <file>", "a saved `pulumi stack export` instead; - for the standard input")
  .option("-o, --out <folder>", "where the page goes", "reports")
  .addHelpText("after", exitCodes);
await command.parseAsync();
process.exitCode = await runCommand(() => runRolloutReport(command.opts<RolloutOptions>()));
