import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments, parse, stringify } from "yaml";
import type { LabStatus } from "../../lab/status.ts";
import { LabProject, type Finished } from "./project.ts";
import { canaries, filesWith } from "./secrets.ts";

/** Adopts a cluster that was created by talosctl and patched manually since, with its machine configurations as files. */

const nodes = {
  cp1: "127.10.0.11",
  cp2: "127.10.0.12",
  cp3: "127.10.0.13",
  w1: "127.10.0.21",
  w2: "127.10.0.22",
} as const;
type Name = keyof typeof nodes;
const names = Object.keys(nodes) as Name[];

/** The manual changes on every node: a host name, sysctls, a label, a registry mirror. */
const byHand = (name: Name): string =>
  [
    {
      machine: {
        sysctls: { "net.core.somaxconn": "4096" },
        nodeLabels: { "example.com/rack": `rack-${name}` },
      },
    },
    { apiVersion: "v1alpha1", kind: "HostnameConfig", auto: "off", hostname: name },
    {
      apiVersion: "v1alpha1",
      kind: "RegistryMirrorConfig",
      name: "ghcr.io",
      endpoints: [{ url: "https://mirror.example.com" }],
    },
  ]
    .map((document) => stringify(document))
    .join("---\n");

let lab: LabProject;
const printed: string[] = [];

async function status(): Promise<LabStatus> {
  return JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
}

async function configOf(name: Name): Promise<string> {
  return lab.tool(
    "talosctl",
    "--nodes",
    nodes[name],
    "get",
    "machineconfig",
    "v1alpha1",
    "--output",
    "jsonpath={.spec}",
  );
}

async function documentsOf(name: Name): Promise<Record<string, unknown>[]> {
  return parseAllDocuments(await configOf(name)).map(
    (document) => document.toJS() as Record<string, unknown>,
  );
}

/** The lines in a preview that show the changes of a node's configuration. */
function changesOf(preview: Finished, name: Name): string[] {
  const block =
    preview.stdout
      .split(/(?=NodeConfiguration: )/)
      .find((text) => text.includes(`NodeConfiguration::cluster-config-${name}]`)) ?? "";
  const [, list = ""] = /changes *: \[\n([\s\S]*?)\n[ +]*\]\n/.exec(block) ?? [];
  return [...list.matchAll(/\[\d+\]: "(.*)"$/gm)].map(([, line = ""]) => line);
}

/** The stack file, with the nodes' own machine configurations instead of the secrets bundle. */
function onFile(text: string): string {
  const stack = parse(text) as { config: Record<string, unknown> };
  const cluster = stack.config["talos-iscsi:cluster"] as {
    nodes: { name: string; configFile?: string }[];
    secrets: unknown;
    patches?: unknown;
  };
  cluster.secrets = {
    controlplaneFile: ".lab/cp1.yaml",
    workerFile: ".lab/w1.yaml",
    talosconfigFile: ".lab/talosconfig",
  };
  for (const node of cluster.nodes) {
    if (!["cp1", "w1"].includes(node.name)) node.configFile = `.lab/${node.name}.yaml`;
  }
  // Only takes effect at boot.
  cluster.patches = { worker: [{ machine: { udev: { rules: ['SUBSYSTEM=="block"'] } } }] };
  return stringify(stack);
}

beforeAll(async () => {
  lab = await LabProject.make();
  await lab.labOk("start", "--node-seconds", "1");
  for (const name of names) {
    const file = join(lab.dir, ".lab", `${name}.patch`);
    writeFileSync(file, byHand(name));
    await lab.tool("talosctl", "--nodes", nodes[name], "patch", "machineconfig", "--patch", `@${file}`);
    writeFileSync(lab.file(`${name}.yaml`), await configOf(name), { mode: 0o600 });
  }
});

afterAll(async () => lab?.remove());

