import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StorageArray } from "../../lab/arrays/array.ts";
import { DsmArray } from "../../lab/arrays/dsm.ts";
import { JovianDssArray } from "../../lab/arrays/joviandss.ts";
import type { Manifest, Workload } from "../../lab/csi/manifests.ts";
import type { PodsRequest } from "../../lab/csi/podsCli.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { ClusterFixture, eventually, node } from "./clusterFixture.ts";
import { CsiDeployment, everyOption } from "./csiDeployment.ts";
import { nightly } from "./nightly.ts";

// The official sidecars on a real Kubernetes, with the arguments, accounts and permissions that the program deploys. Only the machines are not real:
// the controllers' pods run in namespaces on this machine, the driver is tools/csi/driver, and the arrays are stand-ins.

const user = "kubernetes";
const password = "an-array's-password";

let cluster: ClusterFixture;
let csi: CsiDeployment;
let folder: string;
const arrays: Record<string, StorageArray> = {};
const pods: { child: ChildProcess; said: string[] }[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "csi-sidecars-"));
  const joviandss = join(folder, "joviandss");
  const synology = join(folder, "synology");
  arrays["joviandss"] = await JovianDssArray.start({ folder: joviandss, user, password, pool: "Pool-0" });
  arrays["synology"] = await DsmArray.start({ folder: synology, user, password });
  cluster = await ClusterFixture.create("https://127.48.1.10:6443");
  await cluster.boot([node("cp1", "127.48.1.11", "controlplane"), node("w1", "127.48.1.21", "worker")]);
  csi = await CsiDeployment.prepare(cluster);
  csi.wants({
    joviandss: {
      ...everyOption.joviandss,
      endpoint: {
        addresses: ["127.0.0.1"],
        port: arrays["joviandss"].port,
        protocol: "http",
        allowHttp: true,
        user,
        password,
      },
      iscsi: { addresses: ["127.0.0.1"] },
    },
    synology: {
      arrays: [
        {
          host: "127.0.0.1",
          port: arrays["synology"].port,
          https: false,
          allowHttp: true,
          username: user,
          password,
        },
      ],
      storageClasses: [{ name: "synology-iscsi-storage", location: "/volume1", reclaimPolicy: "Delete" }],
      snapshots: { enabled: true },
      controller: { replicas: 2 },
    },
  });
  await csi.up();
  // What the kubelet publishes once the drivers have registered on its node.
  apply({
    apiVersion: "storage.k8s.io/v1",
    kind: "CSINode",
    metadata: { name: "w1" },
    spec: {
      drivers: ["iscsi.csi.joviandss.open-e.com", "csi.san.synology.com"].map((name) => ({
        name,
        nodeID: "w1",
        topologyKeys: null,
      })),
    },
  });
  await startPods("joviandss", "joviandss-csi", ["joviandss-csi-controller"], ["snapshot-controller"]);
  await startPods("synology", "synology-csi", ["synology-csi-controller"], []);
});

