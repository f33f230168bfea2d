import { execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { connectKubernetes, connectNodeRemover } from "../../provider/kubernetesApi.ts";
import { readInventory } from "../../provider/kubernetesUpgrade/inventory.ts";
import type { Manifest } from "../../provider/kubernetes.ts";
import { reapLeftovers } from "../../lab/kubernetes/process.ts";
import { ClusterFixture, eventually, node } from "./clusterFixture.ts";
import { nightly } from "./nightly.ts";

const controlPlanes = [
  node("cp1", "127.46.1.11", "controlplane"),
  node("cp2", "127.46.1.12", "controlplane"),
  node("cp3", "127.46.1.13", "controlplane"),
] as const;
const worker = node("w1", "127.46.1.21", "worker");
const nodes = [...controlPlanes, worker];

interface DaemonSet {
  status: { desiredNumberScheduled?: number; numberReady?: number };
}
interface List<T> {
  items: T[];
}
interface Node {
  metadata: { name: string; labels: Record<string, string> };
  spec: { taints?: { key: string; effect: string }[] };
  status: {
    addresses: { type: string; address: string }[];
    conditions: { type: string; status: string }[];
    nodeInfo: { osImage: string; kubeletVersion: string };
  };
}
interface Pod {
  metadata: { uid: string };
  spec: { nodeName: string };
  status: {
    phase: string;
    conditions?: { type: string; status: string }[];
    containerStatuses: { restartCount: number }[];
  };
}

let cluster: ClusterFixture;

beforeAll(async () => {
  cluster = await ClusterFixture.create("https://127.46.1.10:6443");
  await cluster.boot(nodes);
});
afterAll(async () => cluster.destroy());

/** A namespace with or without the pod-security labels, and a DaemonSet as privileged as a CSI node plugin. */
function privilegedDaemonSet(namespace: string, labels: boolean): string {
  const modes = ["enforce", "audit", "warn"].map((mode) => `pod-security.kubernetes.io/${mode}: privileged`);
  return `
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace}, labels: { ${labels ? modes.join(", ") : "plain: as-it-is"} } }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: node, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: node } }
  template:
    metadata: { labels: { app: node } }
    spec:
      hostNetwork: true
      tolerations: [{ operator: Exists }]
      containers: [{ name: plugin, image: example.invalid/plugin:v1, securityContext: { privileged: true } }]
`;
}

function readyPods(namespace: string): number {
  return (
    cluster.object<DaemonSet>(["get", "daemonset", "node", `--namespace=${namespace}`]).status.numberReady ??
    0
  );
}

function exempt(...namespaces: string[]): Record<string, unknown>[] {
  const documents = structuredClone(cluster.configurations.controlPlane);
  const main = documents[0] as {
    cluster: {
      apiServer: { admissionControl: { configuration: { exemptions: { namespaces: string[] } } }[] };
    };
  };
  main.cluster.apiServer.admissionControl[0]?.configuration.exemptions.namespaces.push(...namespaces);
  return documents;
}

async function applyToAll(documents: Record<string, unknown>[]): Promise<void> {
  for (const controlPlane of controlPlanes) await cluster.runtime.configActive(controlPlane, documents);
  await cluster.runtime.settled();
}

describe("a control plane built from a machine configuration", () => {
  it("has Ready nodes, registered the way Talos does", async () => {
    expect(cluster.runtime.failure).toBeUndefined();
    const { items } = await eventually(
      () => cluster.object<List<Node>>(["get", "nodes"]),
      // The node lifecycle controller removes its taint shortly after the node is Ready.
      ({ items }) => items.every(({ spec }) => !JSON.stringify(spec.taints ?? []).includes("not-ready")),
    );
    const seen = items.map(({ metadata, spec, status }) => ({
      name: metadata.name,
      controlPlane: metadata.labels["node-role.kubernetes.io/control-plane"],
      os: metadata.labels["kubernetes.io/os"],
      taints: (spec.taints ?? []).map(({ key, effect }) => `${key}:${effect}`),
      address: status.addresses.find(({ type }) => type === "InternalIP")?.address,
      ready: status.conditions.find(({ type }) => type === "Ready")?.status,
      osImage: status.nodeInfo.osImage,
      kubelet: status.nodeInfo.kubeletVersion,
    }));
    const common = { os: "linux", ready: "True", osImage: "Talos (v1.13.9)", kubelet: "v1.35.2" };
    expect(seen).toEqual([
      ...controlPlanes.map(({ name, address }) => ({
        ...common,
        name,
        address,
        controlPlane: "",
        taints: ["node-role.kubernetes.io/control-plane:NoSchedule"],
      })),
      { ...common, name: "w1", address: "127.46.1.21", controlPlane: undefined, taints: [] },
    ]);
    expect(await cluster.runtime.health(worker)).toEqual({ apiServer: true, nodeReady: true });
  });

  it("uses the CA from the configuration and encrypts secrets at rest", () => {
    const main = cluster.configurations.controlPlane[0] as { cluster: { ca: { crt: string } } };
    const kubeconfig = parse(cluster.runtime.adminKubeconfig()) as {
      clusters: { cluster: { "certificate-authority-data": string } }[];
    };
    const authority = Buffer.from(
      kubeconfig.clusters[0]?.cluster["certificate-authority-data"] ?? "",
      "base64",
    );
    expect(new X509Certificate(authority).fingerprint256).toBe(
      new X509Certificate(Buffer.from(main.cluster.ca.crt, "base64")).fingerprint256,
    );

    const marker = createHash("sha256").update("marker").digest("hex");
    cluster.kubectl(["create", "secret", "generic", "at-rest", `--from-literal=key=${marker}`]);
    cluster.kubectl(["create", "configmap", "at-rest", `--from-literal=key=${marker}x`]);
    const stored = join(cluster.directory, "kubernetes", "etcd", "member", "wal");
    const data = readdirSync(stored)
      .filter((file) => file.endsWith(".wal"))
      .map((file) => readFileSync(join(stored, file), "latin1"))
      .join("");
    expect(data).toContain(`${marker}x`);
    expect(data.replaceAll(`${marker}x`, "")).not.toContain(marker);
  });

  it("accepts a kubelet that has the configuration's bootstrap token", () => {
    const main = cluster.configurations.controlPlane[0] as { cluster: { token: string } };
    const kubeconfig = parse(cluster.runtime.adminKubeconfig()) as { users: { user: unknown }[] };
    for (const entry of kubeconfig.users) entry.user = { token: main.cluster.token };
    const file = join(cluster.directory, "bootstrap-kubeconfig");
    writeFileSync(file, stringify(kubeconfig), { mode: 0o600 });
    const kubectl = (...args: string[]) =>
      execFileSync(cluster.tools.kubectl, [`--kubeconfig=${file}`, ...args], { encoding: "utf8" }).trim();
    expect(kubectl("auth", "whoami", "--output=jsonpath={.status.userInfo.groups}")).toContain(
      "system:bootstrappers",
    );
    expect(kubectl("auth", "can-i", "create", "certificatesigningrequests")).toBe("yes");
  });

  it("makes its files inaccessible to other users", () => {
    const folder = join(cluster.directory, "kubernetes", "pki");
    expect(statSync(folder).mode & 0o077).toBe(0);
    const open = readdirSync(folder).filter((file) => (statSync(join(folder, file)).mode & 0o077) !== 0);
    expect(open).toEqual([]);
  });
});

describe("bootstrap manifests", () => {
  const annotations = { "config.k8s.io/owning-inventory": "talos-bootstrap-manifests-inventory" };
  const policy: Manifest = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "own-pods", namespace: "default", annotations },
    spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] },
  };
  const a = { type: "string", enum: ["x", "y"], default: "x" };
  const definition: Manifest = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    // Talos also drops the namespace of a cluster-scoped kind.
    metadata: { name: "things.example.org", namespace: "default", annotations },
    spec: {
      group: "example.org",
      scope: "Namespaced",
      names: { kind: "Thing", plural: "things" },
      versions: [
        {
          ...{ name: "v1", served: true, storage: true },
          schema: { openAPIV3Schema: { type: "object", properties: { a } } },
        },
      ],
    },
  };

  it("are applied as written, with Talos's field manager", async () => {
    const kubeconfig = readFileSync(cluster.runtime.adminKubeconfigFile, "utf8");
    const [reader, writer] = [await connectKubernetes(kubeconfig), await connectNodeRemover(kubeconfig)];
    for (const manifest of [policy, definition]) {
      await writer.applyManifest(manifest);
      const live = await reader.liveManifest(manifest);
      expect(live).toMatchObject({ metadata: { annotations }, spec: manifest["spec"] });
      const owners = (live?.metadata["managedFields"] as { manager: string; operation: string }[]).map(
        ({ manager, operation }) => `${manager} ${operation}`,
      );
      expect(owners).toContain("talos Apply");
      // Server-side apply removes fields that Talos applied before and omits now, so the annotation must be applied too.
      const { annotations: _, ...metadata } = manifest.metadata;
      expect((await reader.tryManifest({ ...manifest, metadata })).metadata).not.toHaveProperty(
        "annotations",
      );
    }
  });

  it("are recorded in the inventory under the keys that Talos reads", async () => {
    const kubeconfig = readFileSync(cluster.runtime.adminKubeconfigFile, "utf8");
    const [reader, writer] = [await connectKubernetes(kubeconfig), await connectNodeRemover(kubeconfig)];
    const role = {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "example:reader" },
    };
    const objects = [await reader.tryManifest(policy), await reader.tryManifest(definition), role];
    const { due } = await readInventory(reader, objects);
    if (due === undefined) throw new Error("nothing is due");
    await writer.applyManifest(due);
    const { data } = cluster.object<{ data: Record<string, string> }>([
      ...["get", "configmap", "talos-bootstrap-manifests-inventory", "--namespace=kube-system"],
    ]);
    expect(data).toEqual({
      "default_own-pods_networking.k8s.io_NetworkPolicy": "",
      "_things.example.org_apiextensions.k8s.io_CustomResourceDefinition": "",
      "_example__reader_rbac.authorization.k8s.io_ClusterRole": "",
    });
    expect((await readInventory(reader, objects)).due).toBeUndefined();
  });
});

