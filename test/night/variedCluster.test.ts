import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, parseDocument } from "yaml";
import { labReport } from "../../lab/control.ts";
import { issueLeaf, loadAuthority } from "../../lab/pki.ts";
import { LabProject } from "../lab/project.ts";

/** A running cluster whose nodes differ: labels, a separate image, no iSCSI, different hardware, expiring credentials. With the real engine. */

let lab: LabProject;
const factoryPolicy = "policy-lab.json";

interface NodeEntry {
  name: string;
  [key: string]: unknown;
}
interface Config {
  "talos-iscsi:cluster": { nodes: NodeEntry[]; secrets: Record<string, string>; [key: string]: unknown };
  [key: string]: unknown;
}

function edit(change: (config: Config) => void): void {
  const file = join(lab.dir, "Pulumi.dev.yaml");
  const document = parseDocument(readFileSync(file, "utf8"));
  const content = document.toJS() as { config: Config };
  change(content.config);
  document.set("config", content.config);
  writeFileSync(file, document.toString());
}

/** Sets keys of one node; undefined removes a key. */
const editNode = (name: string, change: Record<string, unknown>): void =>
  edit((config) => {
    const cluster = config["talos-iscsi:cluster"];
    cluster.nodes = cluster.nodes.map((node) => (node.name === name ? { ...node, ...change } : node));
  });
const editCluster = (change: Record<string, unknown>): void =>
  edit((config) => Object.assign(config["talos-iscsi:cluster"], change));

async function boots(): Promise<Record<string, number>> {
  const report = await labReport(lab.file("lab.sock"));
  return Object.fromEntries((report?.nodes ?? []).map(({ name, boots }) => [name, boots]));
}
const kubectl = (...args: string[]): Promise<string> => lab.tool("kubectl", ...args);
const label = (node: string, key: string): Promise<string> =>
  kubectl("get", "node", node, "--output", `jsonpath={.metadata.labels.${key.replaceAll(".", "\\.")}}`);
const patiently = { timeout: 60_000, interval: 500 };

beforeAll(async () => {
  lab = await LabProject.make();
  writeFileSync(
    join(lab.dir, factoryPolicy),
    JSON.stringify({ "installer-from-factory": { factory: "http://127.10.0.2:8080" } }),
  );
  await lab.labOk("start", "--node-seconds", "1");
  await lab.labOk("up", "--skip-preview");
});
afterAll(async () => lab?.remove());

test("a label is added and removed with its setting, and no node reboots", async () => {
  const before = await boots();
  editNode("w1", { labels: { rack: "r1" } });
  await lab.labOk("up", "--skip-preview");
  await expect.poll(() => label("w1", "rack"), patiently).toBe("r1");
  editNode("w1", { labels: undefined });
  expect((await lab.labOk("preview")).stdout).toMatch(/- machine\.nodeLabels\.rack: r1/);
  await lab.labOk("up", "--skip-preview");
  await expect.poll(() => label("w1", "rack"), patiently).toBe("");
  expect(await boots()).toEqual(before);
});

test("a separate image: only its node is upgraded to it, the policies accept it, and drift from it is shown", async () => {
  const before = await boots();
  const officialExtensions = ["siderolabs/iscsi-tools", "siderolabs/util-linux-tools"];
  edit((config) => {
    config["talos-iscsi:images"] = {
      gpu: { schematic: { customization: { systemExtensions: { officialExtensions } } } },
    };
  });
  editNode("w2", { image: "gpu" });
  const preview = await lab.labOk("preview");
  expect(preview.stdout).toMatch(/w2: .*v1\.13\.9, image gpu/);
  await lab.labOk("up", "--skip-preview");
  expect(await boots()).toEqual({ ...before, w2: (before["w2"] ?? 0) + 1 });
  const policy = await lab.run(
    process.execPath,
    [join("policy", "cli.ts"), "--stack", "dev", "--config", factoryPolicy],
    lab.pulumiEnvironment(),
  );
  expect(policy.text).toMatch(/0 mandatory and 0 advisory violations/);

  await lab.tool("talosctl", "--nodes", "127.10.0.22", "rollback");
  const running = async (): Promise<unknown> => {
    const report = await labReport(lab.file("lab.sock"));
    const w2 = report?.nodes.find(({ name }) => name === "w2");
    return { boots: w2?.boots, ready: w2?.ready };
  };
  await expect.poll(running, patiently).toEqual({ boots: (before["w2"] ?? 0) + 2, ready: true });
  const drift = await lab.labOk("preview", "--refresh");
  expect(drift.stdout.match(/~ schematicId\s*: "c9078f94\w+" => "\w{64}"/g)).toHaveLength(1);
  await lab.labOk("refresh");
  await lab.labOk("up", "--skip-preview");
  expect(await boots()).toEqual({ ...before, w2: (before["w2"] ?? 0) + 3 });
});