afterAll(async () => {
  await Promise.all(
    pods.map(async ({ child }) => {
      child.stdin?.end();
      await new Promise((resolve) => child.once("close", resolve));
    }),
  );
  await cluster.destroy();
  for (const array of Object.values(arrays)) await array.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the containers of a driver's controller as specified by its Deployment in the cluster, with tokens issued by the API. */
async function startPods(
  driver: "joviandss" | "synology",
  namespace: string,
  own: string[],
  system: string[],
): Promise<void> {
  const tools = await resolveTools([
    "csi-driver",
    "csi-provisioner",
    "csi-attacher",
    "csi-snapshotter",
    "csi-resizer",
    "snapshot-controller",
  ]);
  const { "csi-driver": binary, ...sidecars } = tools;
  const places = [...own.map((name) => [name, namespace]), ...system.map((name) => [name, "kube-system"])];
  const workloads = places.map(([name = "", place = ""]) =>
    cluster.object<Workload>(["get", "deployment", name, `--namespace=${place}`]),
  );
  const tokens = Object.fromEntries(
    workloads.map(({ metadata, spec }) => {
      const account = spec.template.spec.serviceAccountName ?? "default";
      const place = metadata.namespace ?? "";
      return [
        `${place}/${account}`,
        cluster.kubectl(["create", "token", account, `--namespace=${place}`]).trim(),
      ];
    }),
  );
  const manifests = [...new Set(places.map(([, place = ""]) => place))].flatMap(
    (place) =>
      cluster.object<{ items: Manifest[] }>(["get", "secrets,serviceaccounts", `--namespace=${place}`]).items,
  );
  const config = new KubeConfig();
  config.loadFromString(cluster.runtime.adminKubeconfig());
  const server = config.getCurrentCluster();
  const url = new URL(server?.server ?? "");
  const request: PodsRequest = {
    driver,
    arrayFolder: join(folder, driver),
    binary,
    workloads,
    manifests,
    sidecars,
    api: {
      host: url.hostname,
      port: Number(url.port),
      authority: Buffer.from(server?.caData ?? "", "base64").toString("utf8"),
      tokens,
    },
  };
  const cli = join(import.meta.dirname, "..", "..", "lab", "csi", "podsCli.ts");
  const command = [process.execPath, cli];
  const asRoot = process.getuid?.() === 0 ? command : ["sudo", "-n", ...command];
  const child = spawn(asRoot[0] ?? "", asRoot.slice(1), { stdio: ["pipe", "pipe", "pipe"] });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) =>
      said.push(...chunk.toString("utf8").replaceAll('\\"', '"').trimEnd().split("\n")),
    );
  child.stdin.write(`${JSON.stringify(request)}\n`);
  pods.push({ child, said });
}

/** The pods' output, to explain a failure. */
const said = () => pods.flatMap((pod) => pod.said);

function apply(object: object): void {
  cluster.kubectl(["apply", "--server-side", "--force-conflicts", "--filename=-"], JSON.stringify(object));
}

const claim = (name: string, storageClassName: string) => ({
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name, namespace: "default" },
  spec: { accessModes: ["ReadWriteOnce"], storageClassName, resources: { requests: { storage: "1Gi" } } },
});

const user1 = (name: string) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: {
    nodeName: "w1",
    terminationGracePeriodSeconds: 0,
    containers: [
      { name: "main", image: "example.com/x", volumeMounts: [{ name: "data", mountPath: "/data" }] },
    ],
    volumes: [{ name: "data", persistentVolumeClaim: { claimName: name } }],
  },
});

const snapshotOf = (name: string, volumeSnapshotClassName: string) => ({
  apiVersion: "snapshot.storage.k8s.io/v1",
  kind: "VolumeSnapshot",
  metadata: { name, namespace: "default" },
  spec: { volumeSnapshotClassName, source: { persistentVolumeClaimName: name } },
});

/** A field of an object, or kubectl's error. */
function ask(kind: string, name: string, path: string): string {
  const args = ["get", kind, "--namespace=default", "--ignore-not-found", `--output=jsonpath={${path}}`];
  const { status, stdout, stderr } = spawnSync(
    cluster.tools.kubectl,
    [`--kubeconfig=${cluster.runtime.adminKubeconfigFile}`, ...args, ...(name === "" ? [] : [name])],
    { encoding: "utf8" },
  );
  return status === 0 ? stdout : stderr;
}

async function becomes(kind: string, name: string, path: string, wanted: string): Promise<void> {
  const answer = await eventually(
    () => ask(kind, name, path),
    (text) => text === wanted,
    90,
  );
  expect(answer, said().slice(-25).join("\n")).toBe(wanted);
}

const attached = ".items[*].status.attached";