describe("pod security", () => {
  it("admits a privileged DaemonSet in a labeled namespace and refuses its pods in an unlabeled one", async () => {
    cluster.kubectl(
      ["apply", "--server-side", "--filename=-"],
      `${privilegedDaemonSet("labelled", true)}---${privilegedDaemonSet("plain", false)}`,
    );
    expect(
      await eventually(
        () => readyPods("labelled"),
        (ready) => ready === nodes.length,
      ),
    ).toBe(nodes.length);
    const refused = await eventually(
      () => cluster.kubectl(["get", "events", "--namespace=plain", "--output=jsonpath={..message}"]),
      (messages) => messages.includes("violates PodSecurity"),
    );
    expect(refused).toContain('violates PodSecurity "baseline:latest"');
    expect(cluster.object<List<Pod>>(["get", "pods", "--namespace=plain"]).items).toEqual([]);
  });

  it("applies an exemption once every control plane has it, without downtime", async () => {
    const before = cluster.log.length;
    await cluster.runtime.configActive(controlPlanes[0], exempt("plain"));
    await cluster.runtime.settled();
    expect(cluster.log.slice(before)).toEqual([]);

    let failures = 0;
    let asked = 0;
    let restarting = true;
    const asking = (async () => {
      while (restarting) {
        asked += 1;
        if (!(await cluster.runtime.health(worker)).apiServer) failures += 1;
        await sleep(20);
      }
    })();
    await applyToAll(exempt("plain"));
    restarting = false;
    await asking;

    expect(cluster.log.slice(before).join("\n")).toMatch(/kube-apiserver is ready/);
    expect(asked).toBeGreaterThan(5);
    expect(failures).toBe(0);
    cluster.kubectl(["rollout", "restart", "daemonset/node", "--namespace=plain"]);
    expect(
      await eventually(
        () => readyPods("plain"),
        (ready) => ready === nodes.length,
      ),
    ).toBe(nodes.length);
  });

  nightly(
    "fails on a namespace that is exempted twice, like a real kube-apiserver, and recovers",
    async () => {
      await applyToAll(exempt("plain", "plain"));
      expect(cluster.runtime.failure).toMatch(/exemptions\.namespaces\[2\]: Duplicate value: "plain"/);
      expect((await cluster.runtime.health(worker)).apiServer).toBe(false);
      await applyToAll(exempt("plain"));
      expect(cluster.runtime.failure).toBeUndefined();
      expect(await cluster.runtime.health(worker)).toEqual({ apiServer: true, nodeReady: true });
    },
  );

  nightly("also works from a KubeAdmissionControlConfig document (contract 1.14)", async () => {
    const documents = exempt();
    const main = documents[0] as { cluster: { apiServer: { admissionControl?: unknown[] } } };
    const [plugin] = main.cluster.apiServer.admissionControl ?? [];
    delete main.cluster.apiServer.admissionControl;
    documents.push({ apiVersion: "v1alpha1", kind: "KubeAdmissionControlConfig", ...(plugin as object) });
    await applyToAll(documents);
    cluster.kubectl(["rollout", "restart", "daemonset/node", "--namespace=plain"]);
    expect(
      await eventually(
        () => readyPods("plain"),
        (ready) => ready < nodes.length,
      ),
    ).toBeLessThan(nodes.length);
    await applyToAll(exempt());
  });
});

