import { readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";

/** Runs the policy pack on a real stack in every way: with our own command, and with the engine's, with and without a language host. */

let lab: LabProject;
let environment: Record<string, string>;
const labFactory = "policy-lab.json";

beforeAll(async () => {
  lab = await LabProject.make();
  const started = await lab.labOk("start", "--node-seconds", "1");
  await lab.labOk("up", "--skip-preview");
  environment = Object.fromEntries(
    [...started.stdout.matchAll(/export (\w+)="(.*)"/g)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
  const config = { "installer-from-factory": { factory: "http://127.10.0.2:8080" } };
  writeFileSync(join(lab.dir, labFactory), JSON.stringify(config));
});

afterAll(async () => lab?.remove());

function run(file: string, args: string[], languageHost: boolean): Promise<Finished> {
  const own = [process.env["PATH"], ...(languageHost ? [join(lab.dir, "test", "lab", "languageHost")] : [])];
  return lab.run(file, args, {
    ...environment,
    PATH: (environment["PATH"] ?? "").replace("$PATH", own.join(delimiter)),
    PULUMI_SKIP_UPDATE_CHECK: "true",
  });
}

const pulumi = (args: string[], { languageHost }: { languageHost: boolean }) =>
  run(join(lab.dir, ".lab", "bin", "pulumi"), [...args, "--non-interactive"], languageHost);
const policy = (...args: string[]) => run(process.execPath, [join("policy", "cli.ts"), ...args], false);
const inPolicies = ["--policy-pack", "policy", "--policy-pack-config", labFactory];

test("the lab's stack complies with every policy", async () => {
  const finished = await policy("--stack", "dev", "--config", labFactory);
  expect(finished.text).toMatch(/9 policies, \d\d resources: 0 mandatory and 0 advisory violations/);
  expect(finished.code).toBe(0);
  const byEngine = await pulumi(["policy", "analyze", "--stack", "dev", ...inPolicies], {
    languageHost: true,
  });
  expect(byEngine.text).not.toContain("mandatory");
  expect(byEngine.code, byEngine.text).toBe(0);
});

describe("an exported state: the engine and our command find the same violations", () => {
  test("with encrypted secrets", () => judged("state.json"));
  nightly("with secrets in plain text", () => judged("plain.json", "--show-secrets"));

  async function judged(name: string, ...extra: string[]): Promise<void> {
    const file = join(lab.dir, ".lab", name);
    const exported = ["stack", "export", "--stack", "dev", "--file", file, ...extra];
    expect((await pulumi(exported, { languageHost: false })).code).toBe(0);
    for (const languageHost of [false, true]) {
      const clean = await pulumi(["policy", "analyze", "--file", file, ...inPolicies], { languageHost });
      expect(clean.text).not.toContain("mandatory");
      expect(clean.code, clean.text).toBe(0);
      // Without its factory in the configuration, every node's installer is from an unknown source.
      const strict = await pulumi(["policy", "analyze", "--file", file, "--policy-pack", "policy"], {
        languageHost,
      });
      expect(strict.text.match(/\[mandatory\].*installer-from-factory/g)).toHaveLength(10);
      expect(strict.code).not.toBe(0);
    }
    expect((await policy("--from", file, "--config", labFactory)).code).toBe(0);
    const strict = await policy("--from", file);
    expect(strict.text.match(/^mandatory: .*installer-from-factory/gm)).toHaveLength(10);
    expect(strict.code).toBe(1);
  }
});

test("a saved preview: going back one minor release passes, going back two violates upgrade-skew", async () => {
  await lab.withStackFile(
    "dev",
    (text) => text.replace("talosVersion: v1.13.9", "talosVersion: v1.12.7"),
    async () => {
      const preview = await pulumi(["preview", "--stack", "dev", "--json", "--show-sames"], {
        languageHost: true,
      });
      expect(preview.code, preview.text).toBe(0);
      const file = join(lab.dir, ".lab", "preview.json");
      writeFileSync(file, preview.stdout);
      const report = await run(process.execPath, [join("report", "previewCli.ts"), "--from", file], false);
      expect(report.code, report.text).toBe(0);
      // As called by a pipeline.
      const variables = join(lab.dir, ".lab", "plan.env");
      const options = ["--out", join(lab.dir, "reports"), "--refuse-storage-loss", "--variables", variables];
      const plan = await run(
        process.execPath,
        [join("report", "previewCli.ts"), "--from", file, "--stack", "dev", ...options],
        false,
      );
      expect(plan.code, plan.text).toBe(0);
      expect(readFileSync(variables, "utf8")).toContain("TALOS_ISCSI_CHANGES=true");
      const fine = await policy("--from", file, "--config", labFactory);
      expect(fine.text).toContain("0 mandatory and 0 advisory violations");
      expect(fine.code).toBe(0);
      // The rollout's guards refuse such a preview, so derive it from the first one.
      writeFileSync(
        file,
        preview.stdout.replaceAll('"talosVersion": "v1.12.7"', '"talosVersion": "v1.11.6"'),
      );
      const found = await policy("--from", file, "--config", labFactory);
      expect(found.text.match(/^mandatory: .*upgrade-skew/gm)).toHaveLength(5);
      expect(found.text).toMatch(/cp1 runs v1\.13\.9 and would run v1\.11\.6/);
      expect(found.code).toBe(1);
    },
  );
});

test("pulumi preview with the policy pack fails on a violation and passes without one", async () => {
  const preview = ["preview", "--stack", "dev", ...inPolicies];
  const clean = await pulumi(preview, { languageHost: true });
  expect(clean.text).toContain("talos-iscsi");
  expect(clean.code).toBe(0);
  const strict = await pulumi(["preview", "--stack", "dev", "--policy-pack", "policy"], {
    languageHost: true,
  });
  expect(strict.text).toContain("installer-from-factory");
  expect(strict.text).toContain("does not come from the Image Factory factory.talos.dev");
  expect(strict.code).not.toBe(0);
});

test("the policy pack recognizes a secret that the engine marks as secret, but not the same value in plain text", async () => {
  const secret = (value: string) => ({
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    value,
  });
  const urn = (name: string) => `urn:pulumi:dev::talos-iscsi::kubernetes:core/v1:Secret::${name}`;
  const state = (name: string, stringData: unknown) => ({
    urn: urn(name),
    type: "kubernetes:core/v1:Secret",
    custom: true,
    id: name,
    inputs: { stringData },
  });
  const file = join(lab.dir, ".lab", "two.json");
  const plaintext = { ...secret("x"), plaintext: JSON.stringify("hunter2") };
  const { value: _value, ...sealed } = plaintext;
  const manifest = { time: "2026-11-21T00:00:00Z", magic: "", version: "v3.250.0" };
  const resources = [state("sealed", { password: sealed }), state("open", { password: "hunter2" })];
  writeFileSync(file, JSON.stringify({ version: 3, deployment: { manifest, resources } }));
  for (const languageHost of [false, true]) {
    const found = await pulumi(["policy", "analyze", "--file", file, ...inPolicies], { languageHost });
    expect(found.text).toMatch(/no-plaintext-secrets\s+\(kubernetes:core\/v1:Secret: open\)/);
    expect(found.text).not.toMatch(/no-plaintext-secrets\s+\(kubernetes:core\/v1:Secret: sealed\)/);
    expect(found.text).not.toContain("hunter2");
  }
});
