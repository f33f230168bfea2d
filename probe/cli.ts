import { dirname } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { AcceptError } from "../accept/acceptError.ts";
import { pulumiForStack } from "../accept/pulumiCommand.ts";
import { readOutputs } from "../accept/stackState.ts";
import { KubernetesError } from "../provider/kubernetes.ts";
import { ProbeError } from "../provider/storage/probe/probe.ts";
import { formatProbeReport } from "../provider/storage/probe/report.ts";
import { ignoreClosedOutput } from "../tools/ignoreClosedOutput.ts";
import { refuseWrongArguments } from "../tools/wrongArguments.ts";
import { probeRequests } from "./request.ts";
import { abortOnInterrupt, runProbes } from "./run.ts";

/** `npm run storage:probe -- --stack prod` */

interface Options {
  stack: string;
  class?: string[];
  node?: string[];
  image?: string;
  size?: string;
  concurrency?: number;
  timeout?: number;
  tolerate?: string[];
  json: boolean;
}

const exitCodes = `
Without an option the stack's own settings hold (joviandss.probe, synology.probe), or their defaults.

Exit codes:
  0  every volume works
  1  one does not; the report says which and why
  2  nothing could be probed, or the probe was stopped`;

const command = new Command("storage:probe")
  .description(
    "Proves that volumes work: for each StorageClass of a stack and each node that runs its driver, writes a volume there and\n" +
      "reads it on another node. Cleans up afterwards, even after a failure or Ctrl-C.",
  )
  .requiredOption("-s, --stack <name>", "the stack, which has been deployed")
  .option("--class <names>", "only these StorageClasses, comma-separated", parseList)
  .option("--node <names>", "only these nodes, comma-separated", parseList)
  .option("--image <reference>", "image of the pods, with a shell and busybox")
  .option("--size <quantity>", "size of each volume")
  .option("--concurrency <number>", "how many volumes at a time", parsePositive)
  .option("--timeout <seconds>", "limit for each step of a volume", parsePositive)
  .option("--tolerate <keys>", "keys of taints that the pods tolerate, comma-separated", parseList)
  .option("--json", "print the report as JSON", false)
  .addHelpText("after", exitCodes);

function parseList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function parsePositive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number <= 0)
    throw new InvalidArgumentError("Must be a whole number, at least 1.");
  return number;
}

async function main(): Promise<number> {
  await refuseWrongArguments(command).parseAsync();
  const { stack, class: classes, node, timeout, json, ...others } = command.opts<Options>();
  const tell = (line: string): void => void process.stderr.write(`${line}\n`);
  const signal = abortOnInterrupt(tell);
  const pulumi = pulumiForStack(stack, dirname(import.meta.dirname));
  const outputs = await readOutputs(pulumi);
  if (outputs === undefined) throw new AcceptError(`${stack} has never been deployed`);
  const requests = await probeRequests(pulumi, outputs.storageClasses, {
    ...others,
    ...(classes === undefined ? {} : { classes }),
    ...(node === undefined ? {} : { nodes: node }),
    ...(timeout === undefined ? {} : { timeoutSeconds: timeout }),
  });
  if (requests.length === 0) throw new AcceptError(`${stack} has no CSI driver with a StorageClass`);
  const report = await runProbes(outputs.kubeconfig, requests, tell, signal);
  process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${formatProbeReport(report)}\n`);
  return report.result === "passed" ? 0 : 1;
}

ignoreClosedOutput();
try {
  process.exitCode = await main();
} catch (error) {
  const knownErrors = [AcceptError, ProbeError, KubernetesError].some((kind) => error instanceof kind);
  process.stderr.write(
    `error: ${knownErrors ? (error as Error).message : ((error as Error).stack ?? String(error))}\n`,
  );
  process.exitCode = 2;
}