describe("a node's kubelet", () => {
  const podOn = (name: string): Pod | undefined =>
    cluster
      .object<List<Pod>>(["get", "pods", "--namespace=labelled"])
      .items.find(({ spec }) => spec.nodeName === name);
  const isReady = (pod: Pod | undefined): boolean =>
    pod?.status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;

  it("stops: the node is NotReady at once and its pods are no longer ready; starts: its pods restart", async () => {
    const before = podOn("w1");
    await cluster.runtime.kubeletDown(worker);
    expect(await cluster.runtime.health(worker)).toEqual({ apiServer: true, nodeReady: false });
    expect(
      isReady(
        await eventually(
          () => podOn("w1"),
          (pod) => !isReady(pod),
        ),
      ),
    ).toBe(false);
    await sleep(2000);
    expect(isReady(podOn("w1"))).toBe(false);

    await cluster.runtime.kubeletUp({ ...worker, talosVersion: "v1.14.0" });
    expect(await cluster.runtime.health(worker)).toEqual({ apiServer: true, nodeReady: true });
    expect(cluster.object<Node>(["get", "node", "w1"]).status.nodeInfo.osImage).toBe("Talos (v1.14.0)");
    const after = await eventually(() => podOn("w1"), isReady);
    expect(isReady(after)).toBe(true);
    expect(after?.metadata.uid).toBe(before?.metadata.uid);
    expect(after?.status.containerStatuses[0]?.restartCount).toBe(1);
  });

  it("also restarts a pod that has its own address", async () => {
    const pod = (): Pod | undefined =>
      cluster.object<List<Pod>>(["get", "pods", "--namespace=default"]).items[0];
    const overrides = { spec: { nodeName: "w1", terminationGracePeriodSeconds: 0 } };
    const image = "--image=registry.invalid/own:v1";
    cluster.kubectl(["run", "own", image, `--overrides=${JSON.stringify(overrides)}`]);
    expect(isReady(await eventually(pod, isReady))).toBe(true);
    await cluster.runtime.kubeletDown(worker);
    expect(isReady(await eventually(pod, (found) => !isReady(found)))).toBe(false);
    await cluster.runtime.kubeletUp(worker);
    const after = await eventually(pod, isReady);
    expect(isReady(after)).toBe(true);
    expect(after?.status.containerStatuses[0]?.restartCount).toBe(1);
    cluster.kubectl(["delete", "pod", "own"]);
  });

  nightly("keeps its node Ready by renewing its lease", async () => {
    const renewed = () =>
      cluster.kubectl([
        "get",
        "lease",
        "cp1",
        "--namespace=kube-node-lease",
        "--output=jsonpath={.spec.renewTime}",
      ]);
    const first = renewed();
    expect(first).not.toBe("");
    expect(await eventually(renewed, (time) => time !== first, 25)).not.toBe(first);
  });

  nightly("stops on most control planes: the API is down until the majority is back", async () => {
    await cluster.runtime.kubeletDown(controlPlanes[0]);
    await cluster.runtime.settled();
    expect((await cluster.runtime.health(worker)).apiServer).toBe(true);
    await cluster.runtime.kubeletDown(controlPlanes[1]);
    await cluster.runtime.settled();
    expect((await cluster.runtime.health(worker)).apiServer).toBe(false);
    await cluster.runtime.kubeletUp(controlPlanes[0]);
    await cluster.runtime.settled();
    expect(await cluster.runtime.health(controlPlanes[0])).toEqual({ apiServer: true, nodeReady: true });
    expect((await cluster.runtime.health(controlPlanes[1])).nodeReady).toBe(false);
    await cluster.runtime.kubeletUp(controlPlanes[1]);
    await cluster.runtime.settled();
  });

  nightly("is reset: the Node stays in Kubernetes as NotReady until somebody deletes it", async () => {
    await cluster.runtime.removed(worker);
    await cluster.runtime.settled();
    const { items } = cluster.object<List<Node>>(["get", "nodes"]);
    expect(items.map(({ metadata }) => metadata.name)).toContain(worker.name);
    const status = cluster.kubectl(["get", "node", worker.name, "--no-headers"]);
    expect(status).toContain("NotReady");
    cluster.kubectl(["delete", "node", worker.name]);
    await cluster.runtime.settled();
    expect(cluster.kubectl(["get", "nodes", "--output=name"])).not.toContain(worker.name);
  });
});

