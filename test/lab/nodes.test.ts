import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { labReport, type NodeReport } from "../../lab/control.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";

/** Adds and removes nodes of an adopted cluster, with the real engine. */

let lab: LabProject;

interface NodeEntry {
  name: string;
  address: string;
  role: string;
  [key: string]: unknown;
}

/** Changes the list of nodes or other cluster settings in the stack file. */
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

/** The resources that a preview changes, with their operations. */
function operations(finished: Finished): string[] {
  return [
    ...finished.stdout.matchAll(/^\s*([+~-]|\+-) (talos[\w:/-]+|kubernetes:[\w:./]+): \((\w+)\)/gm),
  ].map(([, mark = "", type = ""]) => `${mark} ${type}`);
}

beforeAll(async () => {
  lab = await LabProject.make();
  const file = join(lab.dir, "Pulumi.dev.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace(/ {2}talos-iscsi:joviandss:\n(?: {4}.*\n)*/, ""));
  edit((nodes) => nodes.map((node) => (node.name === "w2" ? { ...node, onRemove: "keep" } : node)), {
    onRemove: "reset",
  });
  await lab.labOk("start", "--node-seconds", "1");
  await lab.labOk("up", "--skip-preview");
});

afterAll(async () => lab?.remove());

/** The boots of all machines except one. */
function others(of: Record<string, number>, name: string): Record<string, number> {
  return Object.fromEntries(Object.entries(of).filter(([key]) => key !== name));
}

describe("a worker", () => {
  test("that is added joins with the configured image, and no other node is touched", async () => {
    await lab.labOk("boot", "w3", "127.10.0.23");
    add({ name: "w3", address: "127.10.0.23", role: "worker", hostname: "w3" });
    const preview = await lab.labOk("preview");
    expect(preview.stdout).toMatch(/w3: "new in this stack -> v1\.13\.9/);
    // New: its configuration and upgrade. Changed: the resources with lists of nodes. Unchanged: the other nodes' upgrades.
    expect(operations(preview).sort()).toEqual([
      "+ talos-node:index:NodeConfiguration",
      "+ talos-node:index:NodeUpgrade",
      "~ talos-iscsi:index:TalosCluster",
      "~ talos-node:index:ClusterMembership",
      "~ talos-node:index:KubernetesUpgrade",
      "~ talos-node:index:RolloutPreflight",
      "~ talos-node:index:RolloutReadiness",
    ]);
    const before = await boots();
    await lab.labOk("up", "--skip-preview");
    expect((await machines())["w3"]).toMatchObject({ stage: "running", ready: true, upgrades: 0 });
    expect(others(await boots(), "w3")).toEqual(others(before, "w3"));
    expect(await kubernetesNodes()).toContain("w3");
  });

  test("that is removed is drained, wiped and deleted from Kubernetes, as the preview announced", async () => {
    const before = await boots();
    drop("w3");
    // The removal comes before every other node change in the preview, as a delete.
    const { stdout } = await lab.labOk("preview");
    expect(stdout).toMatch(/- w3/);
    expect(stdout).toMatch(/\+ w3: "its machine is RESET: .*wiped/);
    const [removal, firstChange] = [
      stdout.indexOf("its machine is RESET"),
      stdout.search(/NodeConfiguration::|ClusterMembership::/),
    ];
    expect(removal).toBeLessThan(firstChange);
    const { text } = await lab.labOk("up");
    expect(text).toMatch(/w3 \(127\.10\.0\.23\) leaves the settings, and its machine is reset/);
    expect((await machines())["w3"]).toMatchObject({ stage: "maintenance" });
    expect(await kubernetesNodes()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
    expect(others(await boots(), "w3")).toEqual(others(before, "w3"));
    expect((await lab.labOk("up")).stdout).toContain("Nothing to change");
  });

  nightly("that is removed with keep keeps running, and up lists the remaining manual steps", async () => {
    drop("w2");
    const { text } = await lab.labOk("up", "--skip-preview");
    expect(text).toContain("talosctl reset --nodes 127.10.0.22 --graceful");
    expect((await machines())["w2"]).toMatchObject({ stage: "running", ready: true });
    expect(await kubernetesNodes()).toContain("w2");
  });
});

describe("a control plane", () => {
  test("that is added joins etcd, and no node is bootstrapped or rebooted for it", async () => {
    await lab.labOk("boot", "cp4", "127.10.0.14");
    // First in the list: in a new cluster, that node is bootstrapped and provides the kubeconfig.
    edit((nodes) => [
      { name: "cp4", address: "127.10.0.14", role: "controlplane", hostname: "cp4" },
      ...nodes,
    ]);
    const before = await boots();
    await lab.labOk("up", "--skip-preview");
    expect((await machines())["cp4"]).toMatchObject({ stage: "running", ready: true, upgrades: 0 });
    expect(await etcdMembers("127.10.0.11")).toContain("cp4");
    expect(others(await boots(), "cp4")).toEqual(others(before, "cp4"));
  });

  nightly("cannot be removed together with another one, with or without a preview", async () => {
    const file = join(lab.dir, "Pulumi.dev.yaml");
    const settings = readFileSync(file, "utf8");
    const before = await boots();
    drop("cp3", "cp4");
    for (const command of [["preview"], ["up", "--skip-preview"]]) {
      const refused = await lab.lab(...command);
      expect(refused.code).toBe(1);
      expect(refused.text).toMatch(/cp3 .*, cp4 .*: control planes leave one at a time/);
    }
    expect(await boots()).toEqual(before);
    expect(await etcdMembers("127.10.0.11")).toContain("cp3");
    writeFileSync(file, settings);
  });

  test("that is first in the list leaves etcd and is wiped, and the kubeconfig does not change", async () => {
    drop("cp4");
    const kubeconfig = readFileSync(lab.file("kubeconfig"), "utf8");
    const { text } = await lab.labOk("up");
    expect(text).toMatch(/cp4 .*leaves etcd/);
    expect(text).not.toMatch(/\+-|replace/);
    expect((await machines())["cp4"]).toMatchObject({ stage: "maintenance" });
    expect(await etcdMembers("127.10.0.11")).not.toContain("cp4");
    expect(await kubernetesNodes()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
    expect(readFileSync(lab.file("kubeconfig"), "utf8")).toBe(kubeconfig);
  });

  nightly("cannot be removed if the remaining members would lose quorum", async () => {
    const file = join(lab.dir, "Pulumi.dev.yaml");
    const settings = readFileSync(file, "utf8");
    await lab.labOk("fault", "cp2", "etcd-member-unhealthy");
    drop("cp3");
    const preview = await lab.lab("preview");
    expect(preview.code).toBe(1);
    expect(preview.text).toMatch(/without cp3.*: 1 of the 2 .*\[etcd-quorum\]/);
    await lab.labOk("fault", "cp2", "all", "--lift");
    expect((await machines())["cp3"]).toMatchObject({ stage: "running" });
    writeFileSync(file, settings);
  });
});

describe("Kubernetes", () => {
  /** Each kubelet's version from the API server. Without w2, which was removed from the settings and is no longer upgraded. */
  const kubelets = (): Promise<string> =>
    lab.tool(
      "kubectl",
      "get",
      "nodes",
      ...["cp1", "cp2", "cp3", "w1"],
      "--output",
      "jsonpath={.items[*].status.nodeInfo.kubeletVersion}",
    );

  test("is upgraded through the real API: no node reboots, and nothing is left to change", async () => {
    const file = join(lab.dir, "Pulumi.dev.yaml");
    await lab.labOk("up", "--skip-preview");
    const before = await boots();
    // One Kubernetes build stands in for both releases: only the versions that nodes name and report change, not the binaries.
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("kubernetesVersion: v1.35.4", "kubernetesVersion: v1.35.5"),
    );
    const preview = await lab.labOk("preview");
    expect(preview.text).toContain("~ kube-apiserver: v1.35.4 -> v1.35.5 on cp1, cp2, cp3");
    expect(preview.text).toContain("+ DaemonSet kube-system/kube-proxy");
    expect(operations(preview).sort()).toEqual([
      "~ talos-iscsi:index:TalosCluster",
      "~ talos-node:index:KubernetesUpgrade",
      "~ talos-node:index:RolloutReadiness",
    ]);
    await lab.labOk("up", "--skip-preview");
    expect(await kubelets()).toBe(Array(4).fill("v1.35.5").join(" "));
    const image = "jsonpath={.spec.template.spec.containers[0].image}";
    expect(
      await lab.tool(
        "kubectl",
        "--namespace",
        "kube-system",
        "get",
        "daemonset",
        "kube-proxy",
        "--output",
        image,
      ),
    ).toBe("registry.k8s.io/kube-proxy:v1.35.5");
    const config = await lab.tool(
      "talosctl",
      "--nodes",
      "127.10.0.12",
      "--endpoints",
      "127.10.0.12",
      "get",
      "machineconfig",
      "v1alpha1",
      "--output",
      "yaml",
    );
    expect(config).toContain("registry.k8s.io/kube-scheduler:v1.35.5");
    expect(await boots()).toEqual(before);
    expect(operations(await lab.labOk("preview"))).toEqual([]);
  });
});

describe("the whole stack", () => {
  nightly.each([
    ["its program", ["--run-program"]],
    ["the state alone", []],
  ])("is destroyed by %s without touching a machine", async (_, flags) => {
    await lab.labOk("up", "--skip-preview");
    const before = await boots();
    await lab.labOk("destroy", ...flags);
    expect(await boots()).toEqual(before);
    const after = await machines();
    for (const name of ["cp1", "cp2", "cp3", "w1", "w2"]) {
      expect(after[name]).toMatchObject({ stage: "running", ready: true });
    }
    expect(await kubernetesNodes()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
  });
});
