import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { askLab, labReport } from "../../lab/control.ts";
import { pulumiEnvironment } from "../../lab/stack.ts";
import { stateAsOf010, type Deployment } from "./formerState.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";

/** Node configurations with the real engine: what previews show, what is refused, and how a stack of 0.1.0 migrates. */

let lab: LabProject;
const names = ["cp1", "cp2", "cp3", "w1", "w2"];
const former = /ConfigurationGuard|ConfigurationApply|:MachineConfiguration::/;

/** The number of applies and boots of every machine. They must not grow if nothing should happen. */
async function touched(): Promise<Record<string, { applies: number; boots: number }>> {
  const report = await labReport(lab.file("lab.sock"));
  return Object.fromEntries(
    (report?.nodes ?? []).map(({ name, applies, boots }) => [name, { applies, boots }]),
  );
}

/** Changes the cluster's settings in the stack file. */
function set(path: string[], value: unknown): void {
  const file = join(lab.dir, "Pulumi.dev.yaml");
  const document = parseDocument(readFileSync(file, "utf8"));
  document.setIn(["config", ...path], value);
  writeFileSync(file, document.toString());
}

const patch = (role: string, ...patches: object[]): void =>
  set(["talos-iscsi:cluster", "patches", role], patches);
const sysctl = (name: string): object => ({ machine: { sysctls: { [name]: "1" } } });

async function pulumi(...args: string[]): Promise<Finished> {
  const finished = await lab.run(join(lab.dir, ".lab", "bin", "pulumi"), [...args, "--stack", "dev"], {
    ...pulumiEnvironment(),
    PULUMI_BACKEND_URL: `file://${lab.file("state")}`,
    PATH: `${lab.file("bin")}:${process.env["PATH"]}`,
  });
  if (finished.code !== 0) throw new Error(`pulumi ${args.join(" ")}:\n${finished.text}`);
  return finished;
}

async function state(): Promise<Deployment> {
  return JSON.parse((await pulumi("stack", "export", "--show-secrets")).stdout) as Deployment;
}

const count = (text: string, part: string): number => text.split(part).length - 1;

