import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as kubernetes from "@pulumi/kubernetes";
import {
  type EngineEvent,
  LocalWorkspace,
  PulumiCommand,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Secret, unknown } from "../../lab/plugins/values.ts";
import { PluginClient } from "../provider/pluginClient.ts";
import { ClusterFixture, node } from "./clusterFixture.ts";

const executable = fileURLToPath(
  new URL("../../lab/plugins/kubernetes/pulumi-resource-kubernetes", import.meta.url),
);
const nodes = [node("cp1", "127.46.2.11", "controlplane"), node("w1", "127.46.2.21", "worker")];

/** What the program below is to make; tests change it between two runs, as a user changes a stack's file. */
interface Wish {
  labels: Record<string, string>;
  image: string;
  password: string;
  fsType: string;
  extraField: boolean;
  replicas: number;
  force: boolean;
}

const privileged = Object.fromEntries(
  ["enforce", "audit", "warn"].map((mode) => [`pod-security.kubernetes.io/${mode}`, "privileged"]),
);
const first: Wish = {
  labels: privileged,
  image: "example.invalid/driver:v1",
  password: "first-password",
  fsType: "ext4",
  extraField: false,
  replicas: 2,
  force: false,
};

let cluster: ClusterFixture;
let stack: Stack;
let wish: Wish;

/** A small driver: the kinds of objects that a CSI consists of. */
const program: PulumiFn = async () => {
  const provider = new kubernetes.Provider("lab", {
    kubeconfig: pulumi.secret(cluster.runtime.adminKubeconfig()),
    enablePatchForce: wish.force,
  });
  const options = { provider };
  const namespace = new kubernetes.core.v1.Namespace(
    "driver",
    { metadata: { name: "driver", labels: wish.labels } },
    options,
  );
  const inNamespace = { namespace: namespace.metadata.name };
  const secret = new kubernetes.core.v1.Secret(
    "login",
    { metadata: inNamespace, stringData: { password: pulumi.secret(wish.password) } },
    options,
  );
  new kubernetes.core.v1.ConfigMap(
    "settings",
    { metadata: { ...inNamespace, name: "settings" }, data: { "cfg.yaml": "pool: Pool-0\n" } },
    options,
  );
  new kubernetes.storage.v1.StorageClass(
    "class",
    {
      metadata: { name: "driver" },
      provisioner: "driver.example.invalid",
      parameters: { "csi.storage.k8s.io/fstype": wish.fsType },
    },
    options,
  );
  const account = new kubernetes.core.v1.ServiceAccount(
    "node",
    { metadata: { ...inNamespace, name: "node" } },
    options,
  );
  const pod = (app: string): kubernetes.types.input.core.v1.PodTemplateSpec => ({
    metadata: { labels: { app } },
    spec: {
      serviceAccountName: account.metadata.name,
      hostNetwork: true,
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name: "driver",
          image: wish.image,
          securityContext: { privileged: true },
          resources: { requests: { cpu: "1000m", memory: "64Mi" } },
          envFrom: [{ secretRef: { name: secret.metadata.name } }],
          ...(wish.extraField ? { imagePolicy: "Always" } : {}),
        },
      ],
    },
  });
  const dependent = { ...options, customTimeouts: { create: "6s", update: "10s" } };
  new kubernetes.apps.v1.DaemonSet(
    "node",
    {
      metadata: { ...inNamespace, name: "node" },
      spec: { selector: { matchLabels: { app: "node" } }, template: pod("node") },
    },
    dependent,
  );
  new kubernetes.apps.v1.Deployment(
    "controller",
    {
      metadata: { ...inNamespace, name: "controller" },
      spec: {
        replicas: wish.replicas,
        selector: { matchLabels: { app: "controller" } },
        template: pod("controller"),
      },
    },
    { ...dependent, customTimeouts: { create: "30s", update: "30s" } },
  );
  return { secretName: secret.metadata.name, uid: namespace.metadata.uid };
};

beforeAll(async () => {
  cluster = await ClusterFixture.create("https://127.46.2.10:6443");
  await cluster.boot(nodes);
  const bin = join(cluster.directory, "bin");
  const state = join(cluster.directory, "state");
  const temporary = join(cluster.directory, "tmp");
  for (const folder of [bin, state, temporary]) mkdirSync(folder);
  symlinkSync(executable, join(bin, "pulumi-resource-kubernetes"));
  symlinkSync(process.execPath, join(bin, "node"));
  symlinkSync(cluster.tools.pulumi, join(bin, "pulumi"));
  const environment = {
    PATH: [bin, process.env["PATH"] ?? ""].join(delimiter),
    PULUMI_BACKEND_URL: pathToFileURL(state).href,
    PULUMI_CONFIG_PASSPHRASE: "test",
    PULUMI_HOME: join(cluster.directory, "pulumi-home"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    TALOS_ISCSI_KUBECTL: cluster.tools.kubectl,
    TMPDIR: temporary,
  };
  Object.assign(process.env, environment);
  stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "test", projectName: "kubernetes-plugin", program },
    { pulumiCommand: await PulumiCommand.get({ skipVersionCheck: true }), envVars: environment },
  );
  wish = first;
});
afterAll(async () => cluster.destroy());

