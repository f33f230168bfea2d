import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

/** Runs `npm run policy` as a user or a pipeline would. */

const root = join(import.meta.dirname, "..", "..");
const scratch = mkdtempSync(join(tmpdir(), "talos-iscsi-policy-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function policy(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "policy", "cli.ts"), ...args], {
    encoding: "utf8",
    env: { ...process.env, PATH: scratch },
  });
  return { status, stdout, stderr };
}

function written(name: string, content: unknown): string {
  const file = join(scratch, name);
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

const upgrade = (name: string, more: object = {}) => ({
  urn: `urn:pulumi:prod::talos-iscsi::talos-iscsi:index:RollingUpgrade$talos-node:index:NodeUpgrade::upgrade-${name}`,
  type: "talos-node:index:NodeUpgrade",
  inputs: {
    name,
    role: "controlplane",
    talosVersion: "v1.13.9",
    kubeconfig: {
      "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
      ciphertext: "v1:abc",
    },
  },
  ...more,
});
const state = (...resources: object[]) => ({ version: 3, deployment: { resources } });

describe("exit codes", () => {
  test("0: nothing found", () => {
    const { status, stdout } = policy("--from", written("clean.json", state(upgrade("cp1"))));
    expect(stdout).toBe("9 policies, 1 resources: 0 mandatory and 0 advisory violations\n");
    expect(status).toBe(0);
  });

  test("1: a mandatory violation, with what is wrong, where, and how to fix it", () => {
    const { status, stdout } = policy("--from", written("even.json", state(upgrade("cp1"), upgrade("cp2"))));
    expect(stdout).toContain(
      "mandatory: An odd number of control planes [odd-control-planes]\n  the stack\n",
    );
    expect(stdout).toContain("Make it 1 or 3 in cluster.nodes.");
    expect(status).toBe(1);
  });

  test("0: only advisory violations, as JSON", () => {
    const config = written("advisory.json", { "odd-control-planes": "advisory" });
    const file = written("even.json", state(upgrade("cp1"), upgrade("cp2")));
    const { status, stdout } = policy("--from", file, "--config", config, "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      resources: 2,
      violations: [{ policy: "odd-control-planes", level: "advisory" }],
    });
    expect(status).toBe(0);
    const off = written("off.json", { all: "disabled" });
    expect(policy("--from", file, "--config", off).stdout).toContain("0 mandatory and 0 advisory");
  });

  test("through npm, as documented, only JSON is printed", () => {
    const file = written("odd.json", state(upgrade("cp1")));
    const args = ["run", "-s", "policy", "--", "--from", file, "--json"];
    const { status, stdout } = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ violations: [] });
    expect(status).toBe(0);
  });

  test.each<[string, string[], string]>([
    ["nothing to look at", [], "either --from or --stack [policy]"],
    ["two things", ["--from", "a", "--stack", "b"], "either --from or --stack [policy]"],
    ["an option that there is not", ["--form", "a"], "Unknown option '--form'"],
    ["no such file", ["--from", "/nowhere.json"], "There is no file /nowhere.json [policy]"],
    ["no pulumi", ["--stack", "prod"], "pulumi could not be started"],
  ])("2: %s", (_, args, message) => {
    const { status, stderr } = policy(...args);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(status).toBe(2);
  });

  test.each<[string, unknown, string]>([
    ["not JSON", "password: hunter2", "is not JSON"],
    ["something else", { a: 1 }, "is neither a state nor a preview"],
    [
      "a preview without what does not change",
      { steps: [], changeSummary: { same: 5 } },
      "leaves out the 5 resources that do not change. Save it with",
    ],
  ])("2: %s", (_, content, message) => {
    const { status, stderr } = policy("--from", written("odd.json", content));
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("hunter2");
    expect(status).toBe(2);
  });

  test("2: a configuration with mistakes, all reported at once", () => {
    const config = written("wrong.json", {
      "odd-controlplanes": "mandatory",
      "no-latest": "strict",
      "installer-from-factory": { factory: 1, registry: "x" },
    });
    const { status, stderr } = policy(
      "--from",
      written("clean.json", state(upgrade("cp1"))),
      "--config",
      config,
    );
    expect(stderr).toContain('"odd-controlplanes" is not a policy of this pack');
    expect(stderr).toContain("no-latest: a level is one of advisory, mandatory, remediate, disabled");
    expect(stderr).toContain("installer-from-factory.factory must be text");
    expect(stderr).toContain('installer-from-factory has no setting "registry"');
    expect(status).toBe(2);
  });
});

test("checks a saved preview against the planned state and the running version", () => {
  const running = upgrade("cp1", { outputs: { runningVersion: "v1.11.6" } });
  const gone = upgrade("cp2");
  const preview = {
    steps: [
      { op: "update", urn: running.urn, oldState: running, newState: upgrade("cp1") },
      { op: "delete", urn: gone.urn, oldState: gone },
    ],
    changeSummary: { update: 1, delete: 1 },
  };
  const { status, stdout } = policy("--from", written("preview.json", preview));
  expect(stdout).toContain("cp1 runs v1.11.6 and would run v1.13.9");
  expect(stdout).toContain("1 resources: 1 mandatory");
  expect(status).toBe(1);
});
