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

/** `npm run lab -- <command>`: an embedded cluster to see the whole job without hardware. */

const say = (line: string) => process.stderr.write(`${line}\n`);

async function start(options: LabOptions): Promise<void> {
  const lab = await startLab(options, say);
  say(lab.started ? "the lab is up; it stays until: npm run lab -- stop" : "the lab runs already");
}

function program(): Command {
  const root = new Command("lab").description(
    "An embedded cluster: simulated Talos nodes, a real Kubernetes control plane, the real Pulumi engine.",
  );
  const isNew = () =>
    new Option(
      "--new",
      "from empty machines in maintenance mode instead of a running cluster (stack dev-new)",
    ).default(false);

  root
    .command("start")
    .description("start the lab without deploying anything")
    .addOption(isNew())
    .option("--node-seconds <number>", "how long a machine takes for an upgrade in all (default: 3)", Number)
    .option(
      "--talos-version <release>",
      "the release that the running cluster was made with (default: v1.12.7)",
    )
    .option("--secrets <file>", "a bundle to make the running cluster with (default: new secrets)")
    .option(
      "--build <release=folder>",
      "components of another release of Kubernetes; control planes then run what they name, each its own kube-apiserver",
      takeBuild,
    )
    .action(async (given: { new: boolean; build?: Record<string, string> } & Omit<LabOptions, "mode">) => {
      const { new: fresh, build: builds, ...options } = given;
      const mode: LabMode = fresh ? "new" : "running";
      await start({ mode, ...options, ...(builds === undefined ? {} : { builds }) });
      await openStack(stackOf[mode]); // plain pulumi does not make a stack by itself
      process.stdout.write(`${environmentText(stackOf[mode])}\n`);
    });

  root
    .command("plugins")
    .description("fetch the published plugins that are not installed, and show which ones a lab takes")
    .action(() => preparePlugins((line) => void process.stdout.write(`${line}\n`)));

  root
    .command("up")
    .description("start the lab if none runs, deploy the stack on it, and show the nodes")
    .addOption(isNew())
    .option(
      "--skip-preview",
      "deploy at once, without looking first whether there is something to change",
      false,
    )
    .action(async ({ new: fresh, skipPreview }: { new: boolean; skipPreview: boolean }) => {
      const mode: LabMode = fresh ? "new" : "running";
      await start({ mode });
      const begun = Date.now();
      try {
        await up(stackOf[mode], { skipPreview });
      } finally {
        // Of a failed rollout too, and then most of all.
        process.stdout.write(await rolloutSince(stackOf[mode], begun));
      }
      await writeKubeconfig(stackOf[mode]);
      const status = await readStatus(await runningLab());
      process.stdout.write(`\n${formatNodeTable(status)}\n\n${describeNextSteps(stackOf[mode])}\n`);
    });

  root
    .command("preview")
    .description("what `up` would change, property by property; nothing is changed")
    .option("--refresh", "compare with the live cluster first", false)
    .action(async (options: { refresh: boolean }) => preview((await runningLab()).stack, options));

  root
    .command("refresh")
    .description("bring the state up to what the cluster really is")
    .action(async () => refresh((await runningLab()).stack));

  root
    .command("destroy")
    .description("remove what the stack deployed; the machines stay")
    .option("--run-program", "run the program too, as `pulumi destroy --run-program`", false)
    .action(async (options: { runProgram: boolean }) => destroy((await runningLab()).stack, options));

  root
    .command("status")
    .description("the nodes as their own APIs tell")
    .option("--json", "as data", false)
    .action(async ({ json }: { json: boolean }) => {
      const status = await readStatus(await runningLab());
      process.stdout.write(json ? `${JSON.stringify(status, null, 2)}\n` : `${formatNodeTable(status)}\n`);
    });

  root
    .command("boot")
    .description("switch on another machine, in maintenance mode, to be added to the stack's nodes")
    .argument("<name>", "what to call it, such as w3")
    .argument("<address>", "its loopback address, such as 127.10.0.23")
    .option(
      "--api <where>",
      "where its API is: another port, or `closed` to all but the other nodes once it has a configuration",
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
    .description("stop the lab and remove everything that belongs to it")
    .action(async () => {
      say(
        (await stopLab(say))
          ? "the lab is stopped; its machines and its state are gone"
          : "no lab was running",
      );
    });

  addFaultCommands(root);
  return root;
}

function takeBuild(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [release, folder] = text.split("=");
  if (release === undefined || folder === undefined)
    throw new InvalidArgumentError("a release and a folder, such as v1.35.5=/opt/kubernetes");
  return { ...before, [release]: resolve(folder) };
}

function apiOf(text: string): number | "closed" {
  if (text === "closed") return text;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new InvalidArgumentError("a port, or closed");
}

/** How plain `pulumi` is pointed at the lab. */
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

/** What a person reads when a command fails: the message, and a stack trace only for what nobody foresaw. */
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