/** The operations of the steps on objects of the cluster, by resource name: `create`, `update`, `replace`, `same`, … */
async function preview(): Promise<Record<string, string>> {
  const steps: Record<string, string> = {};
  await stack.preview({
    onEvent: (event: EngineEvent) => {
      const step = event.resourcePreEvent?.metadata;
      if (step?.type.startsWith("kubernetes:") !== true) return;
      const name = step.urn.split("::").at(-1) ?? "";
      if (["create-replacement", "delete-replaced"].includes(step.op)) return;
      steps[name] = step.op;
    },
  });
  return steps;
}

function changed(steps: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(steps).filter(([, op]) => op !== "same"));
}

function image(kind: string): string {
  return cluster.kubectl([
    "get",
    kind,
    "--namespace=driver",
    "--output=jsonpath={.spec.template.spec.containers[0].image}",
  ]);
}

describe("the Kubernetes stand-in under the real engine", () => {
  it("previews a first deployment, in which nothing exists yet", async () => {
    expect(await preview()).toEqual(
      Object.fromEntries(
        ["driver", "login", "settings", "class", "node", "controller"].map((name) => [name, "create"]),
      ),
    );
    expect(cluster.kubectl(["get", "storageclass", "--output=name"])).toBe("");
  });

  it("creates everything and waits for the workloads", async () => {
    const { outputs } = await stack.up();
    expect(outputs["secretName"]?.value).toMatch(/^login-[0-9a-f]{8}$/);
    expect(outputs["uid"]?.value).toMatch(/^[0-9a-f-]{36}$/);
    interface Status {
      status: { numberAvailable?: number; availableReplicas?: number };
    }
    expect(
      cluster.object<Status>(["get", "daemonset", "node", "--namespace=driver"]).status.numberAvailable,
    ).toBe(2);
    expect(
      cluster.object<Status>(["get", "deployment", "controller", "--namespace=driver"]).status
        .availableReplicas,
    ).toBe(2);
  });

  it("keeps a secret out of the state, in its base64 form too", () => {
    // As the backend stores it: an export of the Automation API decrypts.
    const folder = join(cluster.directory, "state", ".pulumi", "stacks", "kubernetes-plugin");
    const state = readFileSync(join(folder, "test.json"), "utf8");
    expect(state).toContain("driver.example.invalid");
    expect(state).not.toContain(first.password);
    expect(state).not.toContain(Buffer.from(first.password).toString("base64"));
    expect(state).not.toContain("BEGIN");
  });

  it("changes nothing the second time", async () => {
    const { summary } = await stack.up({ expectNoChanges: true });
    expect(summary.resourceChanges?.["update"]).toBeUndefined();
    await stack.refresh({ expectNoChanges: true });
  });

  it("updates what may change and replaces what may not", async () => {
    wish = { ...first, image: "example.invalid/driver:v2", fsType: "xfs", password: "second-password" };
    expect(changed(await preview())).toEqual({
      class: "replace",
      controller: "update",
      login: "replace",
      node: "update",
    });
    const before = (await stack.outputs())["secretName"]?.value as string;
    const after = (await stack.up()).outputs["secretName"]?.value as string;
    expect(after).not.toBe(before);
    expect(image("daemonset/node")).toBe("example.invalid/driver:v2");
    expect(cluster.kubectl(["get", "storageclass", "driver", "--output=jsonpath={.parameters}"])).toContain(
      "xfs",
    );
    const secrets = cluster
      .kubectl(["get", "secrets", "--namespace=driver", "--output=name"])
      .trim()
      .split("\n");
    expect(secrets).toEqual([`secret/${after}`]);
  });

  it("shows what somebody else changed or deleted, and puts it right", async () => {
    cluster.kubectl([
      "set",
      "image",
      "daemonset/node",
      "driver=example.invalid/driver:stray",
      "--namespace=driver",
    ]);
    cluster.kubectl(["delete", "configmap", "settings", "--namespace=driver"]);
    await stack.refresh();
    const seen = await stack.exportStack();
    const resources = (seen.deployment as { resources: { urn: string }[] }).resources.map(({ urn }) =>
      urn.split("::").at(-1),
    );
    expect(resources).not.toContain("settings");
    // The field now belongs to whoever set it; the API says to whom, and taking it back is the user's decision.
    await expect(preview()).rejects.toThrow(/DaemonSet driver\/node: .*conflict.*kubectl-set/s);
    wish = { ...wish, force: true };
    expect(changed(await preview())).toEqual({ node: "update", settings: "create" });
    await stack.up();
    expect(image("daemonset/node")).toBe("example.invalid/driver:v2");
    expect(
      cluster.kubectl(["get", "configmap", "settings", "--namespace=driver", "--output=jsonpath={.data}"]),
    ).toContain("Pool-0");
  });

  it("refuses a field that Kubernetes does not know, already in the preview", async () => {
    wish = { ...wish, extraField: true };
    await expect(preview()).rejects.toThrow(
      /driver\/(node|controller): .*containers\[name=\\?"driver\\?"\]\.imagePolicy: field not declared in schema/s,
    );
    wish = { ...wish, extraField: false };
  });

  it("removes everything again, and leaves no kubeconfig behind", async () => {
    await stack.destroy();
    expect(cluster.kubectl(["get", "storageclass", "--output=name"])).toBe("");
    expect(cluster.kubectl(["get", "namespaces", "--output=name"])).not.toContain("driver");
    // The engine ends plugins with SIGKILL, so nothing of theirs may depend on being cleaned up.
    const left = readdirSync(join(cluster.directory, "tmp")).filter((name) =>
      name.startsWith("talos-iscsi-"),
    );
    expect(left).toEqual([]);
  });

  it("fails with the reason where pods are refused, and goes on once the cause is gone", async () => {
    wish = { ...first, labels: {}, replicas: 0 };
    await expect(stack.up()).rejects.toThrow(
      /DaemonSet driver\/node: not ready after 6 s: 0 of 2 pods are (up to date|available).*violates PodSecurity/s,
    );
    wish = { ...first, replicas: 1 };
    await stack.up();
    await stack.up({ expectNoChanges: true });
    await stack.destroy();
  });
});

