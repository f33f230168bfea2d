import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import {
  type EngineEvent,
  LocalWorkspace,
  PulumiCommand,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { locateTools, type ResolvedTool } from "../../tools/resolve.ts";
import { ClusterFixture, eventually, node } from "./clusterFixture.ts";

/** The behavior of the real Kubernetes plugin that the program relies on: when it replaces objects, and how it treats existing ones. */

const nodes = [node("cp1", "127.46.2.11", "controlplane"), node("w1", "127.46.2.21", "worker")];
const adopting = "PULUMI_K8S_UPSERT_EXISTING_OBJECTS";

interface Wish {
  /** Undefined: unknown until the update, like a renewed one. */
  kubeconfig: string | undefined;
  clusterIdentifier: string | undefined;
  image: string;
}

let cluster: ClusterFixture;
let plugin: ResolvedTool;
let stack: Stack;
let wish: Wish;
let warnings: string[] = [];

function program(): void {
  const { kubeconfig, clusterIdentifier, image } = wish;
  const provider = new kubernetes.Provider("lab", {
    kubeconfig: pulumi.secret(kubeconfig ?? (pulumi.unknown as string)),
    ...(clusterIdentifier === undefined ? {} : { clusterIdentifier }),
  });
  new kubernetes.core.v1.ConfigMap(
    "settings",
    { metadata: { name: "settings" }, data: { a: "b" } },
    { provider },
  );
  // Creation blocks while its pod waits for a label that no node has yet.
  const labels = { app: "controller" };
  const spec = { containers: [{ name: "driver", image }], nodeSelector: { go: "on" } };
  new kubernetes.apps.v1.Deployment(
    "controller",
    {
      metadata: { name: "controller" },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    },
    { provider },
  );
}

beforeAll(async () => {
  cluster = await ClusterFixture.create("https://127.46.2.10:6443");
  await cluster.boot(nodes);
  const [found] = await locateTools(["pulumi-resource-kubernetes"]);
  plugin = found as ResolvedTool;
  const [bin, state] = ["bin", "state"].map((name) => join(cluster.directory, name)) as [string, string];
  for (const folder of [bin, state]) mkdirSync(folder);
  for (const name of ["pulumi", "pulumi-resource-kubernetes"] as const)
    symlinkSync(cluster.tools[name], join(bin, name));
  const environment = {
    PATH: [bin, process.env["PATH"] ?? ""].join(delimiter),
    PULUMI_BACKEND_URL: pathToFileURL(state).href,
    PULUMI_CONFIG_PASSPHRASE: "test",
    PULUMI_HOME: join(cluster.directory, "pulumi-home"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
  };
  Object.assign(process.env, environment);
  stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "test", projectName: "kubernetes-plugin", program: async () => program() },
    { pulumiCommand: await PulumiCommand.get({ skipVersionCheck: true }), envVars: environment },
  );
});
afterAll(async () => cluster?.destroy());

beforeEach(() => {
  wish = {
    kubeconfig: cluster.runtime.adminKubeconfig(),
    clusterIdentifier: "id",
    image: "example.invalid/driver:v1",
  };
  warnings = [];
});

const heard = ({ diagnosticEvent }: EngineEvent): void => {
  if (diagnosticEvent?.severity === "warning") warnings.push(diagnosticEvent.message);
};

/** The number of resources per operation in a preview. */
async function planned(): Promise<Record<string, number | undefined>> {
  return (await stack.preview({ onEvent: heard })).changeSummary;
}

/** `up` that adopts existing objects, as documented in docs/troubleshooting.md. */
async function upAdopting(): Promise<void> {
  stack.workspace.envVars[adopting] = "true";
  try {
    await stack.up();
  } finally {
    delete stack.workspace.envVars[adopting];
  }
}

function label(value: "on" | "off"): void {
  cluster.kubectl(["label", "node", "w1", `go=${value}`, "--overwrite"]);
}

test("an object whose creation was killed is adopted by an up that is allowed to, and stays managed", async () => {
  const killed = stack.up().then(
    () => "ended",
    () => "killed",
  );
  await eventually(
    () => cluster.kubectl(["get", "deployments", "--output=name"]),
    (names) => names.includes("controller"),
    120,
  );
  const engines = childrenOf(process.pid, / \S*pulumi up /);
  expect(engines).toHaveLength(1);
  for (const pid of [...engines.flatMap((engine) => childrenOf(engine)), ...engines])
    process.kill(pid, "SIGKILL");
  expect(await killed).toBe("killed");
  await stack.cancel();
  expect(await inState()).not.toContain("controller");

  label("on");
  if (plugin.origin === "published") await expect(stack.up()).rejects.toThrow(/already exists/);
  await upAdopting();
  expect(await inState()).toContain("controller");
  expect(await planned()).toEqual({ same: 4 });
  await stack.destroy();
  expect(cluster.kubectl(["get", "deployments", "--output=name"])).toBe("");
});

