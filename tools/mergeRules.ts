import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { goEnvironment } from "./goRun.ts";

// `npm run rules`: asks Talos's own machinery how it merges configurations, once for each release line with distinct rules. Writes talos/mergeRules.json,
// which the program reads, and test/unit/data/mergeSamples.json, from which the tests draw values.

/** The Go module for each release line. */
const PROGRAMS = { "v1.13": "machinery113", "v1.14": "machinery114" } as const;

interface Table {
  readonly machinery: string;
  readonly documents: Record<string, unknown>;
  readonly types: Record<string, unknown>;
  readonly samples: Record<string, unknown>;
}

const root = join(import.meta.dirname, "..");

/** The content of both files, by path relative to the project's root. */
export async function generateRules(): Promise<Record<string, string>> {
  const tables: [string, Table][] = [];
  for (const [line, program] of Object.entries(PROGRAMS)) {
    tables.push([line, JSON.parse(await askProgram(program)) as Table]);
  }
  const common = sharedDefinitions(tables.map(([, { types }]) => types));
  const lines = Object.fromEntries(
    tables.map(([line, { machinery, documents, types }]) => {
      const own = Object.fromEntries(Object.entries(types).filter(([name]) => !(name in common)));
      return [line, { machinery, documents, types: own }];
    }),
  );
  const samples = Object.fromEntries(tables.map(([line, table]) => [line, table.samples]));
  return {
    "talos/mergeRules.json": formatByLine({ lines, types: common }),
    "test/unit/data/mergeSamples.json": formatByLine(samples),
  };
}

/** The definitions that are identical in every table that has them. */
function sharedDefinitions(tables: readonly Record<string, unknown>[]): Record<string, unknown> {
  const names = [...new Set(tables.flatMap((types) => Object.keys(types)))].sort();
  return Object.fromEntries(
    names.flatMap((name) => {
      const texts = tables.filter((types) => name in types).map((types) => types[name]);
      return new Set(texts.map((text) => JSON.stringify(text))).size === 1 ? [[name, texts[0]]] : [];
    }),
  );
}

const NESTED = new Set(["types", "documents", "lines", "v1.13", "v1.14"]);

/** JSON with one line per type and document, so that a diff shows what changed in the machinery. */
function formatByLine(value: object, depth = 0): string {
  const indent = "  ".repeat(depth + 1);
  const lines = Object.entries(value).map(([key, inner]: [string, unknown]) => {
    const open = NESTED.has(key) && typeof inner === "object" && inner !== null;
    return `${indent}${JSON.stringify(key)}: ${open ? formatByLine(inner, depth + 1) : JSON.stringify(inner)}`;
  });
  return `{\n${lines.join(",\n")}\n${"  ".repeat(depth)}}${depth === 0 ? "\n" : ""}`;
}

function askProgram(program: string): Promise<string> {
  const child = spawn("go", ["run", "-mod=readonly", ".", "rules"], {
    cwd: join(root, "tools", program),
    env: goEnvironment(process.env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, complaints]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => complaints.push(chunk));
  return new Promise((resolve, reject) => {
    child.once("error", () =>
      reject(new Error("The merge rules are generated with Go (see CONTRIBUTING.md).")),
    );
    child.once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(output).toString("utf8"));
      else reject(new Error(`tools/${program} failed:\n${Buffer.concat(complaints).toString("utf8")}`));
    });
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const [path, text] of Object.entries(await generateRules())) await writeFile(join(root, path), text);
}
