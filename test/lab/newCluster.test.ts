import { afterAll, beforeAll, expect, test } from "vitest";
import type { LabStatus } from "../../lab/status.ts";
import { LabProject, type Finished } from "./project.ts";

/** The same from empty machines: secrets made by Pulumi, the factory's image installed at once, bootstrap, no upgrade. */

let lab: LabProject;
let first: Finished;

async function status(): Promise<LabStatus> {
  return JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
}

beforeAll(async () => {
  lab = await LabProject.make();
  first = await lab.labOk("up", "--new");
});

afterAll(async () => lab?.remove());

test("every node runs the factory's image, installed at once and never upgraded", async () => {
  const { nodes } = await status();
  expect(nodes).toHaveLength(5);
  for (const node of nodes) {
    expect(node).toMatchObject({ stage: "running", version: "v1.13.9", iscsid: "Running", upgrades: 0 });
    expect(node.extensions).toContain("iscsi-tools v0.2.0");
  }
  expect(first.stdout).toContain("What next:");
});

test("the nodes have the names of the settings, and the driver runs on each", async () => {
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

test("a lab of the other kind is not thrown away by a wrong flag", async () => {
  const other = await lab.lab("up");
  expect(other.code).toBe(1);
  expect(other.text).toContain("npm run lab -- stop");
  expect((await status()).nodes).toHaveLength(5);
});
