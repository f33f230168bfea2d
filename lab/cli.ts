import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { settingsMessage } from "../config.ts";
import { ignoreClosedOutput } from "../tools/ignoreClosedOutput.ts";
import { ToolError } from "../tools/resolve.ts";
import { askLab, type NewMachine } from "./control.ts";
import { addFaultCommands } from "./faultCommands.ts";
import { labFiles, stackOf, type LabMode, type LabOptions } from "./layout.ts";
import { LabError, preparePlugins, runningLab, startLab, stopLab } from "./lifecycle.ts";
import { destroy, preview, refresh, up } from "./operations.ts";
import { ToolFailure } from "./process.ts";
import { rolloutSince } from "./rolloutSummary.ts";
import { openStack, pulumiEnvironment } from "./stack.ts";
import { describeNextSteps, formatNodeTable, readStatus, writeKubeconfig } from "./status.ts";

/** `npm run lab -- <command>`: an embedded cluster that shows everything without hardware. */

const say = (line: string) => process.stderr.write(`${line}\n`);

async function start(options: LabOptions): Promise<void> {
  const lab = await startLab(options, say);
  say(lab.started ? "the lab is up; stop it with: npm run lab -- stop" : "the lab is already running");
}

function program(): Command {
  const root = new Command("lab").description(
    "An embedded cluster: simulated Talos nodes, a real Kubernetes control plane, the real Pulumi engine.",
  );
  const isNew = () =>
    new Option(
      "--new",
      "start with empty machines in maintenance mode instead of a running cluster (stack dev-new)",
    ).default(false);

  root
    .command("start")
    .description("start the lab without deploying anything")
    .addOption(isNew())
    .option("--node-seconds <number>", "total time of one machine's upgrade (default: 3)", Number)
    .option(
      "--talos-version <release>",
      "the Talos release the running cluster was created with (default: v1.12.7)",
    )
    .option("--secrets <file>", "a secrets bundle to create the running cluster with (default: new secrets)")
    .option(
      "--build <release=folder>",
      "components of another Kubernetes release; each control plane then runs its own kube-apiserver, of the release in its configuration",
      takeBuild,
    )
    .action(async (given: { new: boolean; build?: Record<string, string> } & Omit<LabOptions, "mode">) => {
      const { new: fresh, build: builds, ...options } = given;
      const mode: LabMode = fresh ? "new" : "running";
      await start({ mode, ...options, ...(builds === undefined ? {} : { builds }) });
      await openStack(stackOf[mode]); // plain pulumi doesn't create a stack by itself
      process.stdout.write(`${environmentText(stackOf[mode])}\n`);
    });

  root
    .command("plugins")
    .description("fetch the published plugins that aren't installed, and show which plugins a lab uses")
    .action(() => preparePlugins((line) => void process.stdout.write(`${line}\n`)));

  root
    .command("up")
    .description("start the lab if it isn't running, deploy the stack, and show the nodes")
    .addOption(isNew())
    .option("--skip-preview", "deploy right away, without previewing the changes first", false)
    .action(async ({ new: fresh, skipPreview }: { new: boolean; skipPreview: boolean }) => {
      const mode: LabMode = fresh ? "new" : "running";
      await start({ mode });
      const begun = Date.now();
      try {
        await up(stackOf[mode], { skipPreview });
      } finally {
        // Also after a failed rollout, when it matters most.
        process.stdout.write(await rolloutSince(stackOf[mode], begun));
      }
      await writeKubeconfig(stackOf[mode]);
      const status = await readStatus(await runningLab());
      process.stdout.write(`\n${formatNodeTable(status)}\n\n${describeNextSteps(stackOf[mode])}\n`);
    });

  root
    .command("preview")
    .description("show what `up` would change, property by property; changes nothing")
    .option("--refresh", "compare with the live cluster first", false)
    .action(async (options: { refresh: boolean }) => preview((await runningLab()).stack, options));

  root
    .command("refresh")
    .description("update the state to match the live cluster")
    .action(async () => refresh((await runningLab()).stack));

  root
    .command("destroy")
    .description("delete what the stack deployed; the machines stay")
    .option("--run-program", "run the program too, as `pulumi destroy --run-program`", false)
    .action(async (options: { runProgram: boolean }) => destroy((await runningLab()).stack, options));

  root
    .command("status")
    .description("show the nodes as reported by their own APIs")
    .option("--json", "print JSON", false)
    .action(async ({ json }: { json: boolean }) => {
      const status = await readStatus(await runningLab());
      process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : `${formatNodeTable(status)}\n`);
    });

  root
    .command("boot")
    .description("boot another machine into maintenance mode, to add to the stack's nodes")
    .argument("<name>", "its name, such as w3")
    .argument("<address>", "its loopback address, such as 127.10.0.23")
    .option(
      "--api <where>",
      "its API: another port, or `closed` to all but the other nodes once it has a configuration",
      apiOf,
    )
    .action(async (name: string, address: string, { api }: Pick<NewMachine, "api">) => {
      await runningLab();
      const body: NewMachine = { name, address, ...(api === undefined ? {} : { api }) };
      await askLab(labFiles.socket, { method: "POST", path: "/boot", body }).catch((error: Error) => {
        throw new LabError(error.message);
      });
      say(`${name} waits in maintenance mode at ${address}`);
    });

  root
    .command("stop")
    .description("stop the lab and delete everything that belongs to it")
    .action(async () => {
      say(
        (await stopLab(say))
          ? "the lab is stopped; its machines and state are deleted"
          : "no lab was running",
      );
    });

  addFaultCommands(root);
  return root;
}

function takeBuild(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [release, folder] = text.split("=");
  if (release === undefined || folder === undefined)
    throw new InvalidArgumentError("expected a release and a folder, such as v1.35.5=/opt/kubernetes");
  return { ...before, [release]: resolve(folder) };
}

function apiOf(text: string): number | "closed" {
  if (text === "closed") return text;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new InvalidArgumentError("expected a port or `closed`");
}

/** The variables that point plain `pulumi` at the lab. */
function environmentText(stack: string): string {
  const environment = pulumiEnvironment();
  return [
    "For plain pulumi (with its nodejs language host on PATH):",
    ...Object.entries({ ...environment, PATH: `${labFiles.bin}:$PATH` }).map(
      ([name, value]) => `  export ${name}="${value}"`,
    ),
    `  pulumi preview -s ${stack}`,
  ].join("\n");
}

/** What a failed command prints: the message, plus a stack trace only for unexpected errors. */
function failureText(error: unknown): string {
  const known = [LabError, ToolError, ToolFailure].some((kind) => error instanceof kind);
  if (known) return (error as Error).message;
  return settingsMessage(error) ?? (error instanceof Error ? (error.stack ?? error.message) : String(error));
}

ignoreClosedOutput();
try {
  await program().parseAsync();
} catch (error) {
  say(`error: ${failureText(error)}`);
  process.exitCode = 1;
}
