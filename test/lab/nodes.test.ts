import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { labReport, type NodeReport } from "../../lab/control.ts";
import { LabProject, type Finished } from "./project.ts";

/** Nodes that come and go, on a cluster that was taken over, with the real engine. */

let lab: LabProject;

interface NodeEntry {
  name: string;
  address: string;
  role: string;
  [key: string]: unknown;
}

/** Changes the list of nodes in the stack's file, or the cluster's other settings. */
function edit(change: (nodes: NodeEntry[]) => NodeEntry[], cluster: Record<string, unknown> = {}): void {
  const file = join(lab.dir, "Pulumi.dev.yaml");
  const document = parseDocument(readFileSync(file, "utf8"));
  const path = ["config", "talos-iscsi:cluster"];
  const nodes = (document.getIn([...path, "nodes"]) as { toJSON(): NodeEntry[] }).toJSON();
  document.setIn([...path, "nodes"], change(nodes));
  for (const [key, value] of Object.entries(cluster)) document.setIn([...path, key], value);
  writeFileSync(file, document.toString());
}

const add = (entry: NodeEntry) => edit((nodes) => [...nodes, entry]);
const drop = (...names: string[]) => edit((nodes) => nodes.filter(({ name }) => !names.includes(name)));

async function machines(): Promise<Record<string, NodeReport>> {
  const report = await labReport(lab.file("lab.sock"));
  return Object.fromEntries((report?.nodes ?? []).map((node) => [node.name, node]));
}

async function boots(): Promise<Record<string, number>> {
  return Object.fromEntries(Object.entries(await machines()).map(([name, { boots }]) => [name, boots]));
}

async function kubernetesNodes(): Promise<string[]> {
  const names = await lab.tool("kubectl", "get", "nodes", "--output", "jsonpath={.items[*].metadata.name}");
  return names.split(" ").sort();
}

async function etcdMembers(via: string): Promise<string> {
  return lab.tool("talosctl", "--nodes", via, "--endpoints", via, "etcd", "members");
}

/** What a preview changes beside what is the same: resources by their operation. */
function operations(finished: Finished): string[] {
  return [
    ...finished.stdout.matchAll(/^\s*([+~-]|\+-) (talos[\w:/-]+|kubernetes:[\w:./]+): \((\w+)\)/gm),
  ].map(([, mark = "", type = ""]) => `${mark} ${type}`);
}

