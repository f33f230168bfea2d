import { Command } from "commander";
import { runCommand } from "./command.ts";
import { runPreviewReport, type PreviewOptions } from "./previewCommand.ts";

/** `npm run preview:report -- --stack prod` */

const exitCodes = `
Exit codes:
  0  the report is written
  1  no report could be made
  2  the report is written, and the preview failed: its errors are in it
  3  --expect-no-changes, and something changes or, with --refresh, a node could not be read
  4  --refuse-storage-loss, and something of the storage is deleted or replaced`;

const command = new Command("preview:report")
  .description("Writes a preview of a stack as Markdown, for a comment, and as a single HTML page.")
  .option("-s, --stack <name>", "the stack to preview")
  .option(
    "--from <file>",
    "use a saved `pulumi preview --json` or engine events instead; - for standard input",
  )
  .option("-o, --out <folder>", "output folder", "reports")
  .option(
    "--variables <file>",
    "add TALOS_ISCSI_CHANGES and TALOS_ISCSI_APPROVED_PLAN to a file of KEY=value lines",
  )
  .option("-r, --refresh", "compare with the live cluster first", false)
  .option("--expect-no-changes", "exit code 3 if anything changes", false)
  .option("--refuse-storage-loss", "exit code 4 if storage is deleted or replaced", false)
  .addHelpText("after", exitCodes);
await command.parseAsync();
process.exitCode = await runCommand(() => runPreviewReport(command.opts<PreviewOptions>()));
