import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  CommandError,
  LocalWorkspace,
  PulumiCommand,
  type InlineProgramArgs,
  type LocalWorkspaceOptions,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import { ReportError } from "./reportError.ts";

/**
 * The Pulumi engine on a stack of this project, with the backend and the secrets of whoever asks. Where no nodejs language host is
 * installed the program runs in this process, on the same engine, which is all that differs.
 */

const projectDir = dirname(dirname(fileURLToPath(import.meta.url)));
const projectName = "talos-iscsi";

/** A preview, as far as the engine came. */
export interface EnginePreview {
  events: unknown[];
  /** The engine's own words where it failed. */
  failure?: string;
}

/** @throws ReportError where there is no engine or no such stack. */
export async function enginePreview(
  stackName: string,
  options: { refresh: boolean; plan: boolean },
): Promise<EnginePreview> {
  // The plan's digest, also where no setting has changed; nothing is approved by that.
  if (options.plan) process.env["TALOS_ISCSI_APPROVED_PLAN"] ??= "none";
  const stack = await openStack(stackName);
  const events: unknown[] = [];
  try {
    await stack.preview({
      onEvent: (event) => void events.push(event),
      ...(options.refresh ? { refresh: true } : {}),
    });
    return { events };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { events, failure: summarizeFailure(error) };
  }
}

/** The stack's state, as `pulumi stack export` has it: its secrets stay encrypted. */
export async function engineState(stackName: string): Promise<unknown> {
  const stack = await openStack(stackName);
  try {
    return await stack.exportStack();
  } catch (error) {
    throw new ReportError(
      `the state of stack ${stackName} could not be exported: ${summarizeFailure(error)}`,
    );
  }
}

async function openStack(stackName: string): Promise<Stack> {
  const pulumiCommand = await findPulumi();
  const options: LocalWorkspaceOptions = {
    workDir: projectDir,
    pulumiCommand,
    envVars: { PULUMI_SKIP_UPDATE_CHECK: "true" },
  };
  try {
    return hasLanguageHost(pulumiCommand.command)
      ? await LocalWorkspace.selectStack({ stackName, workDir: projectDir }, options)
      : await LocalWorkspace.selectStack({ stackName, projectName, program: inlineProgram }, options);
  } catch (error) {
    throw new ReportError(
      `the stack ${stackName} could not be opened: ${summarizeFailure(error)}`,
      `Check that it is in this backend (\`pulumi stack ls\`). In the lab, set the variables that \`npm run lab -- start\` prints.`,
    );
  }
}

async function findPulumi(): Promise<PulumiCommand> {
  try {
    return await PulumiCommand.get({ skipVersionCheck: true });
  } catch {
    throw new ReportError(
      "there is no `pulumi` on PATH. Install the Pulumi CLI, or use a saved file: --from <file>",
    );
  }
}

/** The engine looks on PATH, beside itself and in its home. */
function hasLanguageHost(pulumi: string): boolean {
  const name = `pulumi-language-nodejs${process.platform === "win32" ? ".exe" : ""}`;
  const home = process.env["PULUMI_HOME"] ?? join(homedir(), ".pulumi");
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), dirname(pulumi), join(home, "bin")];
  return folders.some((folder) => folder !== "" && existsSync(join(folder, name)));
}

/** The program as the language host would load it. */
const inlineProgram: InlineProgramArgs["program"] = async () => {
  const main = (await import(pathToFileURL(join(projectDir, "main.js")).href)) as {
    default: Record<string, unknown>;
  };
  return main.default;
};

/** What the engine said of its failure, without what it printed before. */
function summarizeFailure(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const messages = [...text.matchAll(/^\s*(?:error: )(.*(?:\n(?!\s*\w+: ).+)*)/gm)].map(([, words]) =>
    (words ?? "").trim(),
  );
  return [...new Set(messages)].join("\n") || text.trim();
}
