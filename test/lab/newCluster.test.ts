import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LabStatus } from "../../lab/status.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";

/**
 * A new cluster from empty machines: Pulumi generates the secrets, installs the factory image right away and bootstraps, without an upgrade. All nodes are
 * reached through the control planes, as with `talosctl -e`; two workers cannot be reached any other way.
 */

let lab: LabProject;
let first: Finished;

const controlPlanes = ["127.10.0.11", "127.10.0.12", "127.10.0.13"];

/** Changes the settings permanently. */
function change(from: string, to: string): void {
  const path = join(lab.dir, "Pulumi.dev-new.yaml");
  const text = readFileSync(path, "utf8");
  expect(text).toContain(from);
  writeFileSync(path, text.replace(from, to));
}

/** Runs plain `pulumi` on the stack; it must succeed. */
async function pulumi(...args: string[]): Promise<string> {
  const finished = await lab.pulumi(...args, "--stack", "dev-new");
  expect([finished.code, finished.text.slice(finished.code === 0 ? finished.text.length : -6000)]).toEqual([
    0,
    "",
  ]);
  return finished.stdout;
}

async function status(): Promise<LabStatus> {
  return JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
}

beforeAll(async () => {
  lab = await LabProject.make();
  change("    nodes:\n", `    talosEndpoints: [${controlPlanes.join(", ")}]\n    nodes:\n`);
  first = await lab.labOk("up", "--new");
});

afterAll(async () => lab?.remove());

test("every node runs the factory image from the start and was never upgraded", async () => {
  const { nodes } = await status();
  expect(nodes).toHaveLength(5);
  for (const node of nodes) {
    expect(node).toMatchObject({ stage: "running", version: "v1.13.9", iscsid: "Running", upgrades: 0 });
    expect(node.extensions).toContain("iscsi-tools v0.2.0");
  }
  expect(first.stdout).toContain("What next:");
});

test("the nodes have the names from the settings, and the driver runs on each", async () => {
  const names = await lab.tool("kubectl", "get", "nodes", "--output", "jsonpath={.items[*].metadata.name}");
  expect(names.split(" ").sort()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
  const ready = await lab.tool(
    "kubectl",
    "--namespace",
    "joviandss-csi",
    "get",
    "daemonset",
    "--output",
    "jsonpath={.items[*].status.numberReady}",
  );
  expect(ready).toBe("5");
});

test("the same command changes nothing, and no node reboots", async () => {
  const before = (await status()).nodes.map(({ boots }) => boots);
  expect((await lab.labOk("up", "--new")).stdout).toContain("Nothing to change");
  expect((await status()).nodes.map(({ boots }) => boots)).toEqual(before);
});

test("a missing flag does not destroy a lab of the other kind", async () => {
  const other = await lab.lab("up");
  expect(other.code).toBe(1);
  expect(other.text).toContain("npm run lab -- stop");
  expect((await status()).nodes).toHaveLength(5);
});

describe("workers reached through a control plane, and on another port", () => {
  const boots = async () =>
    Object.fromEntries((await status()).nodes.map(({ name, boots: count }) => [name, count]));
  const talosctl = (...args: string[]) =>
    lab.run(join(lab.dir, ".lab", "bin", "talosctl"), ["--talosconfig", lab.file("behind"), ...args]);

  test("get their configuration and join, with their pool's release", async () => {
    const before = await boots();
    await lab.labOk("boot", "w3", "127.10.0.23", "--api", "closed");
    await lab.labOk("boot", "w4", "127.10.0.24", "--api", "50024");
    change(
      "    # A lab is thrown away",
      `      - { name: w3, address: 127.10.0.23, role: worker, pool: behind }
      - { name: w4, address: 127.10.0.24, endpoint: "127.10.0.24:50024", role: worker, pool: behind }
    pools:
      behind: { talosVersion: v1.13.7 }
    # A lab is thrown away`,
    );
    await pulumi("up", "--yes", "--skip-preview");
    expect(await boots()).toMatchObject(before);
    const names = await lab.tool("kubectl", "get", "nodes", "--output", "jsonpath={.items[*].metadata.name}");
    expect(names.split(" ").sort()).toEqual(["cp1", "cp2", "cp3", "w1", "w2", "w3", "w4"]);
  });

  test("can be reached with the talosconfig, but not directly at their address and default port", async () => {
    const talosconfig = await pulumi("stack", "output", "talosconfig", "--show-secrets");
    writeFileSync(lab.file("behind"), talosconfig, { mode: 0o600 });
    for (const node of ["127.10.0.23", "127.10.0.24"]) {
      const through = await talosctl("--nodes", node, "version", "--short");
      expect([through.code, through.text]).toEqual([0, expect.stringContaining("v1.13.7")]);
      expect((await talosctl("--nodes", node, "--endpoints", node, "version", "--short")).code).not.toBe(0);
    }
  });

  nightly("are upgraded with their pool, without touching other nodes", async () => {
    change("      behind: { talosVersion: v1.13.7 }\n", "      behind: {}\n");
    const before = await boots();
    await pulumi("up", "--yes", "--skip-preview");
    const after = await boots();
    expect({ ...after, w3: 0, w4: 0 }).toEqual({ ...before, w3: 0, w4: 0 });
    for (const node of ["127.10.0.23", "127.10.0.24"])
      expect((await talosctl("--nodes", node, "version", "--short")).text).toContain("v1.13.9");
  });

  test("are read by a refresh, which finds no changes", async () => {
    const refreshed = await lab.pulumi("preview", "--refresh", "--expect-no-changes", "--stack", "dev-new");
    expect([refreshed.code, refreshed.text]).toEqual([0, expect.not.stringContaining("could not be read")]);
  });
});
