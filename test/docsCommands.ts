import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Parses the commands that the documentation gives. */

const root = join(import.meta.dirname, "..");

/** A command found on a page. */
export interface DocumentedCommand {
  page: string;
  /** As written, without its comment, on one line. */
  text: string;
  /** Program and arguments without options: `pulumi`, `stack`, `init`, `prod`. */
  words: string[];
  /** Options without their values, sorted: `--path`, `--secret`. */
  options: string[];
}

/** Options that take no value. Any other option takes the next word as its value, unless it uses `=`. */
const switches = new Set(
  [
    "--dry-run --diff --expect-no-changes --follow --graceful --help --insecure --json --overwrite --path --previous",
    "--refresh --secret --show-sames --show-secrets --skip-preview --yes -r --new --build --omit --edit --lift --all --up --refuse-storage-loss",
  ].flatMap((line) => line.split(" ")),
);

export const commandPages = globSync(["README.md", "CONTRIBUTING.md", "docs/*.md", "examples/*.md"], {
  cwd: root,
}).sort();

/** Every command in fenced shell blocks. */
export function fencedCommands(page: string): DocumentedCommand[] {
  const blocks = [...readPage(page).matchAll(/^```(?:sh|bash|shell|console)\n([\s\S]*?)^```/gm)].map(
    ([, block = ""]) => block,
  );
  return blocks.flatMap((block) =>
    block
      .replace(/\\\n\s*/g, " ")
      .split("\n")
      .flatMap((line) => line.replace(/(^|\s)#.*$/, "").split(/\s(?:&&|\|)\s/))
      .map((text) => text.trim())
      .filter((text) => text !== "" && !text.startsWith("cd "))
      .map((text) => parseCommand(page, text)),
  );
}

/** Tool commands mentioned in running text: `pulumi up --refresh`. */
export function mentionedCommands(page: string): DocumentedCommand[] {
  const prose = readPage(page).replace(/^```[\s\S]*?^```/gm, "");
  return [...prose.matchAll(/`((?:pulumi|talosctl|kubectl|npm run) [^`]+)`/g)].map(([, text = ""]) =>
    parseCommand(page, text),
  );
}

function parseCommand(page: string, text: string): DocumentedCommand {
  const tokens = text
    .replace(/\s[<>]\s+\S+/g, "") // redirections
    .replace(/'[^']*'|"[^"]*"/g, "quoted")
    .split(/\s+/)
    .filter((token) => token !== "" && token !== "--" && !/^[A-Z_]+=\S*$/.test(token));
  const words: string[] = [];
  const options: string[] = [];
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index] ?? "";
    if (!/^--?[A-Za-z]/.test(token)) {
      words.push(token);
      continue;
    }
    const [name = ""] = token.split("=");
    options.push(name);
    if (!token.includes("=") && !switches.has(name)) index += 1;
  }
  return { page, text, words, options: [...new Set(options)].sort() };
}

/** The test that runs a command, or the reason why none does. */
export interface CommandProof {
  /** First words plus all options, in any order: `pulumi config set --secret --path`. */
  command: string;
  /** The test that runs it. */
  test?: string;
  /** The code in that test that runs it. */
  by?: string;
  /** Why no test can run it. */
  why?: string;
}

export const proofs = JSON.parse(
  readFileSync(join(root, "test", "docsCommands.json"), "utf8"),
) as CommandProof[];

/** Does the entry cover this command? */
export function provesCommand(proof: CommandProof, { words, options }: DocumentedCommand): boolean {
  const tokens = proof.command.split(" ");
  const wanted = tokens.filter((token) => token.startsWith("-")).sort();
  return (
    tokens.filter((token) => !token.startsWith("-")).every((word, index) => words[index] === word) &&
    wanted.join(" ") === options.join(" ")
  );
}

function readPage(page: string): string {
  return readFileSync(join(root, page), "utf8");
}
