import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The stack files under `examples/`, as a reader finds them. */

const folder = join(import.meta.dirname, "..", "examples");

/** An example, and what a reader has to do beside copying it. */
export interface Example {
  name: string;
  /** The stack's file as it stands. */
  text: string;
  /** The paths of the commands in it that set a secret, without quotes. */
  secrets: string[];
}

/** Every example there is. */
export function allExamples(): Example[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const text = readFileSync(join(folder, name, "Pulumi.example.yaml"), "utf8");
      const commands = [...text.matchAll(/pulumi config set --secret --path ('?)(\S+)\1$/gm)];
      return { name, text, secrets: commands.map((command) => command[2] ?? "") };
    });
}
