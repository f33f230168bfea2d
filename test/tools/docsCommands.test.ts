import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveTools } from "../../tools/resolve.ts";
import { commandPages, fencedCommands, mentionedCommands, type DocumentedCommand } from "../docsCommands.ts";

/** Checks the commands in the documentation against the real tools. No lab is needed. */

const root = join(import.meta.dirname, "../..");
const all = commandPages.flatMap((page) => [...fencedCommands(page), ...mentionedCommands(page)]);
const scratch = mkdtempSync(join(tmpdir(), "talos-iscsi-commands-"));
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  const tools = await resolveTools(["pulumi", "talosctl", "kubectl"]);
  for (const [name, path] of Object.entries(tools)) symlinkSync(path, join(scratch, name));
  environment = {
    ...process.env,
    PATH: [scratch, process.env["PATH"]].join(delimiter),
    PULUMI_HOME: join(scratch, "home"),
    PULUMI_BACKEND_URL: `file://${scratch}`,
    PULUMI_CONFIG_PASSPHRASE: "only for this test",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    NO_COLOR: "1",
    PULUMI_EXPERIMENTAL: "true", // otherwise the help lacks --save-plan and --plan
  };
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const helps = new Map<string, string>();
function help(program: string, words: string[]): string {
  const key = [program, ...words].join(" ");
  const known = helps.get(key);
  if (known !== undefined) return known;
  const asked = spawnSync(program, [...words, "--help"], { encoding: "utf8", env: environment });
  const global =
    program === "kubectl"
      ? spawnSync(program, ["options"], { encoding: "utf8", env: environment }).stdout
      : "";
  const text = `${asked.stdout}${asked.stderr}\n${global}`;
  helps.set(key, text);
  return text;
}

function optionsIn(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^\s+(?:(-\w), )?(--[\w-]+)/gm)].flatMap(([, short, long]) => [
      short ?? "",
      long ?? "",
    ]),
  );
}

const ofTools = all.filter(({ words }) => /^(?:pulumi|talosctl|kubectl)$/.test(words[0] ?? ""));

describe("options and subcommands", () => {
  it.each(ofTools.map((command) => [`${command.page}: ${command.text}`, command] as const))(
    "%s",
    (_, command) => {
      const [program = "", ...words] = command.words;
      // Skip arguments: --help does not need them, and they may be placeholders.
      const subcommands = words.slice(0, words.findIndex((word) => !/^[a-z][a-z0-9-]*$/.test(word)) >>> 0);
      const text = help(program, subcommands);
      const usage = /Usage:\s+(.*)/.exec(text)?.[1] ?? "";
      // A placeholder ends the subcommands: `<id>`, `[flags]`, `(-f FILENAME`.
      const shown = usage.split(/\s+/).slice(1);
      const own = shown.slice(0, shown.findIndex((word) => !/^[a-z][a-z0-9-]*$/.test(word)) >>> 0);
      const aliases = (/Aliases:\s+(.*)/.exec(text)?.[1] ?? "").split(/, */);
      const last = subcommands[own.length - 1] ?? "";
      // `pulumi stack init` is an alias of `pulumi stack new`.
      const path = aliases.some((alias) => alias.split(" ").at(-1) === last)
        ? [...own.slice(0, -1), last]
        : own;
      expect(usage, text.slice(0, 400)).toContain(program);
      // If the tool shows the parent command's help and asks for a subcommand, it does not know the documented one.
      if (/\[command\]/.test(usage)) expect(path).toEqual(subcommands);
      else expect(subcommands.slice(0, path.length)).toEqual(path.slice(0, subcommands.length));
      const known = optionsIn(text);
      expect(command.options.filter((option) => !known.has(option))).toEqual([]);
    },
  );

  it("would detect a missing option", () => {
    expect(optionsIn(help("pulumi", ["config", "set"]))).toContain("--secret");
    expect(optionsIn(help("pulumi", ["config", "set"]))).not.toContain("--secrets");
    expect(optionsIn(help("talosctl", ["apply-config"]))).toContain("--dry-run");
    expect(optionsIn(help("kubectl", ["label"]))).toContain("--overwrite");
  });

  const ofLab = all.filter(
    ({ words }) => words.slice(0, 3).join(" ") === "npm run lab" && /^[a-z]+$/.test(words[3] ?? ""),
  );
  it.each(ofLab.map((command) => [`${command.page}: ${command.text}`, command] as const))(
    "%s",
    (_, command) => {
      const asked = spawnSync(
        process.execPath,
        [join(root, "lab", "cli.ts"), command.words[3] ?? "", "--help"],
        { encoding: "utf8" },
      );
      expect(asked.stdout).toContain(`Usage: lab ${command.words[3] ?? ""}`);
      expect(command.options.filter((option) => !optionsIn(asked.stdout).has(option))).toEqual([]);
    },
  );
});