beforeAll(async () => {
  lab = await LabProject.make();
  const file = join(lab.dir, "Pulumi.dev.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace(/ {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/, ""));
  await lab.labOk("start", "--node-seconds", "1");
  await lab.labOk("up", "--skip-preview");
});

afterAll(async () => lab?.remove());

describe("a stack of 0.1.0", () => {
  test("goes on with a plain up: nothing is applied, rebooted or deleted on any node", async () => {
    const file = lab.file("former.json");
    const old = stateAsOf010(await state());
    expect(old.deployment.resources.filter(({ urn }) => former.test(urn))).toHaveLength(3 * names.length);
    writeFileSync(file, JSON.stringify(old), { mode: 0o600 });
    await pulumi("stack", "import", "--file", file);
    const before = await touched();

    const { text } = await lab.labOk("up");
    expect(text).not.toMatch(/replace|was changed by hand/);
    expect(await touched()).toEqual(before);
    const urns = (await state()).deployment.resources.map(({ urn }) => urn);
    expect(urns.filter((urn) => former.test(urn))).toEqual([]);
    expect(urns.filter((urn) => urn.includes("talos-node:index:NodeConfiguration::"))).toHaveLength(5);
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
    expect(await touched()).toEqual(before);
  });

  nightly("also migrates after a refresh", async () => {
    const file = lab.file("former.json");
    writeFileSync(file, JSON.stringify(stateAsOf010(await state())), { mode: 0o600 });
    await pulumi("stack", "import", "--file", file);
    const before = await touched();
    await lab.labOk("refresh");
    await lab.labOk("up", "--skip-preview");
    expect(await touched()).toEqual(before);
    expect((await state()).deployment.resources.filter(({ urn }) => former.test(urn))).toEqual([]);
  });
});

describe("a preview", () => {
  test("shows each changed line once, and no line of an earlier change as removed", async () => {
    patch("worker", sysctl("vm.first"));
    await lab.labOk("up", "--skip-preview");
    patch("worker", sysctl("vm.first"), sysctl("vm.second"));
    const { stdout } = await lab.labOk("preview");
    // Once per worker. The stack outputs come after the resources.
    expect(count(stdout, "vm.second"), stdout).toBe(2);
    const [resources = ""] = stdout.split(/^\s*--outputs:--/m);
    const blocks = resources
      .split(/(?=^\s*[~+-] talos[\w:/-]+: )/m)
      .filter((block) => block.includes("NodeConfiguration::"));
    const workers = blocks.filter((block) => /cluster-config-w\d\]/.test(block));
    expect(workers).toHaveLength(2);
    for (const block of workers) {
      expect(count(block, "vm.second"), block).toBe(1);
      expect(block).toContain('"+ machine.sysctls.vm.second: 1"');
      expect(block, block).not.toMatch(/^\s*- .*"[+~-] /m);
      expect(block).not.toContain("=> [secret]");
    }
    await lab.labOk("up", "--skip-preview");
  });

  test("of a new release shows one upgrade line per node, and nothing from the last rollout", async () => {
    set(["talos-iscsi:talosVersion"], "v1.14.1");
    const { stdout, text } = await lab.labOk("preview");
    set(["talos-iscsi:talosVersion"], "v1.13.9");
    const [resources = "", outputs = ""] = stdout.split(/^\s*--outputs:--/m);
    // Two per node, plus the image, the cluster, the readiness check and the preflight.
    expect(count(resources, ": (update)"), resources).toBe(2 * names.length + 4);
    const upgrades = resources
      .split(/(?=^ *~ talos[\w-]*:[\w:/-]+: \(update\)$)/m)
      .filter((block) => block.includes("NodeUpgrade::"));
    expect(upgrades).toHaveLength(names.length);
    for (const block of upgrades)
      expect(block.match(/^ +[~+-] (?!talos-).*$/gm)).toEqual([
        expect.stringMatching(/^ +~ talosVersion *: "v1\.13\.9" => "v1\.14\.1"$/),
      ]);
    expect(resources).not.toMatch(/[0-9a-f]{64}:v1\.14\.1"/);
    expect(count(outputs, ':v1.14.1"')).toBe(1);
    for (const name of names)
      expect(resources).toMatch(new RegExp(`\\+ ${name} *: "v1\\.13\\.9 .* -> v1\\.14\\.1 `));
    expect(resources).not.toContain("v1.12");
    // Each note about the upgrade appears once, with its nodes.
    expect(count(text, "no snapshot of etcd is taken")).toBe(1);
  });

  nightly("and an up report each problem once, however many nodes it stops", async () => {
    const fault = (node: string, fault: string, lift = false): Promise<unknown> =>
      askLab(lab.file("lab.sock"), { method: "POST", path: "/fault", body: { node, fault, lift } });
    set(["talos-iscsi:talosVersion"], "v1.13.7");
    await fault("cp3", "etcd-alarm-nospace");
    await fault("w2", "permission-denied");
    const before = await touched();
    const preview = await lab.labOk("preview");
    const up = await lab.lab("up", "--skip-preview");
    await fault("cp3", "all", true);
    await fault("w2", "all", true);
    set(["talos-iscsi:talosVersion"], "v1.13.9");
    expect(up.code).toBe(1);
    expect(await touched()).toEqual(before);
    for (const { text } of [preview, up]) {
      expect(count(text, "etcd alarm NOSPACE at cp3"), text).toBe(1);
      expect(text).not.toContain("would lose its majority");
    }
    expect(preview.text).toMatch(/right now: w2 .*step "inspect": .*os:admin/);
    // Reported together with everything else, in one run.
    expect(up.text).toMatch(/^ +w2 .*step "inspect": .*os:admin/m);
    // The readiness check prints each step once. The engine repeats the last one with every message that follows.
    for (const [step, most] of [
      ["inspect", 1],
      ["guard", 3],
    ] as const) {
      const shown = up.text.match(new RegExp(`\\[\\d+/11\\] ${step} · \\d nodes`, "g")) ?? [];
      expect(shown.length, up.text).toBeGreaterThan(0);
      expect(shown.length, up.text).toBeLessThanOrEqual(most);
    }
    expect(up.text).not.toContain("using pulumi-resource-");
  });

  test("refuses a different contract, with the reason", async () => {
    set(["talos-iscsi:talosContract"], "v1.13");
    const before = await touched();
    const refused = await lab.lab("preview");
    expect(refused.code).toBe(1);
    expect(refused.text).toContain("siderolabs/talos#13885");
    expect(refused.text).not.toMatch(/^\s+at .*\.ts:\d+/m);
    expect(await touched()).toEqual(before);
    set(["talos-iscsi:talosContract"], "v1.12");
  });

  nightly("shows manual changes after a refresh, and up keeps them", async () => {
    const file = join(lab.dir, ".lab", "by-hand.yaml");
    writeFileSync(file, 'machine: { sysctls: { vm.by-hand: "1" } }\n');
    await lab.tool("talosctl", "--nodes", "127.10.0.21", "patch", "machineconfig", "--patch", `@${file}`);
    const before = await touched();
    const preview = await lab.labOk("preview", "--refresh");
    expect(preview.text).toContain("+ machine.sysctls.vm.by-hand: 1");
    // Unchanged nodes do not appear.
    expect(preview.text).not.toMatch(
      /\(refresh\)\s+\[id=[^\]]*\]\s+\[urn=[^\]]*NodeConfiguration::cluster-config-(?!w1)/,
    );
    await lab.labOk("refresh");
    const { text } = await lab.labOk("up", "--skip-preview");
    expect(text).toContain("[config-changed-by-hand]");
    expect(await touched()).toEqual(before);
    writeFileSync(file, "machine: { sysctls: { vm.by-hand: { $patch: delete } } }\n");
    await lab.tool("talosctl", "--nodes", "127.10.0.21", "patch", "machineconfig", "--patch", `@${file}`);
    await lab.labOk("refresh");
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });
});

describe("an apply that failed after its guard passed", () => {
  test("is guarded again by the next up", async () => {
    patch("controlplane", sysctl("vm.guarded"));
    await lab.labOk("fault", "cp1", "configuration-refused", "--once");
    const failed = await lab.lab("up", "--skip-preview");
    expect(failed.code).toBe(1);
    expect(failed.text).toMatch(
      /cp1 \(127\.10\.0\.11\): its configuration could not be applied: .*no space left/,
    );

    await lab.labOk("fault", "cp2", "etcd-member-unhealthy");
    const before = await touched();
    const waiting = await lab.run(
      process.execPath,
      [join("lab", "cli.ts"), "up", "--skip-preview"],
      {},
      /waiting: /,
    );
    expect(waiting.code).not.toBe(0);
    expect(await touched()).toEqual(before);

    await lab.labOk("fault", "cp2", "all", "--lift");
    await lab.labOk("up", "--skip-preview");
    const after = await touched();
    for (const name of ["cp1", "cp2", "cp3"]) {
      expect(after[name], name).toEqual({ ...before[name], applies: (before[name]?.applies ?? 0) + 1 });
    }
  });
});