describe("adopting a patched cluster with only the secrets bundle", () => {
  test("is refused by the preview, which lists the lost settings by node and path, and touches nothing", async () => {
    const before = await status();
    const refused = await lab.lab("preview");
    printed.push(refused.text);
    expect(refused.code).toBe(1);
    for (const text of [
      "cp1 (127.10.0.11): this configuration would drop settings that the node has [config-drops]",
      "- machine.sysctls.net.core.somaxconn: 4096",
      "- machine.nodeLabels.example.com/rack: rack-cp1",
      "- HostnameConfig.hostname: cp1",
      "- RegistryMirrorConfig[ghcr.io].endpoints[https://mirror.example.com].url: https://mirror.example.com",
      "cluster.acceptDropped",
    ]) {
      expect(refused.text).toContain(text);
    }
    expect(refused.text).not.toMatch(/^\s+at .*\.ts:\d+/m);
    expect(await status()).toEqual(before);
  });
});

describe("adopting it with its machine configuration files", () => {
  test("the first preview shows the two patches, the image and the upgrades; up keeps the manual changes and reboots each node once", async () => {
    const before = await status();
    await lab.withStackFile("dev", onFile, async () => {
      const preview = await lab.labOk("preview");
      printed.push(preview.text);
      const image = (name: Name): string =>
        changesOf(preview, name).find((line) => line.startsWith("~ machine.install.image: ")) ?? "";
      for (const name of names) {
        expect(image(name)).toMatch(/ -> 127\.10\.0\.2:8080\/metal-installer\/c9078f94…:v1\.13\.9$/);
        expect(changesOf(preview, name), name).toEqual(
          [
            image(name),
            "+ machine.kernel.modules[iscsi_tcp].name: iscsi_tcp",
            ...(name.startsWith("cp")
              ? [
                  "+ cluster.apiServer.admissionControl[PodSecurity].configuration.exemptions.namespaces[]: joviandss-csi",
                ]
              : ['+ machine.udev.rules[]: SUBSYSTEM==\\"block\\"']),
          ].toSorted((a, b) => changesOf(preview, name).indexOf(a) - changesOf(preview, name).indexOf(b)),
        );
      }
      expect(preview.stdout.match(/talos-node:index:NodeUpgrade: \(create\)/g)).toHaveLength(5);

      printed.push((await lab.labOk("up")).text);
      const after = await status();
      for (const name of names) {
        const documents = await documentsOf(name);
        expect(documents[0]).toMatchObject({
          machine: {
            sysctls: { "net.core.somaxconn": "4096" },
            nodeLabels: { "example.com/rack": `rack-${name}` },
            kernel: { modules: [{ name: "iscsi_tcp" }] },
            ...(name.startsWith("w") ? { udev: { rules: ['SUBSYSTEM=="block"'] } } : {}),
          },
        });
        expect(documents).toContainEqual(expect.objectContaining({ kind: "HostnameConfig", hostname: name }));
        expect(documents).toContainEqual(
          expect.objectContaining({ kind: "RegistryMirrorConfig", name: "ghcr.io" }),
        );
        const [was, is] = [before, after].map((all) => all.nodes.find((node) => node.name === name));
        expect(is).toMatchObject({ version: "v1.13.9", iscsid: "Running", upgrades: 1 });
        expect((is?.boots ?? 0) - (was?.boots ?? 0), `boots of ${name}`).toBe(1);
      }
      const again = await lab.labOk("up");
      printed.push(again.text);
      expect(again.stdout).toContain("Nothing to change");
    });
  }, 600_000);

  test("leaves no secret in the state, in a preview or in a log", () => {
    const secrets = canaries(lab.file("secrets.yaml"), lab.file("talosconfig"));
    expect(secrets.length).toBeGreaterThan(10);
    expect(filesWith(lab.file("state"), secrets)).toEqual([]);
    expect(filesWith(lab.file("logs"), secrets)).toEqual([]);
    expect(secrets.filter((secret) => printed.some((text) => text.includes(secret)))).toEqual([]);
    expect(readFileSync(lab.file("cp1.yaml"), "utf8")).toContain("PodSecurity");
  });
});