beforeAll(async () => {
  lab = await LabProject.make();
  const file = join(lab.dir, "Pulumi.dev.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace(/ {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/, ""));
  edit((nodes) => nodes, { onRemove: "reset" });
  await lab.labOk("start", "--node-seconds", "1");
  await lab.labOk("up");
});

afterAll(async () => lab?.remove());

describe("a worker", () => {
  test("that is added joins with the wanted image, and no other node is touched", async () => {
    await lab.labOk("boot", "w3", "127.10.0.23");
    add({ name: "w3", address: "127.10.0.23", role: "worker", hostname: "w3" });
    const preview = await lab.labOk("preview");
    expect(preview.stdout).toContain("w3: not of this cluster yet -> installed with v1.13.9");
    // New: its configuration (two resources) and its upgrade. Changed: the preflight's list and the membership's; no other node's upgrade.
    expect(operations(preview).sort()).toEqual([
      "+ talos-iscsi:index:MachineConfiguration",
      "+ talos-node:index:NodeUpgrade",
      "+ talos:machine/configurationApply:ConfigurationApply",
      "~ talos-iscsi:index:TalosCluster",
      "~ talos-node:index:ClusterMembership",
      "~ talos-node:index:RolloutPreflight",
    ]);
    const before = await boots();
    await lab.labOk("up");
    expect((await machines())["w3"]).toMatchObject({ stage: "running", ready: true, upgrades: 0 });
    expect({ ...(await boots()), w3: undefined }).toEqual({ ...before, w3: undefined });
    expect(await kubernetesNodes()).toContain("w3");
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });

  test("that is taken out is drained, wiped and forgotten; the preview said so", async () => {
    const before = await boots();
    drop("w3");
    const preview = await lab.labOk("preview");
    expect(preview.stdout).toMatch(/w3 \(127\.10\.0\.23\) leaves the settings, and its machine is reset/);
    expect((await machines())["w3"]).toMatchObject({ stage: "running" });
    await lab.labOk("up");
    expect((await machines())["w3"]).toMatchObject({ stage: "maintenance" });
    expect(await kubernetesNodes()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
    expect({ ...(await boots()), w3: undefined }).toEqual({ ...before, w3: undefined });
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });

  test("that is taken out with keep runs on, and what is left to do is said", async () => {
    edit((nodes) => nodes.map((node) => (node.name === "w2" ? { ...node, onRemove: "keep" } : node)));
    await lab.labOk("up");
    drop("w2");
    const { stdout } = await lab.labOk("up");
    expect(stdout).toContain("talosctl reset --nodes 127.10.0.22 --graceful");
    expect((await machines())["w2"]).toMatchObject({ stage: "running", ready: true });
    expect(await kubernetesNodes()).toContain("w2");
    add({ name: "w2", address: "127.10.0.22", role: "worker" });
    await lab.labOk("up");
  });
});

describe("a control plane", () => {
  test("that is added joins etcd, and nobody is bootstrapped or rebooted for it", async () => {
    await lab.labOk("boot", "cp4", "127.10.0.14");
    // First in the list, where the one that bootstraps a new cluster and gives the kubeconfig stands.
    edit((nodes) => [
      { name: "cp4", address: "127.10.0.14", role: "controlplane", hostname: "cp4" },
      ...nodes,
    ]);
    const before = await boots();
    const preview = await lab.labOk("preview");
    expect(preview.stdout).not.toMatch(/\+-|replace/);
    await lab.labOk("up");
    expect((await machines())["cp4"]).toMatchObject({ stage: "running", ready: true, upgrades: 0 });
    expect(await etcdMembers("127.10.0.11")).toContain("cp4");
    expect({ ...(await boots()), cp4: undefined }).toEqual({ ...before, cp4: undefined });
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });

  test("does not leave together with another one, and nothing has happened then", async () => {
    const file = join(lab.dir, "Pulumi.dev.yaml");
    const settings = readFileSync(file, "utf8");
    const before = await boots();
    drop("cp3", "cp4");
    const preview = await lab.lab("preview");
    expect(preview.code).toBe(1);
    expect(preview.text).toMatch(/cp4 .*, cp3 .*: control planes leave one at a time/);
    expect((await lab.lab("up", "--skip-preview")).code).toBe(1);
    expect(await boots()).toEqual(before);
    writeFileSync(file, settings);
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });

  test("that is first in the list leaves etcd and is wiped; bootstrap and kubeconfig stay", async () => {
    drop("cp4");
    const kubeconfig = readFileSync(lab.file("kubeconfig"), "utf8");
    const preview = await lab.labOk("preview");
    expect(preview.stdout).toMatch(/cp4 .*leaves etcd/);
    expect(preview.stdout).not.toMatch(/\+-|replace/);
    await lab.labOk("up");
    expect((await machines())["cp4"]).toMatchObject({ stage: "maintenance" });
    expect(await etcdMembers("127.10.0.11")).not.toContain("cp4");
    expect(await kubernetesNodes()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
    expect(readFileSync(lab.file("kubeconfig"), "utf8")).toBe(kubeconfig);
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });

  test("does not leave where the members left would be no quorum", async () => {
    const file = join(lab.dir, "Pulumi.dev.yaml");
    const settings = readFileSync(file, "utf8");
    await lab.labOk("fault", "cp2", "etcd-member-unhealthy");
    drop("cp3");
    const preview = await lab.lab("preview");
    expect(preview.code).toBe(1);
    expect(preview.text).toMatch(
      /without cp3 etcd would have no quorum: 1 of the 2 members left are healthy/,
    );
    await lab.labOk("fault", "cp2", "all", "--lift");
    expect((await machines())["cp3"]).toMatchObject({ stage: "running" });
    writeFileSync(file, settings);
  });
});

describe("the whole stack", () => {
  test("is destroyed without a machine being touched, with and without its program", async () => {
    const before = await machines();
    const withProgram = await lab.lab("destroy", "--run-program");
    expect(withProgram.text.slice(-3_000)).not.toContain("error:");
    expect(await boots()).toEqual(
      Object.fromEntries(Object.entries(before).map(([name, { boots }]) => [name, boots])),
    );
    await lab.labOk("up");
    const again = await boots();
    await lab.labOk("destroy");
    expect(await boots()).toEqual(again);
    const after = await machines();
    for (const name of ["cp1", "cp2", "cp3", "w1", "w2"]) {
      expect(after[name]).toMatchObject({ stage: "running", ready: true });
    }
    expect(await kubernetesNodes()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
  });
});