describe("shutdown", () => {
  const running = (): string[] =>
    execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes(cluster.directory));

  it("leaves no process running, and the next lab stops what a killed one left behind", async () => {
    expect(running().length).toBeGreaterThanOrEqual(5);
    await cluster.runtime.stop();
    expect(running()).toEqual([]);
    expect(readdirSync(join(cluster.directory, "kubernetes", "run"))).toEqual([]);

    const left = spawn("sleep", ["600"], { stdio: "ignore" });
    const folder = join(cluster.directory, "left");
    mkdirSync(folder);
    const stat = readFileSync(`/proc/${left.pid}/stat`, "utf8").split(" ");
    writeFileSync(
      join(folder, `etcd-${left.pid}.json`),
      JSON.stringify({ pid: left.pid, startTime: stat[21] }),
    );
    // A PID that another process has reused is left alone: this test's own PID, with a different start time.
    writeFileSync(
      join(folder, `kwok-${process.pid}.json`),
      JSON.stringify({ pid: process.pid, startTime: "1" }),
    );
    expect(await reapLeftovers(folder)).toEqual(["etcd"]);
    expect(existsSync(join(folder, `kwok-${process.pid}.json`))).toBe(false);
    expect(
      left.signalCode ??
        (await new Promise((resolve) => left.once("exit", (_code, signal) => resolve(signal)))),
    ).toBe("SIGKILL");
  });
});
