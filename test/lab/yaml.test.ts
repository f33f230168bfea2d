import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { resolveTools } from "../../tools/resolve.ts";
import type { LabStatus } from "../../lab/status.ts";
import { LabProject, type Finished } from "./project.ts";
import { filesWith } from "./secrets.ts";

/** The cluster from a program in YAML, run by Pulumi's own language host for it: IscsiCluster out of the component package. */

const canary = "canary-of-the-yaml-program";

let lab: LabProject;
let pulumi: (...args: string[]) => Promise<Finished>;

/** The settings of the lab's stack as properties of the resource, its password as a secret of the program's own configuration. */
function program(): string {
  const text = readFileSync(join(lab.dir, "Pulumi.dev.yaml"), "utf8");
  const { config } = parse(text.replaceAll(".lab/", "../.lab/")) as { config: Record<string, unknown> };
  const properties = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [key.replace("talos-iscsi:", ""), value]),
  );
  const { endpoint } = properties["joviandss"] as { endpoint: Record<string, unknown> };
  endpoint["password"] = "${password}";
  return stringify({
    name: "fleet",
    runtime: "yaml",
    config: { password: { type: "string", secret: true } },
    resources: { cluster: { type: "talos-iscsi:IscsiCluster", properties } },
    outputs: { nodes: "${cluster.nodes}", kubeconfig: "${cluster.kubeconfig}" },
  });
}

beforeAll(async () => {
  lab = await LabProject.make();
  await lab.labOk("start");
  const yaml = await resolveTools(["pulumi-language-yaml"]);
  const folder = join(lab.dir, "fleet");
  mkdirSync(folder);
  writeFileSync(join(folder, "Pulumi.yaml"), program());
  const path = [
    join(lab.dir, ".lab", "bin"),
    dirname(yaml["pulumi-language-yaml"]),
    join(lab.dir, "plugin"),
    join(lab.dir, "provider"),
    process.env["PATH"],
  ];
  pulumi = (...args) =>
    lab.run(join(lab.dir, ".lab", "bin", "pulumi"), ["--cwd", folder, ...args, "--non-interactive"], {
      PATH: path.join(delimiter),
      PULUMI_BACKEND_URL: pathToFileURL(join(lab.dir, ".lab", "state")).href,
      PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    });
});

afterAll(async () => lab?.remove());

test("the schema is in the plugin", async () => {
  const plugin = join(lab.dir, "plugin", "pulumi-resource-talos-iscsi");
  const { stdout, text, code } = await pulumi("package", "get-schema", plugin);
  expect(code, text).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    name: "talos-iscsi",
    resources: {
      "talos-iscsi:index:IscsiCluster": { isComponent: true, requiredInputs: ["talosVersion", "cluster"] },
    },
  });
});

test("up takes the cluster to iSCSI storage, and a second one changes nothing", async () => {
  await pulumi("stack", "init", "prod");
  await pulumi("config", "set", "--secret", "password", canary);
  const up = await pulumi("up", "--yes", "--skip-preview");
  expect(up.code, up.text).toBe(0);
  const { nodes } = JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
  for (const node of nodes) expect(node).toMatchObject({ version: "v1.13.9", iscsid: "Running" });
  const again = await pulumi("up", "--yes", "--skip-preview", "--expect-no-changes");
  expect(again.code, again.text).toBe(0);
  expect(up.text).not.toContain(canary);
  expect(filesWith(join(lab.dir, ".lab", "state"), [canary])).toEqual([]);
});

test("a mistake is named with its path, and is no stack trace", async () => {
  const file = join(lab.dir, "fleet", "Pulumi.yaml");
  writeFileSync(
    file,
    readFileSync(file, "utf8").replace("endpoint: https://127.10.0.10:6443", "endpoint: 127.10.0.10"),
  );
  const preview = await pulumi("preview");
  expect(preview.code).not.toBe(0);
  expect(preview.text).toContain("cluster.endpoint");
  expect(preview.text).not.toMatch(/^\s+at .*\.ts:/m);
});
