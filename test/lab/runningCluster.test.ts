import { existsSync, readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import type { LabStatus } from "../../lab/status.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";
import { canaries, filesWith } from "./secrets.ts";

/** The main use case, as a new user does it: adopts a running Talos v1.12 cluster and enables iSCSI on it. */

const schematic = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
let lab: LabProject;
let first: Finished;
const printed: string[] = [];

async function status(): Promise<LabStatus> {
  return JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
}

async function machineConfig(address: string): Promise<Record<string, unknown>[]> {
  const resource = await lab.tool(
    "talosctl",
    "--nodes",
    address,
    "get",
    "machineconfig",
    "v1alpha1",
    "--output",
    "jsonpath={.spec}",
  );
  return parseAllDocuments(resource).map((document) => document.toJS() as Record<string, unknown>);
}

beforeAll(async () => {
  lab = await LabProject.make();
  first = await lab.labOk("up");
  printed.push(first.text);
});

afterAll(async () => lab?.remove());

describe("the first up", () => {
  test("every node runs the factory image with iscsi-tools, and iscsid", async () => {
    const { nodes } = await status();
    expect(nodes.map((node) => [node.name, node.role])).toEqual([
      ["cp1", "controlplane"],
      ["cp2", "controlplane"],
      ["cp3", "controlplane"],
      ["w1", "worker"],
      ["w2", "worker"],
    ]);
    for (const node of nodes) {
      expect(node).toMatchObject({
        stage: "running",
        version: "v1.13.9",
        schematic,
        iscsid: "Running",
        upgrades: 1,
      });
      expect(node.extensions).toContain("iscsi-tools v0.2.0");
      expect(node.initiatorName).toMatch(/^iqn\.2017-11\.dev\.talos:[0-9a-f]{32}$/);
    }
  });

  test("ends with the summary table and the next steps", () => {
    for (const text of [
      "cp1",
      "w2",
      "v1.13.9",
      schematic.slice(0, 12),
      "iqn.2017-11.dev.talos:",
      "What next:",
    ]) {
      expect(first.stdout).toContain(text);
    }
  });

  test("only control planes have the security patch, and every node has the module patch", async () => {
    for (const address of ["127.10.0.11", "127.10.0.12", "127.10.0.13"]) {
      const [config] = (await machineConfig(address)) as [
        { cluster: { apiServer: { admissionControl: unknown[] } } },
      ];
      expect(config.cluster.apiServer.admissionControl).toMatchObject([
        {
          name: "PodSecurity",
          configuration: { exemptions: { namespaces: ["kube-system", "joviandss-csi"] } },
        },
      ]);
    }
    for (const address of ["127.10.0.21", "127.10.0.22"]) {
      const [config] = (await machineConfig(address)) as [
        { cluster: { apiServer?: { admissionControl?: unknown[] } }; machine: unknown },
      ];
      expect(config.cluster.apiServer?.admissionControl).toBeUndefined();
      expect(config.machine).toMatchObject({
        kernel: { modules: [{ name: "iscsi_tcp" }] },
        install: { image: expect.stringContaining(`/${schematic}:v1.13.9`) as string },
      });
    }
  });

  test("the namespace has its three labels, the controller runs, and the DaemonSet runs on every node", async () => {
    const get = async (...what: string[]) =>
      JSON.parse(await lab.tool("kubectl", "get", ...what, "--output", "json")) as Record<string, unknown>;
    expect((await get("namespace", "joviandss-csi"))["metadata"]).toMatchObject({
      labels: {
        "pod-security.kubernetes.io/audit": "privileged",
        "pod-security.kubernetes.io/enforce": "privileged",
        "pod-security.kubernetes.io/warn": "privileged",
      },
    });
    const pods = (await get("pods", "--namespace", "joviandss-csi"))["items"] as {
      metadata: { name: string };
      spec: { nodeName: string };
      status: { phase: string };
    }[];
    expect(pods.filter((pod) => pod.status.phase !== "Running")).toEqual([]);
    const onNodes = pods
      .filter((pod) => pod.metadata.name.includes("-node-"))
      .map((pod) => pod.spec.nodeName);
    expect(onNodes.sort()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
    expect(pods.some((pod) => pod.metadata.name.includes("-controller-"))).toBe(true);
  });

  test("leaves no node cordoned", async () => {
    const nodes = JSON.parse(await lab.tool("kubectl", "get", "nodes", "--output", "json")) as {
      items: { spec: { unschedulable?: boolean } }[];
    };
    expect(nodes.items.filter((node) => node.spec.unschedulable)).toEqual([]);
  });
});

describe("afterwards", () => {
  test("the same command changes nothing, and no node reboots", async () => {
    const before = (await status()).nodes.map(({ boots }) => boots);
    const again = await lab.labOk("up");
    printed.push(again.text);
    expect(again.stdout).toContain("Nothing to change");
    expect(again.stdout).not.toMatch(/\d+ to (create|update|delete|replace)/);
    expect((await status()).nodes.map(({ boots }) => boots)).toEqual(before);
  });

  test("a preview shows another Talos release as a change of each node", async () => {
    const preview = await lab.withStackFile(
      "dev",
      (text) => text.replace("talosVersion: v1.13.9", "talosVersion: v1.13.7"),
      () => lab.labOk("preview"),
    );
    expect(preview.stdout.match(/~ talosVersion: "v1\.13\.9" => "v1\.13\.7"/g)).toHaveLength(6); // five nodes and the image
    // The preview itself reads this from the nodes.
    expect(preview.stdout).toContain(
      'cp1: "v1.13.9 with schematic c9078f941996… -> v1.13.7 with schematic c9078f941996…, one reboot',
    );
    expect(preview.stdout.match(/~ talosVersion *: "v1\.13\.9" => "v1\.13\.7"/g)).toHaveLength(6);
    // Lists nothing unchanged, except the image component's own inputs.
    expect(preview.stdout.split("\n").length).toBeLessThan(120);
    expect(preview.stdout).not.toContain("clientConfiguration");
  });

  nightly("a preview shows another schematic as a change of each node", async () => {
    const preview = await lab.withStackFile(
      "dev",
      (text) =>
        text.replace(
          "            - siderolabs/iscsi-tools\n",
          "            - siderolabs/iscsi-tools\n            - siderolabs/util-linux-tools\n",
        ),
      () => lab.labOk("preview"),
    );
    expect(
      preview.stdout.match(
        new RegExp(
          `~ schematicId: "${schematic}" => "613e1592b2da41ae5e265e8789429f22e121aab91cb4deb6bc3c0b6262961245"`,
          "g",
        ),
      ),
    ).toHaveLength(6); // five nodes and the preflight
    expect(preview.stdout).toContain('+ [1]: "util-linux-tools"');
  });

  nightly("a preview shows a patch line by line", async () => {
    const patch =
      '    patches:\n      worker:\n        - machine:\n            sysctls:\n              net.core.somaxconn: "65535"\n';
    const preview = await lab.withStackFile(
      "dev",
      (text) => text.replace("    secrets:\n", `${patch}    secrets:\n`),
      () => lab.labOk("preview"),
    );
    printed.push(preview.text);
    expect(
      preview.stdout.match(/\+ \[\d+\]: "\+ machine\.sysctls\.net\.core\.somaxconn: 65535"/g),
    ).toHaveLength(2);
    expect(preview.stdout.match(/somaxconn/g)).toHaveLength(2);
  });

  test("reports all mistakes in the stack file at once, without a stack trace, and changes nothing", async () => {
    const bad = (text: string) =>
      text
        .replace("talosVersion: v1.13.9", "talosVersion: 1.13.9")
        .replace("address: 127.10.0.12", "address: 127.10.0.11");
    const preview = await lab.withStackFile("dev", bad, () => lab.lab("preview"));
    expect(preview.code).toBe(1);
    expect(preview.text).toMatch(/talosVersion: is "1\.13\.9"/);
    expect(preview.text.match(/cluster\.nodes\[1\]\.address/g)).toHaveLength(1);
    expect(preview.text).not.toMatch(/^\s+at .*\.ts:\d+/m);
  });

  test("refresh finds no changes", async () => {
    const refreshed = await lab.labOk("refresh");
    expect(refreshed.stdout).toMatch(/\d+ unchanged/);
    expect(refreshed.stdout).not.toMatch(/\d+ (updated|deleted)/);
  });

  test("drift shows as changed properties, an unreachable node stays in the state, and up fixes the rest", async () => {
    await lab.tool("talosctl", "--nodes", "127.10.0.11", "service", "ext-iscsid", "stop");
    const vanilla = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    const byHand = `127.10.0.2:8080/metal-installer/${vanilla}:v1.13.7`;
    await lab.tool(
      "talosctl",
      "--nodes",
      "127.10.0.22",
      "upgrade",
      "--image",
      byHand,
      "--drain=false",
      "--wait",
    );
    await lab.labOk("fault", "w1", "node-down");
    const preview = await lab.lab("preview", "--refresh");
    // Lift the fault first, whatever the preview found: with a node down, no later test could finish.
    await lab.labOk("fault", "w1", "node-down", "--lift");
    expect(preview.code).toBe(0);
    printed.push(preview.text);
    expect(preview.stdout).toMatch(/~ talosVersion\s*: "v1\.13\.7" => "v1\.13\.9"/);
    expect(preview.stdout).toMatch(new RegExp(`~ schematicId\\s*: "${vanilla}" => "${schematic}"`));
    expect(preview.stdout).not.toMatch(/~ image\s*: "(\S+)" => "\1"/);
    expect(preview.stdout).toMatch(/\+ \[0\]: "iscsi-tools"/);
    expect(preview.stdout).toMatch(/\+ \[0\]: "ext-iscsid"/);
    expect(preview.text).toMatch(/w1 \(127\.10\.0\.21\) could not be read; .*\[node-unreachable\]/);
    expect(preview.stdout).not.toMatch(/\d+ to delete/);

    const isUp = async () => (await status()).nodes.every(({ stage }) => stage === "running");
    while (!(await isUp())) await new Promise((resolve) => setTimeout(resolve, 200));
    const before = (await status()).nodes;
    printed.push((await lab.labOk("refresh")).text);
    printed.push((await lab.labOk("up")).text);
    const after = (await status()).nodes;
    const upgraded = (name: string) =>
      (after.find((node) => node.name === name)?.upgrades ?? 0) -
      (before.find((node) => node.name === name)?.upgrades ?? 0);
    expect(["cp1", "cp2", "cp3", "w1", "w2"].map(upgraded)).toEqual([0, 0, 0, 0, 1]);
    for (const node of after)
      expect(node).toMatchObject({ version: "v1.13.9", schematic, iscsid: "Running" });
  });

  test("no secret is in the state or in any output", () => {
    const secrets = [...canaries(lab.file("secrets.yaml"), lab.file("talosconfig")), "lab-only"];
    expect(secrets.length).toBeGreaterThan(10);
    expect(filesWith(lab.file("state"), secrets)).toEqual([]);
    expect(filesWith(lab.file("logs"), secrets)).toEqual([]);
    expect(secrets.filter((secret) => printed.some((text) => text.includes(secret)))).toEqual([]);
  });

  test("destroy removes the driver and does not touch the machines", async () => {
    const before = await status();
    await lab.labOk("destroy");
    await expect(lab.tool("kubectl", "get", "namespace", "joviandss-csi")).rejects.toThrow(/not found/);
    expect((await status()).nodes).toEqual(before.nodes);
  });

  test("stop leaves nothing behind", async () => {
    await lab.labOk("stop");
    expect(existsSync(lab.file(""))).toBe(false);
    const left = readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .filter((pid) => commandLine(pid).includes(lab.dir));
    expect(left.map(commandLine)).toEqual([]);
    const without = await lab.lab("status");
    expect(without).toMatchObject({
      code: 1,
      text: expect.stringContaining("npm run lab -- start") as string,
    });
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
