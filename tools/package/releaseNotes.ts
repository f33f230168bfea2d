import { readFileSync } from "node:fs";
import { join } from "node:path";
import { releaseNotes } from "./release.ts";

// Prints the release notes for a tag. Fails if the tag does not match the release.
const root = join(import.meta.dirname, "..", "..");
const read = (...path: string[]): string => readFileSync(join(root, ...path), "utf8");
try {
  const { version } = JSON.parse(read("package.json")) as { version: string };
  const plugin = /readonly version = "([^"]+)"/.exec(read("provider", "plugin.ts"))?.[1] ?? "";
  process.stdout.write(
    releaseNotes(process.argv[2] ?? "", { version, plugin, changelog: read("CHANGELOG.md") }),
  );
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