describe("runs what the pages say", () => {
  /** The matching commands of a page, in order, as a user would paste them. */
  function commandsOf(page: string, which: RegExp): DocumentedCommand[] {
    const found = fencedCommands(page).filter(({ text }) => which.test(text));
    expect(found.length, page).toBeGreaterThan(0);
    return found;
  }

  function paste(folder: string, commands: readonly DocumentedCommand[], input = ""): void {
    for (const { text } of commands)
      execFileSync("sh", ["-euc", text], { cwd: folder, env: environment, input });
  }

  function project(): string {
    const folder = mkdtempSync(join(scratch, "project-"));
    for (const file of ["Pulumi.yaml", "Pulumi.prod.example.yaml", "Pulumi.staging.example.yaml", "examples"])
      symlinkSync(join(root, file), join(folder, file));
    return folder;
  }

  it("docs/adopt.md: creates the stack and its file, with the cluster's secrets encrypted", () => {
    const folder = project();
    execFileSync("talosctl", ["gen", "secrets", "-o", "secrets.yaml"], { cwd: folder, env: environment });
    execFileSync(
      "talosctl",
      ["gen", "config", "prod", "https://k8s.prod.example.com:6443", "--with-secrets", "secrets.yaml"],
      {
        cwd: folder,
        env: environment,
      },
    );
    copyFileSync(join(folder, "worker.yaml"), join(folder, "db1.yaml"));
    paste(folder, commandsOf("docs/adopt.md", /^(?:pulumi stack init|cp|pulumi config set)/));
    const file = readFileSync(join(folder, "Pulumi.prod.yaml"), "utf8");
    expect(file).toMatch(/bundle:[\s{]+secure: /);
    for (const key of ["controlplane", "worker", "talosconfig", "config"]) {
      expect(file).toMatch(new RegExp(`${key}:[\\s{]+secure: `));
    }
    const bootstrapToken = /bootstraptoken: (\S+)/.exec(
      readFileSync(join(folder, "secrets.yaml"), "utf8"),
    )?.[1];
    expect(bootstrapToken).toBeTruthy();
    expect(file).not.toContain(bootstrapToken);
  });

  it.each([
    ["docs/new-cluster.md", /^(?:pulumi stack init|cp)/, "Pulumi.staging.yaml"],
    ["examples/README.md", /^(?:pulumi stack init|cp)/, "Pulumi.prod.yaml"],
  ])("%s: creates the stack and its file", (page, which, file) => {
    const folder = project();
    environment["PULUMI_BACKEND_URL"] = `file://${mkdtempSync(join(scratch, "state-"))}`;
    paste(folder, commandsOf(page, which));
    expect(readFileSync(join(folder, file), "utf8")).toContain("talos-iscsi:cluster:");
  });

  it.each(["docs/joviandss.md", "docs/synology.md"])("%s: stores the array's password encrypted", (page) => {
    const folder = project();
    environment["PULUMI_BACKEND_URL"] = `file://${mkdtempSync(join(scratch, "state-"))}`;
    execFileSync("pulumi", ["stack", "init", "prod"], { cwd: folder, env: environment });
    paste(folder, commandsOf(page, /^pulumi config set/), "correct horse");
    const file = readFileSync(join(folder, "Pulumi.prod.yaml"), "utf8");
    expect(file).toMatch(/password:[\s{]+secure: /);
    expect(file).not.toContain("correct horse");
  });
});

describe("the acceptance workflow", () => {
  const workflow = readFileSync(join(root, ".github/workflows/acceptance.yml"), "utf8");

  it("creates its cluster with options that the real talosctl has", () => {
    const [, command = ""] = /cluster create qemu((?: \\\n|.)*)/.exec(workflow) ?? [];
    const given = [...command.matchAll(/--[a-z-]+/g)].map(([option]) => option);
    expect(given).toContain("--controlplanes");
    const known = optionsIn(help("talosctl", ["cluster", "create", "qemu"]));
    expect(given.filter((option) => !known.has(option))).toEqual([]);
  });

  it("finds talosctl with the documented command", () => {
    expect(workflow).toContain("npm run tools --silent -- talosctl --json | jq --raw-output .talosctl.path");
    const told = execFileSync("npm", ["run", "tools", "--silent", "--", "talosctl", "--json"], {
      cwd: root,
      encoding: "utf8",
      env: environment,
    });
    const { talosctl } = JSON.parse(told) as { talosctl: { path: string } };
    expect(execFileSync(talosctl.path, ["version", "--client", "--short"], { encoding: "utf8" })).toMatch(
      /v1\.13/,
    );
  });
});
