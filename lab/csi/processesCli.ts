import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { ToolError } from "../../tools/resolve.ts";
import { drivers } from "./drivers.ts";
import type { DriverName } from "./drivers.ts";
import { removableParts } from "./removableParts.ts";
import type { RemovablePart } from "./removableParts.ts";
import { processProblems, runProcesses } from "./processes.ts";
import type { ProcessesReport } from "./processes.ts";

/** `npm run csi:processes`: starts the processes of the rendered manifests, the way a kubelet does. */

interface CliOptions {
  driver: DriverName;
  binary?: string;
  without?: RemovablePart;
  json?: true;
  verbose?: true;
}

const program = new Command("csi:processes")
  .description(
    "Starts each process of a driver's rendered Deployment and DaemonSet as a kubelet does, on a simulated node with a\n" +
      "simulated array, and drives it with the kubelet's calls and the CSI sanity suite.",
  )
  .addOption(
    new Option("--driver <name>", "driver to run").choices(Object.keys(drivers)).makeOptionMandatory(),
  )
  .option("--binary <path>", "the vendor's own binary (default: our stand-in, which makes the same demands)")
  .addOption(
    new Option("--without <what>", "remove this from the pods, to check that its loss is noticed").choices(
      removableParts,
    ),
  )
  .option("--verbose", "print the processes' output")
  .option("--json", "print the report as JSON")
  .addHelpText("after", "\nRequires Linux and root, for mounts and loop devices. More in docs/lab.md.")
  .action(main);

await program.parseAsync();

async function main(given: CliOptions): Promise<void> {
  if (process.getuid?.() !== 0) return rerunWithSudo();
  try {
    const report = await runProcesses({
      ...given,
      binary: given.binary === undefined ? undefined : resolve(given.binary),
      log: given.verbose === true ? (line) => void process.stderr.write(`${line}\n`) : () => undefined,
    });
    process.stdout.write(given.json === true ? JSON.stringify(report) : formatReport(report));
    if (processProblems(report).length > 0) process.exitCode = 1;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

// Mounts in a container's namespace propagate to the node's, and a session is a loop device: neither works in a user namespace.
function rerunWithSudo(): void {
  const environment = ["PATH", "HOME", "TALOS_ISCSI_TOOLS", "GOPROXY", "GOFLAGS"].join(",");
  const args = ["-n", `--preserve-env=${environment}`, process.execPath, ...process.argv.slice(1)];
  const { status, error } = spawnSync("sudo", args, { stdio: "inherit" });
  if (error !== undefined || status === null || status > 1) {
    process.stderr.write(
      "csi:processes requires root, for mounts and loop devices, and passwordless sudo is not available. Run it as root.\n",
    );
  }
  process.exitCode = status ?? 1;
}

function formatReport(report: ProcessesReport): string {
  const { started, others, steps, sanity } = report;
  const lines = ["Processes"];
  for (const { name, exits } of started) {
    lines.push(`  ${name}: ${exits.length === 0 ? "running" : `ended with ${exits.join(", ")}`}`);
  }
  lines.push(`  not started here: ${others.join(", ")}`, "", "Volume lifecycle");
  for (const { step, error } of steps) lines.push(`  ${error === undefined ? "ok  " : "FAIL"} ${step}`);
  const count = (state: string) => sanity.filter((one) => one.state === state).length;
  lines.push(
    "",
    `Sanity suite: ${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`,
  );
  for (const why of new Set(sanity.flatMap(({ known }) => known ?? []))) {
    lines.push(`  known: ${why}`);
    for (const one of sanity) if (one.known === why) lines.push(`    ${one.state} ${one.name}`);
  }
  const problems = processProblems(report);
  lines.push("", problems.length === 0 ? "No problems found." : `Problems:\n  ${problems.join("\n  ")}`);
  for (const { name, exits, output } of started) {
    if (exits.length > 0 && problems.length > 0)
      lines.push("", `Last output of ${name}:`, lastOutput(output));
  }
  return `${lines.join("\n")}\n`;
}

const lastOutput = (output: string) =>
  output
    .split("\n")
    .slice(-6)
    .map((line) => `  ${line}`)
    .join("\n");
