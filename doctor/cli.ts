import { readFileSync } from "node:fs";
import { Command } from "commander";
import { parseTalosconfig, SecretsError } from "../talos/secretsBundle.ts";
import { examineCluster, realEnvironment } from "./doctor.ts";
import { DoctorError } from "./doctorError.ts";
import { decodeText } from "../talos/decodeText.ts";
import { refuseWrongArguments } from "../tools/wrongArguments.ts";
import { verdictText } from "./render.ts";

/** `npm run doctor -- --talosconfig talosconfig --kubeconfig kubeconfig --to v1.14.1` */

interface Options {
  talosconfig: string;
  context?: string;
  kubeconfig?: string;
  nodes?: string[];
  endpoints?: string[];
  to?: string;
  toKubernetes?: string;
  allowSkew: boolean;
  json: boolean;
}

const exitCodes = `
Exit codes:
  0  no problem was found; with --to or --to-kubernetes, the upgrade would begin
  1  there is a problem, or the upgrade would be refused
  2  the cluster could not be examined`;

const command = new Command("doctor")
  .description("Examines a Talos cluster without changing it, and reports what blocks an upgrade.")
  .requiredOption("--talosconfig <file>", "credentials for the Talos API")
  .option("--context <name>", "context of the talosconfig; default: the current one")
  .option("--kubeconfig <file>", "credentials for Kubernetes: finds all nodes, and checks drains and storage")
  .option("--nodes <addresses>", "the nodes to examine, comma-separated", parseList)
  .option(
    "--endpoints <addresses>",
    "Talos APIs that forward to the nodes, comma-separated; default: those of the talosconfig",
    parseList,
  )
  .option("--to <release>", "check an upgrade to this Talos release, such as v1.14.1")
  .option("--to-kubernetes <release>", "check an upgrade to this Kubernetes release, such as v1.36.1")
  .option("--allow-skew", "allow skipping minor releases, like upgrade.allowSkew", false)
  .option("--json", "print the verdict as JSON", false)
  .addHelpText("after", exitCodes);

function parseList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function readFileOption(option: string, path: string): string {
  try {
    return decodeText(readFileSync(path));
  } catch (error) {
    throw new DoctorError(
      `--${option}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? ""})`,
    );
  }
}

async function main(): Promise<number> {
  await refuseWrongArguments(command).parseAsync();
  const { talosconfig, context, kubeconfig, nodes, endpoints, to, toKubernetes, allowSkew, json } =
    command.opts<Options>();
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const verdict = await examineCluster(
    {
      talosconfig: parseTalosconfig(readFileOption("talosconfig", talosconfig), context),
      ...(kubeconfig === undefined ? {} : { kubeconfig: readFileOption("kubeconfig", kubeconfig) }),
      ...(nodes === undefined ? {} : { nodes }),
      ...(endpoints === undefined ? {} : { endpoints }),
      ...(to === undefined ? {} : { to }),
      ...(toKubernetes === undefined ? {} : { toKubernetes }),
      allowSkew,
    },
    realEnvironment,
    stop.signal,
  );
  process.stdout.write(json ? `${JSON.stringify(verdict, null, 2)}\n` : verdictText(verdict));
  return verdict.findings.some(({ severity }) => severity === "problem") ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const knownErrors = error instanceof DoctorError || error instanceof SecretsError;
  process.stderr.write(`error: ${knownErrors ? error.message : ((error as Error).stack ?? String(error))}\n`);
  process.exitCode = 2;
}