test("even then, objects that others installed with different values are not adopted", async () => {
  const labels = { app: "controller" };
  const spec = { containers: [{ name: "driver", image: "example.invalid/driver:by-hand" }] };
  const byHand = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "controller" },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  };
  cluster.kubectl(["create", "--filename=-"], JSON.stringify(byHand));
  await expect(upAdopting()).rejects.toThrow(/conflict[\s\S]*kubectl-create/);
  const image = "--output=jsonpath={.spec.template.spec.containers[0].image}";
  expect(cluster.kubectl(["get", "deployment", "controller", image])).toBe("example.invalid/driver:by-hand");
  cluster.kubectl(["delete", "deployment", "controller"]);
  await stack.destroy();
});

// lab/plugins/README.md: published plugins refuse since 4.29; the locally built one is older.
test("objects that others installed with our values: known difference of the locally built plugin", async () => {
  label("on");
  const byHand = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings" }, data: { a: "b" } };
  cluster.kubectl(["create", "--filename=-"], JSON.stringify(byHand));
  if (plugin.origin === "published") {
    await expect(stack.up()).rejects.toThrow(/already exists/);
    cluster.kubectl(["delete", "configmap", "settings"]);
  }
  await stack.up();
  expect(await inState()).toContain("settings");
});

test("setting a cluster identifier only updates the provider, and from then on it alone decides about replacement", async () => {
  await stack.destroy();
  wish.clusterIdentifier = undefined;
  label("on");
  await stack.up();
  wish.clusterIdentifier = "id";
  expect(await planned()).toEqual({ same: 3, update: 1 });
  await stack.up();

  // A renewed kubeconfig is unknown during the preview.
  wish.kubeconfig = undefined;
  expect(await planned()).not.toHaveProperty("replace");

  // A different address of the same API, as with a new endpoint.
  wish.kubeconfig = cluster.runtime.adminKubeconfig().replace("127.46.2.10:6443", "127.46.2.11:6443");
  expect(wish.kubeconfig).toContain("127.46.2.11");
  expect(await planned()).not.toHaveProperty("replace");

  wish.kubeconfig = cluster.runtime.adminKubeconfig();
  wish.clusterIdentifier = "another";
  expect(await planned()).toMatchObject({ replace: 3 });
});

test("with the API down, refresh and destroy suggest removing the objects from the state, but don't do it unasked", async () => {
  const before = (await inState()).sort();
  expect(before).toContain("controller");
  wish.kubeconfig = cluster.runtime.adminKubeconfig().replace("127.46.2.10:6443", "127.46.2.99:6443");
  await stack.up();
  await expect(stack.refresh()).rejects.toThrow(/PULUMI_K8S_DELETE_UNREACHABLE/);
  await expect(stack.destroy()).rejects.toThrow(/PULUMI_K8S_DELETE_UNREACHABLE/);
  stack.workspace.envVars["PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"] = "true";
  await stack.refresh();
  delete stack.workspace.envVars["PULUMI_K8S_SKIP_UPDATE_UNREACHABLE"];
  expect((await inState()).sort()).toEqual(before);

  wish.kubeconfig = cluster.runtime.adminKubeconfig();
  await stack.up();
  expect(await planned()).toEqual({ same: 4 });
});

test("the engine warns about the plugin's version: known difference of the locally built plugin", async () => {
  await planned();
  const told = warnings.filter((warning) => warning.includes("is expected to have version"));
  if (plugin.origin === "published") expect(told).toEqual([]);
  else expect(told.join()).toContain(`has ${plugin.version.slice(1)}`);
});

test("the locally built plugin has no embedded schema: known difference", () => {
  const schema = execFileSync(cluster.tools.pulumi, ["package", "get-schema", plugin.path], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { name, resources = {} } = JSON.parse(schema) as { name: string; resources?: object };
  expect(name).toBe("kubernetes");
  expect(Object.keys(resources).length > 0).toBe(plugin.origin === "published");
});

async function inState(): Promise<string[]> {
  const { deployment } = (await stack.exportStack()) as { deployment: unknown };
  const { resources = [] } = deployment as { resources?: { urn: string }[] };
  return resources.map(({ urn }) => urn.split("::").at(-1) ?? "");
}

function childrenOf(parent: number, command = / /): number[] {
  const children = execFileSync("ps", ["-o", "pid=,ppid=,args=", "-A"], { encoding: "utf8" });
  return children.split("\n").flatMap((line) => {
    const found = /^\s*(\d+)\s+(\d+)( .*)$/.exec(line);
    return found !== null && Number(found[2]) === parent && command.test(found[3] ?? "")
      ? [Number(found[1])]
      : [];
  });
}
