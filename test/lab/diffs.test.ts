import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { labReport } from "../../lab/control.ts";
import { LabProject, type Finished } from "./project.ts";

/** What the real engine shows an operator: added nodes, a reverted change and manual changes. */

interface NodeEntry {
  name: string;
  address: string;
  role: string;
  hostname?: string;
}

let lab: LabProject;
const pulumi = (...args: string[]): Promise<Finished> => lab.pulumi(...args, "--stack", "dev");
const settingsFile = (): string => join(lab.dir, "Pulumi.dev.yaml");

/** Deploys the stack file. */
async function deploy(...args: string[]): Promise<string> {
  const { code, text } = await pulumi("up", "--yes", ...args);
  expect(code, text).toBe(0);
  return text;
}

async function previewed(...args: string[]): Promise<string> {
  const { code, text, stdout } = await pulumi("preview", "--diff", ...args);
  expect(code, text).toBe(0);
  // The stack outputs come after the resources.
  return stdout.split(/^\s*--outputs:--/m)[0] ?? "";
}

/** The update part of a preview with --refresh, without the refresh part. */
async function previewedAfterRefresh(): Promise<string> {
  const { code, text, stdout } = await pulumi("preview", "--diff", "--refresh");
  expect(code, text).toBe(0);
  const update = stdout.split(/pulumi:pulumi:Stack: \((?!refresh)/)[1];
  expect(update, text).toBeDefined();
  return update ?? "";
}

/** The lines that show a change, such as `+ cp4: …`, without the lines of the resources themselves. */
const changes = (text: string): string[] =>
  (text.match(/^ +[~+-] .*$/gm) ?? []).map((line) => line.trim()).filter((line) => !/^. \S+:\S+:/.test(line));

function set(path: (string | number)[], value: unknown): void {
  const document = parseDocument(readFileSync(settingsFile(), "utf8"));
  if (value === undefined) document.deleteIn(["config", ...path]);
  else document.setIn(["config", ...path], value);
  writeFileSync(settingsFile(), document.toString());
}

const workers = (...sysctls: string[]): void =>
  set(["talos-iscsi:cluster", "patches"], {
    worker: sysctls.map((name) => ({ machine: { sysctls: { [name]: "1" } } })),
  });

/** The number of applies and boots of every machine. */
async function touched(): Promise<Record<string, { applies: number; boots: number }>> {
  const report = await labReport(lab.file("lab.sock"));
  return Object.fromEntries(
    (report?.nodes ?? []).map(({ name, applies, boots }) => [name, { applies, boots }]),
  );
}

async function configurationOf(node: string): Promise<string> {
  const spec = ["get", "machineconfig", "v1alpha1", "--output", "jsonpath={.spec}"];
  return lab.tool("talosctl", "--nodes", node, ...spec);
}

beforeAll(async () => {
  lab = await LabProject.make();
  const settings = readFileSync(settingsFile(), "utf8");
  writeFileSync(settingsFile(), settings.replace(/ {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/, ""));
  await lab.labOk("start", "--node-seconds", "1");
  workers("vm.first");
  await deploy("--skip-preview");
});
afterAll(async () => lab?.remove());

test("a preview only names the added nodes, wherever they are in the list", async () => {
  const settings = readFileSync(settingsFile(), "utf8");
  const path = ["config", "talos-iscsi:cluster", "nodes"];
  const document = parseDocument(settings);
  const nodes = (document.getIn(path) as { toJSON(): NodeEntry[] }).toJSON();
  const cp4 = { name: "cp4", address: "127.10.0.14", role: "controlplane", hostname: "cp4" };
  const a1 = { name: "a1", address: "127.10.0.24", role: "worker", hostname: "a1" };
  document.setIn(path, [a1, ...nodes.slice(0, 3), cp4, ...nodes.slice(3)]);
  for (const { name, address } of [cp4, a1]) await lab.labOk("boot", name, address);
  writeFileSync(settingsFile(), document.toString());
  const shown = changes(await previewed());
  writeFileSync(settingsFile(), settings);
  expect(shown.filter((line) => line.startsWith("-"))).toEqual([]);
  // No node turns into another.
  expect(
    shown.filter((line) => /=> "(?:cp|w|a)\d|controlplane.*worker|worker.*controlplane/.test(line)),
  ).toEqual([]);
  expect(shown.filter((line) => /^[+~] (?:cp[123]|w[12])\b/.test(line))).toEqual([]);
  for (const name of ["cp4", "a1"])
    expect(shown).toEqual(expect.arrayContaining([expect.stringMatching(new RegExp(`^\\+ ${name}\\b`))]));
});

test("reverting a change shows only what it reverts, and nothing from the change before", async () => {
  workers("vm.first", "vm.second");
  set(["talos-iscsi:namespaces"], [{ name: "longhorn-system" }]);
  await deploy("--skip-preview");
  workers("vm.first");
  set(["talos-iscsi:namespaces"], undefined);
  const shown = changes(await previewed());
  const lines = shown.filter((line) => /"[~+-] /.test(line));
  expect(lines.filter((line) => line.includes("vm.second"))).toEqual(
    Array(2).fill(expect.stringMatching(/^\+ \[\d+\]: "- machine\.sysctls\.vm\.second: 1"$/)),
  );
  expect(lines.filter((line) => line.includes("longhorn-system"))).toHaveLength(3);
  expect(lines.filter((line) => !/^\+ \[\d+\]: "- /.test(line))).toEqual([]);
  expect(shown.join("\n")).not.toContain("vm.first");
  await deploy("--skip-preview");
  expect(await configurationOf("127.10.0.21")).not.toContain("vm.second");
});

test("up --refresh restores a managed value that was changed manually, and the preview shows it first", async () => {
  const before = await touched();
  const patch = ["patch", "machineconfig", "--patch", "machine: { sysctls: { vm.first: '2' } }"];
  await lab.tool("talosctl", "--nodes", "127.10.0.21", ...patch);
  const byHand = await touched();
  const shown = changes(await previewedAfterRefresh()).filter((line) => /"[~+-] /.test(line));
  expect(shown).toContainEqual(
    expect.stringMatching(/^\+ \[\d+\]: "~ machine\.sysctls\.vm\.first: 2 -> 1"$/),
  );
  expect(await touched()).toEqual(byHand);
  expect(await configurationOf("127.10.0.21")).toMatch(/vm\.first: ["']?2/);

  await deploy("--skip-preview", "--refresh");
  expect(await configurationOf("127.10.0.21")).toMatch(/vm\.first: ["']?1/);
  const applies = (byHand["w1"]?.applies ?? 0) + 1;
  expect(await touched()).toEqual({ ...before, w1: { ...before["w1"], applies } });
  // Nothing is left to restore.
  expect(changes(await previewedAfterRefresh()).filter((line) => /"[~+-] /.test(line))).toEqual([]);
});
