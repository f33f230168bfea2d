import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { resolveTools } from "../../tools/resolve.ts";
import type { LabStatus } from "../../lab/status.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";
import { filesWith } from "./secrets.ts";

/** Creates the cluster from a YAML program, run by Pulumi's own YAML language host: IscsiCluster from the component package. */

const canary = "canary-of-the-yaml-program";

let lab: LabProject;
let pulumi: (...args: string[]) => Promise<Finished>;
let environment: NodeJS.ProcessEnv;

/** The settings of the lab's stack as resource properties, with the password as a secret in the program's configuration. */
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
  await lab.labOk("start", "--node-seconds", "1");
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
  environment = {
    PATH: path.join(delimiter),
    PULUMI_BACKEND_URL: pathToFileURL(join(lab.dir, ".lab", "state")).href,
    PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  };
  pulumi = (...args) => engine(folder, ...args);
});

/** Runs the real CLI in one of the lab's folders. */
function engine(folder: string, ...args: string[]): Promise<Finished> {
  const cli = join(lab.dir, ".lab", "bin", "pulumi");
  return lab.run(cli, ["--cwd", folder, ...args, "--non-interactive"], environment);
}

afterAll(async () => lab?.remove());

test("the plugin contains the schema", async () => {
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

test("up enables iSCSI storage on the cluster, and a second up changes nothing", async () => {
  await pulumi("stack", "init", "prod");
  await pulumi("config", "set", "--secret", "password", canary);
  const up = await pulumi("up", "--yes", "--skip-preview");
  expect(up.code, up.text).toBe(0);
  const { nodes } = JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
  for (const node of nodes) expect(node).toMatchObject({ version: "v1.13.9", iscsid: "Running" });
  const again = await pulumi("up", "--yes", "--skip-preview", "--expect-no-changes");
  expect(again.code, again.text).toBe(0);
  const outputs = await pulumi("stack", "output", "--json");
  expect(JSON.parse(outputs.stdout)).toMatchObject({ kubeconfig: "[secret]", nodes: { cp1: {} } });
  expect(up.text).not.toContain(canary);
  expect(filesWith(join(lab.dir, ".lab", "state"), [canary])).toEqual([]);
});

test("a mistake is reported with its path, without a stack trace", async () => {
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

/** The state of the nodes, and every Kubernetes object that a driver consists of. */
async function clusterState() {
  const { nodes } = JSON.parse((await lab.labOk("status", "--json")).stdout) as LabStatus;
  const ofTalos = async (kind: string) =>
    await lab.tool(
      "talosctl",
      ...["--nodes", nodes.map(({ address }) => address).join(), "get", kind, "--output", "jsonpath={.spec}"],
    );
  const kinds =
    "namespaces,serviceaccounts,secrets,configmaps,daemonsets,deployments,statefulsets,roles,rolebindings,clusterroles,clusterrolebindings,csidrivers,storageclasses";
  const listed = await lab.tool("kubectl", "get", kinds, "--all-namespaces", "--output=json");
  // The checksum is keyed with the UID of the Secret, so it differs for every Secret.
  const { items } = JSON.parse(
    listed.replace(/("talos-iscsi\/config-checksum": ")[0-9a-f]{16}/g, "$1keyed"),
  ) as { items: KubernetesObject[] };
  const objects = items.map(({ status: _status, metadata, ...rest }) => {
    const { name, namespace, labels } = metadata;
    return { ...rest, metadata: { name, namespace, labels } };
  });
  return {
    nodes,
    configurations: await ofTalos("machineconfig"),
    extensions: await ofTalos("extensions"),
    objects,
  };
}

interface KubernetesObject {
  metadata: Record<string, unknown>;
  status?: unknown;
}

nightly("this project's own stack brings the cluster to the same state", async () => {
  const before = await clusterState();
  expect(before.objects.length).toBeGreaterThan(50);
  // The objects are created again, and a node that differs from the stack would be configured or upgraded.
  const destroyed = await pulumi("destroy", "--yes", "--skip-preview");
  expect(destroyed.code, destroyed.text).toBe(0);
  const between = await clusterState();
  expect(before.objects.length - between.objects.length).toBeGreaterThan(10);
  await lab.withStackFile(
    "dev",
    (text) => text.replace(/password:\n\s+#.*\n\s+secure: .*/, `password: ${canary}`),
    () => lab.labOk("up"),
  );
  const after = await clusterState();
  expect(after.nodes).toEqual(before.nodes);
  expect(after.configurations).toBe(before.configurations);
  expect(after.extensions).toBe(before.extensions);
  const named = ({ objects }: typeof before) =>
    Object.fromEntries(
      objects.map((object) => [
        [Reflect.get(object, "kind"), object.metadata.namespace, object.metadata.name].join(" "),
        object,
      ]),
    );
  expect(named(after)).toEqual(named(before));
});

describe("pulumi new", () => {
  const answers = [
    "cluster.name=prod",
    "cluster.endpoint=https://10.0.0.10:6443",
    "cluster.nodes[0].address=10.0.0.11",
  ];
  const made = (folder: string, stack: string, given: string[]) => {
    const project = join(lab.dir, folder);
    const template = join(lab.dir, "template");
    const own = [".lab", ".tools", "node_modules", "fleet", "template"];
    // The content of a clone of the repository.
    if (!readdirSync(lab.dir).includes("template")) {
      mkdirSync(template);
      for (const name of readdirSync(lab.dir).filter((found) => !own.includes(found)))
        cpSync(join(lab.dir, name), join(template, name), { recursive: true });
    }
    mkdirSync(project);
    environment = {
      ...environment,
      PATH: [join(lab.dir, "test", "lab", "languageHost"), environment["PATH"]].join(delimiter),
    };
    const config = given.flatMap((answer) => ["--config", answer]);
    const named = ["--stack", stack, "--name", folder];
    return engine(project, "new", template, "--yes", "--offline", ...named, ...config);
  };

  test("asks for what a cluster needs, and the new project can be previewed", async () => {
    const { code, text } = await made("storage", "prod", answers);
    expect(code, text).toBe(0);
    const project = join(lab.dir, "storage");
    const { config } = parse(readFileSync(join(project, "Pulumi.prod.yaml"), "utf8")) as { config: unknown };
    expect(config).toEqual({
      "storage:talosVersion": "v1.13.9",
      "storage:cluster.name": "prod",
      "storage:cluster.endpoint": "https://10.0.0.10:6443",
      "storage:cluster.nodes[0].name": "cp1",
      "storage:cluster.nodes[0].address": "10.0.0.11",
      "storage:cluster.nodes[0].role": "controlplane",
    });
    expect(readFileSync(join(project, "Pulumi.yaml"), "utf8")).not.toMatch(/^template:|cluster\.nodes/m);
    const preview = await engine(project, "preview", "--json");
    expect(preview.code, preview.text).toBe(0);
    const { steps } = JSON.parse(preview.stdout) as { steps: { urn: string }[] };
    expect(steps.map(({ urn }) => urn.split("::").at(-1))).toEqual(
      expect.arrayContaining(["cluster-config-cp1", "upgrade-cp1"]),
    );
  });

  nightly("the first preview names missing and wrong answers", async () => {
    const { code, text } = await made("wrong", "prod", ["cluster.name=prod", "cluster.nodes[0].address=x y"]);
    expect(code, text).toBe(0);
    const preview = await engine(join(lab.dir, "wrong"), "preview");
    expect(preview.code).not.toBe(0);
    expect(preview.text).toContain("cluster.endpoint: ");
    expect(preview.text).toContain("cluster.nodes[0].address: ");
    expect(preview.text).toContain("`wrong:`");
    expect(preview.text).not.toMatch(/^\s+at .*\.ts:/m);
  });
});
