import { readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LabStatus } from "../../lab/status.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";

/** `pulumi preview --save-plan` and `pulumi up --plan`: up does exactly what was reviewed. */

/** The nodes are two minor releases behind: the first up takes them through v1.13. */
const toNewest = (text: string): string =>
  text
    .replace("talosVersion: v1.13.9", "talosVersion: v1.14.1")
    .replace("encryptionsalt:", "  talos-iscsi:upgrade:\n    through: automatic\nencryptionsalt:");

let lab: LabProject;
let environment: Record<string, string>;

beforeAll(async () => {
  lab = await LabProject.make();
  const stack = join(lab.dir, "Pulumi.dev.yaml");
  writeFileSync(stack, toNewest(readFileSync(stack, "utf8")));
  const started = await lab.labOk("start", "--node-seconds", "1");
  environment = Object.fromEntries(
    [...started.stdout.matchAll(/export (\w+)="(.*)"/g)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
});

afterAll(async () => lab?.remove());

/** @param approvedPlan set in the environment unless empty */
function pulumi(approvedPlan: string, ...args: string[]): Promise<Finished> {
  const path = (environment["PATH"] ?? "").replace(
    "$PATH",
    [join(lab.dir, "test", "lab", "languageHost"), process.env["PATH"]].join(delimiter),
  );
  return lab.run(join(lab.dir, ".lab", "bin", "pulumi"), [...args, "--stack", "dev", "--non-interactive"], {
    ...environment,
    PATH: path,
    ...(approvedPlan === "" ? {} : { TALOS_ISCSI_APPROVED_PLAN: approvedPlan }),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_EXPERIMENTAL: "true",
  });
}

/** The engine's errors, for assertion messages. */
const errors = ({ text }: Finished) =>
  text.match(/^.*error: .*(?:\n.*){0,6}/gm)?.join("\n") ?? text.slice(-2_000);

/** The digest in a preview, over what it would do to the nodes. */
function digestIn(preview: Finished): string {
  const { steps } = JSON.parse(preview.stdout) as {
    steps: { urn: string; newState?: { inputs?: { planDigest?: string } } }[];
  };
  const readiness = steps.find(({ urn }) => urn.includes("RolloutReadiness"));
  const digest = readiness?.newState?.inputs?.planDigest;
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  return digest ?? "";
}

async function planned(plan: string): Promise<Finished> {
  const preview = await pulumi(
    "none",
    "preview",
    "--save-plan",
    join(lab.dir, plan),
    "--json",
    "--show-sames",
  );
  expect(preview.code, errors(preview)).toBe(0);
  return pulumi(digestIn(preview), "up", "--yes", "--skip-preview", "--plan", join(lab.dir, plan));
}

test("the first up does what its saved plan says, including the hops", async () => {
  const up = await planned("first.plan");
  expect(up.code, errors(up)).toBe(0);
  const nodes = JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
  expect(nodes.nodes.map(({ version, upgrades }) => [version, upgrades])).toEqual(
    Array.from({ length: 5 }, () => ["v1.14.1", 2]),
  );
});

test("a manual change on a node, or an up that skips the readiness check, stops an approved plan before it changes anything", async () => {
  const running = (): Promise<string> => lab.tool("kubectl", "get", "nodes", "--output=jsonpath={..osImage}");
  const patchByHand = (value: string): Promise<string> =>
    lab.tool(
      ...(["talosctl", "--nodes", "127.10.0.21", "patch", "machineconfig", "--patch"] as const),
      `{"machine":{"sysctls":{"vm.swappiness":${value}}}}`,
    );
  const before = await running();
  const back = (text: string): string => text.replace("talosVersion: v1.14.1", "talosVersion: v1.14.0");
  await lab.withStackFile("dev", back, async () => {
    const preview = await pulumi("none", "preview", "--json", "--show-sames");
    const digest = digestIn(preview);
    const upgrade = /urn:[^"]*NodeUpgrade::[^"]*-w1"/.exec(preview.stdout)?.[0].slice(0, -1) ?? "";
    const alone = await pulumi(digest, "up", "--yes", "--skip-preview", "--target", upgrade);
    expect(alone.code).not.toBe(0);
    expect(alone.text).toMatch(/w1 .*approvedPlan is set.*RolloutReadiness/);

    await patchByHand('"7"');
    const up = await pulumi(digest, "up", "--yes", "--skip-preview");
    expect(up.code).not.toBe(0);
    expect(up.text).toMatch(/w1 .*vm\.swappiness/);
    expect(up.text).not.toMatch(/NodeConfiguration.*updat|NodeUpgrade.*updat/);
  });
  expect(await running()).toBe(before);
  await patchByHand('{"$patch":"delete"}');
});

nightly("a rollout, a new node and a changed password are deployed as planned", async () => {
  await lab.labOk("boot", "w3", "127.10.0.23");
  await lab.withStackFile(
    "dev",
    (text) =>
      text
        .replace("talosVersion: v1.14.1", "talosVersion: v1.14.0")
        .replace(
          "    secrets:\n",
          "      - { name: w3, address: 127.10.0.23, role: worker, hostname: w3 }\n    secrets:\n",
        )
        .replace(/password:\n(?: {8}.*\n)+/, "password: another-password\n"),
    async () => {
      const up = await planned("second.plan");
      expect(up.code, errors(up)).toBe(0);
      // The plan describes the new node the same way as the update, so the plan still matches.
      expect(up.text).toMatch(/Resources:\n(?: .*\n)* +~ \d+ updated/);
      const nodes = await lab.tool("kubectl", "get", "nodes", "--output=name");
      expect(nodes).toContain("node/w3");
      // Neither a missing nor a pending approval is a change.
      for (const approved of ["", "none"]) {
        const again = await pulumi(approved, "preview", "--expect-no-changes");
        expect(again.code, errors(again)).toBe(0);
      }
    },
  );
});

test("a factory that returns a different schematic ID is reported as a check failure, without a stack trace", async () => {
  // The Talos provider drops `diskImage`, which the factory supports.
  const up = await lab.withStackFile(
    "dev",
    (text) =>
      text.replace(
        "            - siderolabs/iscsi-tools\n",
        "            - siderolabs/iscsi-tools\n        diskImage: { sectorSize: 4096 }\n",
      ),
    () => pulumi("", "up", "--yes", "--skip-preview"),
  );
  expect(up.code).not.toBe(0);
  expect(up.text).toContain("[schematic-id]");
  expect(up.text).not.toMatch(/^\s+at .*\.[tj]s:\d+/m);
  expect(up.text).not.toContain("error serializing property");
  // No node was touched.
  expect(up.text).not.toMatch(/ConfigurationApply|NodeUpgrade/);
});
