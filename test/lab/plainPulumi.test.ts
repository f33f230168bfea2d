import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";
import { canaries, filesWith } from "./secrets.ts";

/** Runs plain `pulumi` against a running lab, with the three environment variables that the lab prints. */

let lab: LabProject;
let environment: Record<string, string>;

beforeAll(async () => {
  lab = await LabProject.make();
  const started = await lab.labOk("start", "--node-seconds", "1");
  environment = Object.fromEntries(
    [...started.stdout.matchAll(/export (\w+)="(.*)"/g)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
});

afterAll(async () => lab?.remove());

function pulumi(...args: string[]): Promise<Finished> {
  return pulumiWith({}, ...args);
}

function pulumiWith(more: Record<string, string>, ...args: string[]): Promise<Finished> {
  const path = (environment["PATH"] ?? "").replace(
    "$PATH",
    [join(lab.dir, "test", "lab", "languageHost"), process.env["PATH"]].join(delimiter),
  );
  const pulumiBinary = join(lab.dir, ".lab", "bin", "pulumi");
  return lab.run(pulumiBinary, [...args, "--stack", "dev", "--non-interactive"], {
    ...environment,
    PATH: path,
    PULUMI_SKIP_UPDATE_CHECK: "true",
    ...more,
  });
}

test("the lab prints the three environment variables", () => {
  expect(Object.keys(environment).sort()).toEqual(["PATH", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"]);
});

test("pulumi preview and pulumi up work when the language host loads the program", async () => {
  const preview = await pulumi("preview");
  expect(preview.text).toMatch(/\+ \d+ to create/);
  expect(preview.code).toBe(0);
  const diff = await pulumi("preview", "--diff");
  expect(diff.text).toMatch(/\+ talos-node:index:NodeUpgrade: \(create\)/);
  expect(diff.code).toBe(0);
  const up = await pulumi("up", "--yes", "--skip-preview");
  expect(up.text).toMatch(/\+ \d+ created/);
  expect(up.code).toBe(0);
});

test("the credentials in the stack outputs work", async () => {
  for (const [name, ...command] of [
    ["kubeconfig", "kubectl", "--kubeconfig", "kubeconfig", "get", "nodes"],
    ["talosconfig", "talosctl", "--talosconfig", "talosconfig", "--nodes", "127.10.0.21", "version"],
  ] as [string, string, ...string[]][]) {
    const output = await pulumi("stack", "output", name, "--show-secrets");
    const file = join(lab.dir, name);
    writeFileSync(file, output.stdout);
    chmodSync(file, 0o600);
    const [tool, ...args] = command;
    const used = await lab.run(join(lab.dir, ".lab", "bin", tool), args);
    expect(used.text).toContain("v1.");
    expect(used.code).toBe(0);
  }
});

test("a node's configuration can be exported and applied to it with --dry-run", async () => {
  const on = ["--nodes", "127.10.0.21"];
  const configuration = await lab.tool(
    "talosctl",
    ...on,
    "get",
    "machineconfig",
    "v1alpha1",
    "-o",
    "jsonpath={.spec}",
  );
  const file = join(lab.dir, "worker.yaml");
  writeFileSync(file, configuration);
  const tried = await lab.tool("talosctl", ...on, "apply-config", "--dry-run", "--file", file);
  expect(tried).not.toContain("error");
});

nightly("the lab's own command sees no changes after plain pulumi", async () => {
  expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
});

// The engine's debug log is excluded: it contains provider traffic in plain text, as SECURITY.md says.
test("no secret is in a JSON preview, in a preview with --diff, or in the exported state", async () => {
  const secrets = [...canaries(lab.file("secrets.yaml"), lab.file("talosconfig")), "lab-only"];
  expect(secrets.length).toBeGreaterThan(10);
  const leaking = (text: string) => secrets.filter((secret) => text.includes(secret)).length;
  const another = (text: string) =>
    text
      .replace("talosVersion: v1.13.9", "talosVersion: v1.13.7")
      .replace(
        "    secrets:\n",
        "    patches: { all: [{ machine: { sysctls: { a.b: '1' } } }] }\n    secrets:\n",
      );
  for (const args of [
    ["preview", "--json"],
    ["preview", "--diff"],
  ]) {
    const preview = await lab.withStackFile("dev", another, () => pulumi(...args));
    expect(preview.code).toBe(0);
    expect(preview.text).toContain("v1.13.7");
    expect([args.join(" "), leaking(preview.text)]).toEqual([args.join(" "), 0]);
  }
  const state = await pulumi("stack", "export");
  expect(state.text).toContain("ciphertext");
  expect(leaking(state.text)).toBe(0);
});

test("a preview matches the one in the README", async () => {
  const readme = readFileSync(join(lab.dir, "README.md"), "utf8");
  const shown =
    /^```\n(~ talos-node:[\s\S]*?)^```/m
      .exec(readme)?.[1]
      ?.split("\n")
      .filter((line) => line.trim() !== "") ?? [];
  expect(shown.length).toBeGreaterThan(7);
  const preview = await lab.withStackFile(
    "dev",
    (text) =>
      text
        .replace("talosVersion: v1.13.9", "talosVersion: v1.13.7")
        .replace(
          "    secrets:\n",
          '    patches:\n      all:\n        - machine:\n            sysctls: { net.core.somaxconn: "65535" }\n    secrets:\n',
        ),
    () => pulumi("preview", "--diff"),
  );
  // In this order, ignoring lines in between and how the engine aligns its colons.
  const plainly = (line: string) => line.trim().replace(/\s+/g, " ").replace(" :", ":");
  const lines = preview.stdout.split("\n").map(plainly);
  let from = 0;
  for (const line of shown.map(plainly).filter((text) => text !== "...")) {
    const at = lines.indexOf(line, from);
    expect(at, `${line}\nis not in\n${lines.slice(from).join("\n").slice(0, 6000)}`).toBeGreaterThanOrEqual(
      0,
    );
    from = at + 1;
  }
});

test("a configuration mistake is reported without a stack trace", async () => {
  const preview = await lab.withStackFile(
    "dev",
    (text) => text.replace("talosVersion: v1.13.9", "talosVersion: latest"),
    () => pulumi("preview"),
  );
  expect(preview.code).not.toBe(0);
  expect(preview.text).toContain('talosVersion: is "latest"');
  expect(preview.text).not.toMatch(/^\s+at .*\.ts:\d+/m);
});

test("a Node.js that is too old is reported with the fix, without a stack trace", async () => {
  // Makes Node.js report an old version.
  const versions = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });`;
  const preview = await pulumiWith(
    { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(versions)}` },
    "preview",
  );
  expect(preview.code).not.toBe(0);
  expect(preview.text).toContain("Node.js 22.18 or newer");
  expect(preview.text).not.toMatch(/^\s+at .*\.[tj]s:\d+/m);
});