describe.each([
  ["joviandss", "joviandss-sc", "joviandss-snapshot-sc"],
  ["synology", "synology-iscsi-storage", "synology-snapshotclass"],
])("%s: the official sidecars", (driver, storageClass, snapshotClass) => {
  const contents = () => arrays[driver]?.contents() ?? { volumes: [], snapshots: [], targets: [] };

  it("provision a volume for a claim", async () => {
    apply(claim(driver, storageClass));
    await becomes("pvc", driver, ".status.phase", "Bound");
    expect(contents().volumes).toEqual([expect.stringContaining("pvc-")]);
  });

  it("attach it to its pod's node", async () => {
    apply(user1(driver));
    await becomes("volumeattachments", "", attached, "true");
    expect(contents().targets).toHaveLength(1);
  });

  it("take a snapshot of it", async () => {
    apply(snapshotOf(driver, snapshotClass));
    await becomes("volumesnapshot", driver, ".status.readyToUse", "true");
    expect(contents().snapshots).toHaveLength(1);
  });

  it.runIf(driver === "synology")("grow it", async () => {
    const more = { spec: { resources: { requests: { storage: "2Gi" } } } };
    cluster.kubectl(["patch", "pvc", driver, "--namespace=default", `--patch=${JSON.stringify(more)}`]);
    const volume = ask("pvc", driver, ".spec.volumeName");
    await becomes("pv", volume, ".spec.capacity.storage", "2Gi");
    // The kubelet does the rest.
    const conditions = () => ask("pvc", driver, ".status.conditions[*].type");
    const pending = await eventually(conditions, (types) => types.includes("FileSystemResizePending"), 90);
    expect(pending).toContain("FileSystemResizePending");
  });

  it("delete the snapshot, detach the volume and delete it", async () => {
    const remove = (kind: string) =>
      cluster.kubectl(["delete", kind, driver, "--namespace=default", "--wait=false"]);
    remove("volumesnapshot");
    await becomes("volumesnapshotcontents", "", ".items[*].metadata.name", "");
    expect(contents().snapshots).toEqual([]);
    remove("pod");
    await becomes("volumeattachments", "", attached, "");
    remove("pvc");
    await becomes("pv", "", ".items[*].metadata.name", "");
    expect(contents()).toEqual({ volumes: [], snapshots: [], targets: [] });
  });
});

interface Role {
  metadata: { name: string };
  rules: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
}

nightly(
  "without a permission that the program grants, the claim stays pending and the provisioner names it",
  async () => {
    const makes = ({ rules }: Role) =>
      rules.some(
        ({ resources, verbs }) => resources.includes("persistentvolumes") && verbs.includes("create"),
      );
    const role = cluster
      .object<{ items: Role[] }>(["get", "clusterroles"])
      .items.find((item) => item.metadata.name.includes("joviandss") && makes(item));
    if (role === undefined) throw new Error("no role of the driver may create PersistentVolumes");
    const less = role.rules.map((rule) =>
      rule.resources.includes("persistentvolumes")
        ? { ...rule, verbs: rule.verbs.filter((verb) => verb !== "create") }
        : rule,
    );
    const replace = (rules: Role["rules"]) =>
      cluster.kubectl(["patch", "clusterrole", role.metadata.name, `--patch=${JSON.stringify({ rules })}`]);
    replace(less);
    apply(claim("forbidden", "joviandss-sc"));
    const refusal = /persistentvolumes is forbidden|cannot create resource "persistentvolumes"/;
    // The output arrives in chunks, not in lines.
    const words = await eventually(
      () => said().join(""),
      (text) => refusal.test(text),
      60,
    );
    expect(words).toMatch(refusal);
    expect(ask("pvc", "forbidden", ".status.phase")).toBe("Pending");
    replace(role.rules);
    await becomes("pvc", "forbidden", ".status.phase", "Bound");
    cluster.kubectl(["delete", "pvc", "forbidden", "--namespace=default"]);
    await becomes("pv", "", ".items[*].metadata.name", "");
  },
);

it("sidecars elect a leader with the deployed permissions", () => {
  const elected = said().filter((line) => /successfully acquired lease/i.test(line));
  expect(elected.length).toBeGreaterThanOrEqual(4);
});