describe("the Kubernetes stand-in without a cluster", () => {
  it("previews against a kubeconfig that is not known yet", async () => {
    const plugin = await PluginClient.start(executable);
    try {
      await plugin.configure({ kubeconfig: unknown });
      const type = "kubernetes:core/v1:Secret";
      const inputs = {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { namespace: "driver" },
        data: { key: "dmFsdWU=" },
      };
      const checked = await plugin.check(type, inputs);
      expect(checked.failures).toEqual({});
      expect(checked.inputs).toMatchObject({
        metadata: { namespace: "driver", annotations: { "pulumi.com/autonamed": "true" } },
      });
      const created = await plugin.create(type, checked.inputs, { preview: true });
      expect(created.state["metadata"]).toEqual(checked.inputs["metadata"]);
      expect(created.state["data"]).toBeInstanceOf(Secret);
      await expect(plugin.create(type, checked.inputs)).rejects.toThrow(/kubeconfig is not known/);
    } finally {
      await plugin.stop();
    }
  });

  it("decodes YAML for the SDK's ConfigGroup", async () => {
    const plugin = await PluginClient.start(executable);
    try {
      const text =
        "kind: ConfigMap\nmetadata: { name: a }\n---\n---\nkind: Secret\nmetadata: { name: b, namespace: own }\n";
      const { result } = await plugin.invoke("kubernetes:yaml:decode", { text, defaultNamespace: "driver" });
      expect(result["result"]).toEqual([
        { kind: "ConfigMap", metadata: { name: "a", namespace: "driver" } },
        { kind: "Secret", metadata: { name: "b", namespace: "own" } },
      ]);
      await expect(plugin.invoke("kubernetes:yaml:decode", { text: "a: [" })).rejects.toThrow(
        /text: is no YAML/,
      );
    } finally {
      await plugin.stop();
    }
  });

  it("previews while no API server answers, and says so when it is asked to act", async () => {
    const plugin = await PluginClient.start(executable, [], {
      ...process.env,
      TALOS_ISCSI_KUBECTL: cluster.tools.kubectl,
    });
    try {
      const kubeconfig = cluster.runtime.adminKubeconfig().replaceAll("127.46.2.10:6443", "127.46.2.99:6443");
      await plugin.configure({ kubeconfig: new Secret(kubeconfig) });
      const type = "kubernetes:core/v1:Namespace";
      const inputs = { apiVersion: "v1", kind: "Namespace", metadata: { name: "driver" } };
      expect((await plugin.create(type, inputs, { preview: true })).state).toMatchObject(inputs);
      const failure = plugin.read(type, "driver", { inputs, state: inputs });
      await expect(failure).rejects.toThrow(/Namespace driver: .*127\.46\.2\.99:6443/);
    } finally {
      await plugin.stop();
    }
  });
});