test("if the engine finds no provider executable, as on Windows, the language host starts the provider", async () => {
  const executable = join(lab.dir, "provider", "pulumi-resource-talos-node");
  renameSync(executable, `${executable}.away`);
  try {
    const preview = await pulumi("preview", "--refresh");
    expect(preview.text).toMatch(/\d+ unchanged/);
    expect(preview.code).toBe(0);
  } finally {
    renameSync(`${executable}.away`, executable);
  }
});

test("values set with --secret or from the environment never appear in a preview, plan, state or history, whatever their key", async () => {
  const hidden = { user: "array-Admin71", sysctl: "plum-Value72", label: "pear-Value73" };
  const env = { ARRAY_USER: hidden.user, NODE_LABEL: hidden.label };
  const printed: string[] = [];
  const plan = join(lab.dir, "plan.json");
  const run = async (...args: string[]): Promise<string> => {
    const finished = await pulumiWith(env, ...args);
    printed.push(finished.text);
    if (finished.code !== 0) throw new Error(`pulumi ${args.join(" ")}: ${finished.text.slice(-3000)}`);
    return finished.text;
  };
  const label = "machine: { nodeLabels: { example.org/x: { fromEnvironment: NODE_LABEL } } }";
  await lab.withStackFile(
    "dev",
    (text) =>
      text
        .replace(/^( +user:) .*$/m, "$1 { fromEnvironment: ARRAY_USER }")
        .replace("    secrets:\n", `    patches: { all: [{ ${label} }] }\n    secrets:\n`),
    async () => {
      const patch = `machine: { sysctls: { kernel.domainname: ${hidden.sysctl} } }`;
      await run("config", "set", "--secret", "--path", "cluster.patches.all[1]", patch);
      await run("preview", "--diff", "--save-plan", plan);
      await run("preview", "--json");
      await run("up", "--yes", "--skip-preview", "--diff");
      printed.push(readFileSync(plan, "utf8"));
      await run("stack", "export");
      await run("stack", "history", "--json", "--show-secrets=false");
      // The secret exists, and the node has it.
      const configuration = await lab.tool(
        "talosctl",
        "--nodes",
        "127.10.0.21",
        "get",
        "machineconfig",
        "v1alpha1",
        "-o",
        "yaml",
      );
      expect([hidden.sysctl, hidden.label].filter((value) => !configuration.includes(value))).toEqual([]);
    },
  );
  const values = Object.values(hidden);
  expect(printed.map((text) => values.filter((value) => text.includes(value)))).toEqual(
    printed.map(() => []),
  );
  expect(filesWith(lab.file("state"), values)).toEqual([]);
}, 1_200_000);
