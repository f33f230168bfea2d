import { Command, InvalidArgumentError } from "commander";
import Table from "cli-table3";
import { relative } from "node:path";
import { toolNames, usualToolNames, type ToolName } from "./catalogue.ts";
import { progressOn } from "./progress.ts";
import { locateTools, ToolError, type ResolvedTool } from "./resolve.ts";

const program = new Command("tools")
  .description(
    "Finds the real programs that the lab and its tests run: in a suitable version on PATH, or already built in\n" +
      ".tools/. Builds the missing ones there with Go. A second run finds everything in place.",
  )
  .argument("[tool...]", `only these of ${toolNames.join(", ")}`, parseToolName)
  .option("--json", "print path, version and origin of each tool as JSON")
  .addHelpText("after", "\nMore in CONTRIBUTING.md.")
  .action(async (names: ToolName[], { json }: { json?: true }) => {
    const progress = progressOn(process.stderr);
    try {
      const resolved = await locateTools(names.length === 0 ? usualToolNames : names, progress);
      progress.end();
      process.stdout.write(
        `${json === true ? JSON.stringify(indexByName(resolved), undefined, 2) : toolTable(resolved)}\n`,
      );
    } catch (error) {
      progress.end();
      if (!(error instanceof ToolError)) {
        throw error;
      }
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    }
  });

await program.parseAsync();

function parseToolName(value: string, previous: ToolName[] | undefined): ToolName[] {
  const name = toolNames.find((known) => known === value);
  if (name === undefined) {
    throw new InvalidArgumentError(`The tools are ${toolNames.join(", ")}.`);
  }
  return [...(previous ?? []), name];
}

function indexByName(resolved: readonly ResolvedTool[]): Record<string, Omit<ResolvedTool, "name">> {
  return Object.fromEntries(resolved.map(({ name, ...rest }) => [name, rest]));
}

function toolTable(resolved: readonly ResolvedTool[]): string {
  const result = new Table({ head: ["Tool", "Version", "From", "Path"], style: { head: [], border: [] } });
  for (const { name, version, origin, path, refused } of resolved) {
    result.push([name, version, origin, shortenPath(path)]);
    for (const { path: other, reason } of refused) {
      result.push(["", "", "passed over", `${other} ${reason}`]);
    }
  }
  return result.toString();
}

function shortenPath(path: string): string {
  const here = relative(process.cwd(), path);
  return here.startsWith("..") ? path : here;
}
