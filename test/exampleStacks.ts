import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { withValues } from "./unit/settings/example.ts";

/** The stack files under `examples/`. */

const folder = join(import.meta.dirname, "..", "examples");

/** An example, and what a reader has to do besides copying it. */
export interface Example {
  name: string;
  /** The stack file's content. */
  text: string;
  /** Paths of its commands that set a secret, without quotes. */
  secrets: string[];
}

export function allExamples(): Example[] {
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "Pulumi.example.yaml")))
    .map(exampleNamed);
}

export function exampleNamed(name: string): Example {
  const text = readFileSync(join(folder, name, "Pulumi.example.yaml"), "utf8");
  const commands = [...text.matchAll(/pulumi config set --secret --path ('?)(\S+)\1$/gm)];
  return { name, text, secrets: commands.map((command) => command[2] ?? "") };
}

/** An example's settings as the program gets them, with or without its secrets set. */
export function settingsIn(
  { text, secrets }: Example,
  set: { secrets: boolean } = { secrets: true },
): Record<string, unknown> {
  const { config } = parse(text) as { config: Record<string, unknown> };
  const own = Object.entries(config).map(([key, value]) => [key.replace(/^talos-iscsi:/, ""), value]);
  return withValues(
    Object.fromEntries(own) as Record<string, unknown>,
    Object.fromEntries(set.secrets ? secrets.map((path) => [path, "a password"]) : []),
  );
}
