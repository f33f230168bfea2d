import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { policySettings } from "./configuration.ts";
import { decodeText } from "../talos/decodeText.ts";
import { evaluate, type Violation } from "./evaluate.ts";
import { policies } from "./policies.ts";
import { readResources } from "./resources.ts";
import { PolicyRunError } from "./runError.ts";

/**
 * `npm run policy`: runs the pack's policies on an exported state or a saved preview, without an engine, a network or a passphrase. Exit code 0: no
 * mandatory violations; 1: mandatory violations; 2: the policies could not run.
 */

const usage = `Usage: npm run policy -- --from <file> | --stack <name>  [--config <file>] [--json]

  --from <file>    output of "pulumi stack export" or "pulumi preview --json --show-sames"; - for standard input
  --stack <name>   check the state of this stack, exported by pulumi
  --config <file>  levels and settings of the policies, as for --policy-pack-config (docs/policy.md); default: policy/config.json
  --json           print violations as JSON; use "npm run -s policy", or npm prints its own lines first
`;

interface Options {
  from?: string;
  stack?: string;
  config?: string;
  json: boolean;
}

function parseOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        from: { type: "string" },
        stack: { type: "string" },
        config: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return undefined;
    if ((values.from === undefined) === (values.stack === undefined))
      throw new PolicyRunError("Specify either --from or --stack.", usage);
    return values;
  } catch (error) {
    if (error instanceof PolicyRunError) throw error;
    throw new PolicyRunError((error as Error).message, usage);
  }
}

async function main(): Promise<number> {
  const wanted = parseOptions();
  if (wanted === undefined) {
    process.stdout.write(usage);
    return 0;
  }
  const settings = policySettings(
    policies,
    readInput(wanted.config ?? join(import.meta.dirname, "config.json")),
  );
  const resources =
    wanted.stack === undefined
      ? readResources(
          wanted.from === "-" ? decodeText(readFileSync(0)) : readInput(wanted.from ?? ""),
          wanted.from ?? "",
        )
      : readResources(exportStack(wanted.stack), `the state of ${wanted.stack}`);
  const violations = await evaluate(policies, settings, resources);
  const mandatory = violations.filter(({ level }) => level === "mandatory").length;
  process.stdout.write(
    wanted.json
      ? `${JSON.stringify({ resources: resources.length, violations }, null, 2)}\n`
      : violationReport(violations, resources.length),
  );
  return mandatory > 0 ? 1 : 0;
}

function readInput(path: string): string {
  try {
    return decodeText(readFileSync(path));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new PolicyRunError(
      code === "ENOENT" ? `There is no file ${path}.` : `${path} cannot be read (${code ?? String(error)}).`,
    );
  }
}

/** Secrets stay encrypted in an export, so this needs no passphrase; they are not written to a file either. */
function exportStack(stack: string): string {
  const result = spawnSync("pulumi", ["stack", "export", "--stack", stack, "--non-interactive"], {
    encoding: "utf8",
    maxBuffer: 1024 ** 3,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (result.error !== undefined)
    throw new PolicyRunError(
      `pulumi could not be started (${result.error.message}). Export the state yourself and pass it with --from.`,
    );
  if (result.status !== 0)
    throw new PolicyRunError(`pulumi could not export ${stack}:\n  ${result.stderr.trim()}`);
  return result.stdout;
}

function violationReport(violations: readonly Violation[], resources: number): string {
  const lines = violations.flatMap(({ level, title, policy, urn, message }) => [
    `${level}: ${title} [${policy}]`,
    `  ${urn === undefined ? "the stack" : (urn.split("::").slice(2).join("::").split("$").at(-1) ?? urn)}`,
    `  ${message}`,
    "",
  ]);
  const mandatory = violations.filter(({ level }) => level === "mandatory").length;
  const advisory = violations.length - mandatory;
  lines.push(
    `${policies.length} policies, ${resources} resources: ${mandatory} mandatory and ${advisory} advisory violations`,
  );
  return `${lines.join("\n")}\n`;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(
    `${error instanceof PolicyRunError ? error.message : ((error as Error).stack ?? String(error))}\n`,
  );
  process.exitCode = 2;
}
