import { dirname } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { fileName, writeReport } from "../report/files.ts";
import { probeRequests } from "../probe/request.ts";
import { ProbeError } from "../provider/storage/probe/probe.ts";
import { ignoreClosedOutput } from "../tools/ignoreClosedOutput.ts";
import { refuseWrongArguments } from "../tools/wrongArguments.ts";
import { runAcceptance, type AcceptEnvironment } from "./acceptance.ts";
import { AcceptError } from "./acceptError.ts";
import { acceptanceMarkdown } from "./document.ts";
import { readNodesNow } from "./nodes.ts";
import { pulumiForStack } from "./pulumiCommand.ts";

/** `npm run accept -- --stack prod` */

interface Options {
  stack: string;
  up: boolean;
  out: string;
  image?: string;
  storageTimeout?: number;
}

const exitCodes = `
Exit codes:
  0  the stack is accepted
  1  it is not; the report says why
  2  it could not be checked`;

const command = new Command("accept")
  .description(
    "Checks a stack and its cluster: preview, drift, every node. With --up, deploys it first and probes its storage.",
  )
  .requiredOption("-s, --stack <name>", "the stack")
  .option("--up", "deploy the stack twice and use its storage; without it, nothing is changed", false)
  .option("-o, --out <folder>", "where the report goes, as Markdown and JSON", "reports")
  .option("--image <reference>", "image of the storage probe's pods; default: that of the stack")
  .option("--storage-timeout <seconds>", "limit for each step of a volume; default: 300", parsePositive)
  .addHelpText("after", exitCodes);

function parsePositive(text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number <= 0) throw new InvalidArgumentError("Must be a number of seconds.");
  return number;
}

function createEnvironment({ stack, image, storageTimeout }: Options): AcceptEnvironment {
  const pulumi = pulumiForStack(stack, dirname(import.meta.dirname));
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  return {
    pulumi,
    look: (nodes, { talos }) => readNodesNow(nodes, talos),
    probe: async ({ kubeconfig, storageClasses }) => {
      const { abortOnInterrupt, runProbes } = await import("../probe/run.ts");
      const requests = await probeRequests(pulumi, storageClasses, {
        ...(image === undefined ? {} : { image }),
        ...(storageTimeout === undefined ? {} : { timeoutSeconds: storageTimeout }),
      });
      return runProbes(kubeconfig, requests, say, abortOnInterrupt(say));
    },
    now: () => new Date(),
    say,
  };
}

async function main(): Promise<number> {
  await refuseWrongArguments(command).parseAsync();
  const options = command.opts<Options>();
  const run = await runAcceptance(options.stack, options, createEnvironment(options));
  const paths = writeReport(options.out, {
    [fileName("accept", options.stack, "md")]: acceptanceMarkdown(run),
    [fileName("accept", options.stack, "json")]: `${JSON.stringify(run, null, 2)}\n`,
  });
  for (const { result, summary, problems } of run.steps)
    process.stdout.write([`${result}: ${summary}`, ...problems.map((line) => `  ${line}`)].join("\n") + "\n");
  for (const path of paths) process.stdout.write(`  ${path}\n`);
  return run.result === "passed" ? 0 : 1;
}

ignoreClosedOutput();
try {
  process.exitCode = await main();
} catch (error) {
  const knownErrors = error instanceof AcceptError || error instanceof ProbeError;
  process.stderr.write(`error: ${knownErrors ? error.message : ((error as Error).stack ?? String(error))}\n`);
  process.exitCode = 2;
}
