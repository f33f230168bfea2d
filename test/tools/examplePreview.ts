import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  LocalWorkspace,
  PulumiCommand,
  type EngineEvent,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import type { Example } from "../exampleStacks.ts";

/** Previews an example with the real engine, separate from any lab: different folders, different state, no bound addresses. */

const source = join(import.meta.dirname, "..", "..");

/** A resource as planned by the engine. Its inputs have the engine's markers in place of secrets. */
export interface Planned {
  type: string;
  urn: string;
  operation: string;
  inputs: Record<string, unknown>;
}

export interface Preview {
  resources: Planned[];
  /** The engine's output, including stderr. */
  text: string;
  /** Every event of the engine, as JSON. */
  events: string;
  /** Messages of severity warning or error. */
  complaints: string[];
  /** The stack file after the secrets were set. */
  stackFile: string;
}

/** Absolute paths of the tools that the engine and the stand-ins run. */
export type PreviewTools = Record<"pulumi" | "talosctl" | "pulumi-resource-kubernetes", string>;

/**
 * A project folder with this project's program and provider, and separate stacks. Always uses the lab's stand-in for the Talos provider, whatever is
 * installed, so that previews are the same everywhere.
 */
export class PreviewProject {
  readonly #dir: string;
  readonly #environment: Record<string, string>;
  readonly #before: NodeJS.ProcessEnv;

  constructor(tools: PreviewTools) {
    this.#dir = mkdtempSync(join(tmpdir(), "talos-iscsi-examples-"));
    for (const name of ["bin", "home", "state"]) mkdirSync(join(this.#dir, name));
    cpSync(join(source, "Pulumi.yaml"), join(this.#dir, "Pulumi.yaml"));
    symlinkSync(join(source, "provider"), join(this.#dir, "provider")); // Pulumi.yaml refers to it by this path
    const programs: Record<string, string> = { ...tools, node: process.execPath };
    const standIn = "pulumi-resource-talos";
    programs[standIn] = join(source, "lab", "plugins", "talos", standIn);
    for (const [name, path] of Object.entries(programs)) symlinkSync(path, join(this.#dir, "bin", name));
    this.#environment = {
      PATH: [join(this.#dir, "bin"), process.env["PATH"] ?? ""].join(delimiter),
      PULUMI_HOME: join(this.#dir, "home"),
      PULUMI_BACKEND_URL: pathToFileURL(join(this.#dir, "state")).href,
      PULUMI_CONFIG_PASSPHRASE: "of the examples' test",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    };
    this.#before = { ...process.env };
    Object.assign(process.env, this.#environment); // the Automation API finds the engine, and the engine finds its plugins, through this process's PATH
  }

  /** Follows examples/README.md: copies the file, sets each secret (here to `password`) and previews. */
  async preview({ name, text, secrets }: Example, password: string): Promise<Preview> {
    const stackFile = join(this.#dir, `Pulumi.${name}.yaml`);
    writeFileSync(stackFile, text);
    const stack = await this.#open(name);
    for (const path of secrets) await stack.setConfig(path, { value: password, secret: true }, true);
    const events: EngineEvent[] = [];
    const printed: string[] = [];
    await stack.preview({
      diff: true,
      color: "never",
      onOutput: (chunk) => printed.push(chunk),
      onError: (chunk) => printed.push(chunk),
      onEvent: (event) => events.push(event),
    });
    return {
      resources: events.flatMap(planned),
      text: printed.join(""),
      events: JSON.stringify(events),
      complaints: events.flatMap(complaint),
      stackFile: readFileSync(stackFile, "utf8"),
    };
  }

  async #open(stackName: string): Promise<Stack> {
    return LocalWorkspace.createOrSelectStack(
      { stackName, projectName: "talos-iscsi", program: () => program(stackName, this.#dir) },
      {
        workDir: this.#dir,
        envVars: this.#environment,
        pulumiCommand: await PulumiCommand.get({ skipVersionCheck: true }),
      },
    );
  }

  remove(): void {
    for (const name of Object.keys(this.#environment)) {
      const value = this.#before[name];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Loads the program like a language host, in the project's folder and afresh for each stack. */
async function program(stack: string, folder: string): Promise<Record<string, unknown>> {
  const entry = pathToFileURL(join(source, "index.ts"));
  entry.searchParams.set("example", stack);
  const before = process.cwd();
  process.chdir(folder);
  try {
    const outputs = (await import(/* @vite-ignore */ entry.href)) as Record<string, unknown>;
    // Like main.js.
    return Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== undefined));
  } finally {
    process.chdir(before);
  }
}

function planned({ resourcePreEvent: event }: EngineEvent): Planned[] {
  if (event === undefined) return [];
  const { type, urn, op, new: after } = event.metadata;
  return [{ type, urn, operation: op, inputs: after?.inputs ?? {} }];
}

function complaint({ diagnosticEvent: said }: EngineEvent): string[] {
  return said?.severity === "warning" || said?.severity === "error" ? [said.message] : [];
}