test("iscsi: false is refused while volumes are attached to the node, and then removes the drivers from it", async () => {
  await lab.apply({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "pv-1" },
    spec: {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      csi: { driver: "iscsi.csi.joviandss.open-e.com", volumeHandle: "pv-1" },
    },
  });
  await lab.apply({
    apiVersion: "storage.k8s.io/v1",
    kind: "VolumeAttachment",
    metadata: { name: "csi-1" },
    spec: {
      attacher: "iscsi.csi.joviandss.open-e.com",
      nodeName: "w2",
      source: { persistentVolumeName: "pv-1" },
    },
  });
  const pods = async (): Promise<number> => {
    const all = ["get", "pods", "--all-namespaces", "--field-selector", "spec.nodeName=w2", "--output"];
    return (await kubectl(...all, "jsonpath={.items[*].metadata.ownerReferences[0].kind}"))
      .split(" ")
      .filter((kind) => kind === "DaemonSet").length;
  };
  const withDriver = await pods();
  editNode("w2", { iscsi: false });
  const refused = await lab.lab("preview");
  expect(refused.code).not.toBe(0);
  expect(refused.text).toContain("volume pv-1");
  expect(refused.text).toContain("kubectl drain w2");
  await kubectl("delete", "volumeattachment", "csi-1");
  const before = await boots();
  await lab.labOk("up", "--skip-preview");
  expect(await label("w2", "talos-iscsi/iscsi")).toBe("false");
  await expect.poll(pods, patiently).toBe(withDriver - 1);
  expect(await boots()).toEqual(before);
  editNode("w2", { iscsi: undefined });
  await lab.labOk("up", "--skip-preview");
  await expect.poll(pods, patiently).toBe(withDriver);
});

test("a configuration that names a disk the machine lacks causes a warning, or is refused", async () => {
  editCluster({ patches: { worker: [{ machine: { disks: [{ device: "/dev/sdz" }] } }] } });
  const warned = await lab.labOk("preview");
  expect(warned.text).toMatch(/there is no disk \/dev\/sdz; the node has sda 107 GB/);
  editCluster({ checkHardware: "refuse" });
  const refused = await lab.lab("preview");
  expect([refused.code === 0, refused.text]).toEqual([
    false,
    expect.stringContaining("there is no disk /dev/sdz"),
  ]);
  editCluster({ patches: undefined, checkHardware: undefined });
});

test("expiring credentials cause a warning, expired ones a refusal, and the CA issues new ones without touching a node", async () => {
  const before = await boots();
  const { certs } = parse(readFileSync(lab.file("secrets.yaml"), "utf8")) as {
    certs: { os: { crt: string; key: string } };
  };
  const authority = await loadAuthority(certs.os);
  const talosconfig = parse(readFileSync(lab.file("talosconfig"), "utf8")) as {
    context: string;
    contexts: Record<string, { crt: string; key: string }>;
  };
  const goodFor = async (days: number): Promise<void> => {
    const { certificate, key } = await issueLeaf(authority, {
      ...{ commonName: "admin", organizations: ["os:admin"], usages: ["client"], keyKind: "ed25519", days },
    });
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const own = { ...talosconfig.contexts[talosconfig.context], crt: base64(certificate), key: base64(key) };
    const contexts = { [talosconfig.context]: own };
    writeFileSync(lab.file("short"), JSON.stringify({ ...talosconfig, contexts }), { mode: 0o600 });
  };
  edit((config) => (config["talos-iscsi:cluster"].secrets["talosconfigFile"] = ".lab/short"));
  await goodFor(30);
  expect((await lab.labOk("preview")).text).toMatch(/talosconfig expires on \d{4}-\d\d-\d\d, in \d+ days/);
  await goodFor(-1);
  const over = await lab.lab("preview");
  expect(over.code).not.toBe(0);
  expect(over.text).toMatch(/talosconfig expired on .*renewCredentials/);
  editCluster({ renewCredentials: true });
  const preview = await lab.labOk("preview");
  const updated = [...preview.stdout.matchAll(/^\s*[~+-]+ ([\w:/-]+): \((update|create|replace|delete)\)/gm)];
  expect(updated.map(([, type]) => type)).toEqual(["talos:cluster/kubeconfig:Kubeconfig"]);
  await lab.labOk("up", "--skip-preview");
  expect(await boots()).toEqual(before);
});
