import type * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ClusterFixture, eventually, node } from "./clusterFixture.ts";
import { CsiDeployment, everyOption } from "./csiDeployment.ts";
import type { Deployed } from "./csiDeployment.ts";
import {
  flattenRights,
  attacher,
  leases,
  forbiddenRights,
  provisioner,
  refusedRights,
  resizer,
  snapshotController,
  snapshotter,
} from "./csiRights.ts";
import type { Right } from "./csiRights.ts";
import { nightly } from "./nightly.ts";

const nodes = [
  node("cp1", "127.47.1.11", "controlplane"),
  node("w1", "127.47.1.21", "worker"),
  node("w2", "127.47.1.22", "worker"),
  node("w3", "127.47.1.23", "worker"),
];

let cluster: ClusterFixture;
let csi: CsiDeployment;

beforeAll(async () => {
  cluster = await ClusterFixture.create("https://127.47.1.10:6443");
  await cluster.boot(nodes);
  csi = await CsiDeployment.prepare(cluster);
});
afterAll(async () => cluster.destroy());

const quietly = (work: () => string): string => {
  try {
    return work();
  } catch (error) {
    return String((error as { stderr?: string }).stderr ?? error);
  }
};

/** A Secret in the form that stacks of 0.1.0 have. */
function asStringData({ data, ...args }: kubernetes.types.input.core.v1.Secret) {
  const plain = (texts: Record<string, string>) =>
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text, "base64").toString("utf8")]);
  const stringData = pulumi
    .output(data)
    .apply((texts = {}) => Object.fromEntries(plain(texts)) as typeof texts);
  return { ...args, stringData };
}

/** The nodes that run a DaemonSet's pods. */
function nodesOf(namespace: string, app: string): string[] {
  const path = "--output=jsonpath={range .items[?(@.status.phase=='Running')]}{.spec.nodeName}{'\\n'}{end}";
  return cluster
    .kubectl(["get", "pods", `--namespace=${namespace}`, `--selector=app=${app}`, path])
    .trim()
    .split("\n")
    .sort();
}

describe("both drivers and the snapshot controller on a real Kubernetes", () => {
  it("the first preview shows every object, and up creates them", async () => {
    const { steps } = await csi.preview();
    expect(Object.values(steps).every((op) => op === "create")).toBe(true);
    expect(Object.keys(steps)).toEqual(
      expect.arrayContaining([
        "joviandss-node",
        "joviandss-sc",
        "joviandss-snapshot-class",
        "synology-node",
        "snapshots-controller",
      ]),
    );
    await csi.up();
    expect(csi.objects()).toHaveLength(Object.keys(steps).length);
  });

  it("a second up changes nothing", async () => {
    await csi.settled();
  });

  it.each([
    ["joviandss-csi", "joviandss-csi-node"],
    ["synology-csi", "synology-csi-node"],
  ])("%s: the node plugin runs on every node, including tainted control planes", (namespace, app) => {
    expect(nodesOf(namespace, app)).toEqual(["cp1", "w1", "w2", "w3"]);
    expect(cluster.kubectl(["get", "node", "cp1", "--output=jsonpath={.spec.taints[*].effect}"])).toContain(
      "NoSchedule",
    );
  });

  nightly(
    "a stack whose Secrets have stringData migrates to data: nothing changes, nothing restarts",
    async () => {
      const pods = () =>
        cluster.kubectl(["get", "pods", "--all-namespaces", "--output=name"]).split("\n").sort();
      const before = pods();
      const transform = { secret: asStringData, shims: asStringData };
      csi.wants({
        joviandss: { ...everyOption.joviandss, transform },
        synology: { ...everyOption.synology, transform },
      });
      expect((await csi.preview()).steps).toEqual({});
      await csi.up();
      csi.wants(everyOption);
      expect((await csi.preview()).steps).toEqual({});
      await csi.settled();
      expect(pods()).toEqual(before);
    },
  );

  it("the controller does not run on control planes, and its replicas run on different nodes", () => {
    const on = nodesOf("joviandss-csi", "joviandss-csi-controller");
    expect(new Set(on).size).toBe(2);
    expect(on).not.toContain("cp1");
  });

  it("every object passes strict field validation", () => {
    const documents = csi.objects().map(({ inputs }) => JSON.stringify(inputs));
    const list = `{"apiVersion":"v1","kind":"List","items":[${documents.join(",")}]}`;
    const validate = [
      "apply",
      "--server-side",
      "--force-conflicts",
      "--dry-run=server",
      "--validate=strict",
      "--filename=-",
    ];
    expect(cluster.kubectl(validate, list).trim().split("\n")).toHaveLength(documents.length);
    const wrong = documents[0]?.replace('"metadata":{', '"metadata":{"lables":{},') ?? "";
    expect(quietly(() => cluster.kubectl(validate, wrong))).toContain("lables");
  });
});

describe("secrets", () => {
  it("neither the passwords nor the checksum's key is in the state", () => {
    const state = csi.stateText();
    const uid = cluster.kubectl([
      "get",
      "secret",
      "jdss-controller-cfg",
      "--namespace=joviandss-csi",
      "--output=jsonpath={.metadata.uid}",
    ]);
    expect(uid).toMatch(/^[0-9a-f-]{36}$/);
    for (const secret of ["first-jdss-password", "first-syno-password", uid]) {
      expect(state).not.toContain(secret);
      expect(state).not.toContain(Buffer.from(secret).toString("base64").replace(/=+$/, ""));
    }
    expect(state).toMatch(/"talos-iscsi\/config-checksum": ?"[0-9a-f]{16}"/);
  });

  it("a changed password shows as a checksum change, only of the pods that read it", async () => {
    const { joviandss, synology } = everyOption;
    const endpoint = { ...joviandss.endpoint, password: "second-jdss-password" };
    csi.wants({ joviandss: { ...joviandss, endpoint }, synology });
    const { steps, text } = await csi.preview();
    expect(steps).toEqual({ "joviandss-config": "update", "joviandss-controller": "update" });
    expect(text).toMatch(/talos-iscsi\/config-checksum: "[0-9a-f]{16}" => /);
    expect(text).not.toMatch(/jdss-password/);
    const before = checksum();
    await csi.up();
    expect(checksum()).not.toBe(before);
    await csi.settled();
  });

  const checksum = () =>
    cluster.kubectl([
      "get",
      "deployment",
      "joviandss-csi-controller",
      "--namespace=joviandss-csi",
      "--output=jsonpath={.spec.template.metadata.annotations.talos-iscsi/config-checksum}",
    ]);
});

describe("permissions", () => {
  const joviandss = "joviandss-csi:joviandss-csi-controller-service-account";
  const synology = "synology-csi:synology-csi-controller-service-account";

  it.each<[string, string, Right[], string | undefined]>([
    ["the JovianDSS provisioner", joviandss, provisioner, undefined],
    ["the JovianDSS attacher", joviandss, attacher, undefined],
    ["the JovianDSS snapshotter", joviandss, snapshotter, undefined],
    ["the JovianDSS sidecars' leader election", joviandss, leases, "joviandss-csi"],
    ["the Synology provisioner", synology, provisioner, undefined],
    ["the Synology attacher", synology, attacher, undefined],
    ["the Synology resizer", synology, resizer, undefined],
    ["the Synology snapshotter", synology, snapshotter, undefined],
    ["the snapshot controller", "kube-system:snapshot-controller", snapshotController, undefined],
    ["the snapshot controller's leader election", "kube-system:snapshot-controller", leases, "kube-system"],
  ])("%s has every permission it needs", (_, account, rights, namespace) => {
    expect(refusedRights(cluster, account, rights, namespace)).toEqual([]);
  });

  it.each([joviandss, synology, "kube-system:snapshot-controller"])(
    "%s has no permission that would compromise the cluster",
    (account) => {
      expect(refusedRights(cluster, account, forbiddenRights)).toEqual(flattenRights(forbiddenRights));
    },
  );

  nightly("leases of other namespaces are out of reach", () => {
    expect(refusedRights(cluster, joviandss, leases, "kube-system")).toEqual(flattenRights(leases));
  });

  const everything = [...provisioner, ...attacher, ...resizer, ...snapshotter, ...forbiddenRights];

  it("the JovianDSS node plugin has no permissions at all", () => {
    const account = "joviandss-csi:joviandss-csi-node-service-account";
    expect(refusedRights(cluster, account, everything)).toEqual(flattenRights(everything));
  });

  it("the Synology node plugin may only look up nodes, for NFS", () => {
    const account = "synology-csi:synology-csi-node-service-account";
    const nodes = ["get nodes.", "list nodes."];
    expect(refusedRights(cluster, account, everything)).toEqual(
      flattenRights(everything).filter((right) => !nodes.includes(right)),
    );
  });
});

describe("snapshots", () => {
  const snapshot = (source: object) =>
    quietly(() =>
      cluster.kubectl(
        ["create", "--dry-run=server", "--validate=strict", "--filename=-"],
        JSON.stringify({
          apiVersion: "snapshot.storage.k8s.io/v1",
          kind: "VolumeSnapshot",
          metadata: { name: "first", namespace: "default" },
          spec: { volumeSnapshotClassName: "joviandss-snapshot-sc", source },
        }),
      ),
    );

  it("of a claim are accepted", () => {
    expect(snapshot({ persistentVolumeClaimName: "data" })).toContain("created");
  });

  it("of two sources, of none, or with an unknown field are refused", () => {
    expect(snapshot({ persistentVolumeClaimName: "data", volumeSnapshotContentName: "x" })).toContain(
      "exactly one of",
    );
    expect(snapshot({})).toContain("exactly one of");
    expect(snapshot({ persistentVolumeClaim: "data" })).toContain("persistentVolumeClaim");
  });
});

describe("pod security", () => {
  it("refuses the node plugin's pods in a namespace without the labels", async () => {
    const daemonSet = structuredClone(object("DaemonSet", "joviandss-csi-node"));
    daemonSet.metadata.namespace = "unlabelled";
    const account = {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "joviandss-csi-node-service-account", namespace: "unlabelled" },
    };
    cluster.kubectl(["create", "namespace", "unlabelled"]);
    try {
      for (const entry of [account, daemonSet])
        cluster.kubectl(["create", "--filename=-"], JSON.stringify(entry));
      const failure = await eventually(
        () =>
          cluster.kubectl([
            "get",
            "events",
            "--namespace=unlabelled",
            "--field-selector=reason=FailedCreate",
          ]),
        (events) => events.includes("violates PodSecurity"),
      );
      expect(failure).toContain('violates PodSecurity "baseline:latest"');
      expect(cluster.kubectl(["get", "pods", "--namespace=unlabelled", "--output=name"])).toBe("");
    } finally {
      cluster.kubectl(["delete", "namespace", "unlabelled"]);
    }
  });
});

describe("claims", () => {
  const claim = (accessModes: string[], storageClassName: string, volumeMode?: string) =>
    quietly(() =>
      cluster.kubectl(
        ["create", "--dry-run=server", "--filename=-"],
        JSON.stringify({
          apiVersion: "v1",
          kind: "PersistentVolumeClaim",
          metadata: { name: "data", namespace: "default" },
          spec: { accessModes, storageClassName, volumeMode, resources: { requests: { storage: "1Gi" } } },
        }),
      ),
    );

  it.each([
    [["ReadWriteOnce"], "joviandss-sc"],
    [["ReadWriteOncePod"], "joviandss-sc"],
    [["ReadWriteMany"], "synology-nfs"],
  ])("%j is admitted for %s", async (modes, storageClass) => {
    const answer = await eventually(
      () => claim(modes, storageClass),
      (text) => text.includes("created"),
    );
    expect(answer).toContain("created");
  });

  it.each([
    [
      ["ReadWriteMany"],
      undefined,
      /class joviandss-sc holds data that only one node may write; use accessModes ReadWriteOnce or ReadWriteOncePod/,
    ],
    [["ReadOnlyMany"], undefined, /only one node may write/],
    [["ReadWriteOnce", "ReadWriteMany"], undefined, /only one node may write/],
    [["ReadWriteOnce"], "Block", /class joviandss-sc cannot have volumeMode Block/],
  ])("%j %s is refused for joviandss-sc", async (modes, volumeMode, reason) => {
    // A policy takes effect shortly after it is created.
    expect(
      await eventually(
        () => claim(modes, "joviandss-sc", volumeMode),
        (text) => reason.test(text),
      ),
    ).toMatch(reason);
  });

  it("a Synology LUN may be shared as a raw block volume, but not as a file system", async () => {
    const refused = await eventually(
      () => claim(["ReadWriteMany"], "synology-iscsi-storage"),
      (text) => text.includes("only one node"),
    );
    expect(refused).toContain("only one node may write");
    expect(claim(["ReadWriteMany"], "synology-iscsi-storage", "Block")).toContain("created");
    expect(claim(["ReadOnlyMany"], "synology-iscsi-storage", "Block")).toContain("only one node may write");
  });

  nightly("a claim that gets its class later is checked then; other changes to an old claim pass", () => {
    const isDefault = "storageclass.kubernetes.io/is-default-class";
    cluster.kubectl(["annotate", "storageclass", "synology-iscsi-storage", `${isDefault}-`]);
    const late = (name: string, accessModes: string[]) =>
      cluster.kubectl(
        ["create", "--filename=-"],
        JSON.stringify({
          apiVersion: "v1",
          kind: "PersistentVolumeClaim",
          metadata: { name, namespace: "default" },
          spec: { accessModes, resources: { requests: { storage: "1Gi" } } },
        }),
      );
    const patch = (name: string, change: object) =>
      quietly(() =>
        cluster.kubectl(["patch", "pvc", name, "--dry-run=server", "--patch", JSON.stringify(change)]),
      );
    try {
      late("many", ["ReadWriteMany"]);
      late("one", ["ReadWriteOnce"]);
      const classed = { spec: { storageClassName: "joviandss-sc" } };
      expect(patch("many", classed)).toContain("only one node may write");
      expect(patch("one", classed)).toContain("patched");
      expect(patch("many", { metadata: { finalizers: [] } })).toContain("patched");
    } finally {
      cluster.kubectl(["annotate", "storageclass", "synology-iscsi-storage", `${isDefault}=true`]);
      cluster.kubectl(["delete", "pvc", "many", "one", "--ignore-not-found", "--wait=false"]);
    }
  });
});

describe("PersistentVolumes", () => {
  const volume = (
    driver: string,
    accessModes: string[],
    attributes?: Record<string, string>,
    mode?: string,
  ) =>
    quietly(() =>
      cluster.kubectl(
        ["create", "--dry-run=server", "--filename=-"],
        JSON.stringify({
          apiVersion: "v1",
          kind: "PersistentVolume",
          metadata: { name: "by-hand" },
          spec: {
            accessModes,
            volumeMode: mode,
            capacity: { storage: "1Gi" },
            storageClassName: "somebody-elses",
            csi: { driver, volumeHandle: "vp_1", volumeAttributes: attributes },
          },
        }),
      ),
    );
  const jovian = "iscsi.csi.joviandss.open-e.com";
  const synology = "csi.san.synology.com";

  it.each<[string, string[], Record<string, string> | undefined, string | undefined]>([
    [jovian, ["ReadWriteOnce"], undefined, undefined],
    [synology, ["ReadWriteMany"], { protocol: "nfs" }, undefined],
    [synology, ["ReadWriteMany"], { protocol: "iscsi" }, "Block"],
    ["another.example.com", ["ReadWriteMany"], undefined, undefined],
  ])("%s %j %j %s is admitted", (driver, modes, attributes, mode) => {
    expect(volume(driver, modes, attributes, mode)).toContain("created");
  });

  it.each<[string, string[], Record<string, string> | undefined, string | undefined]>([
    [jovian, ["ReadWriteMany"], undefined, undefined],
    [jovian, ["ReadWriteOnce"], undefined, "Block"],
    [synology, ["ReadWriteMany"], { protocol: "iscsi" }, undefined],
    [synology, ["ReadWriteMany"], undefined, undefined],
  ])("%s %j %j %s is refused, whatever its StorageClass", (driver, modes, attributes, mode) => {
    expect(volume(driver, modes, attributes, mode)).toMatch(/only one node may write|cannot have volumeMode/);
  });
});

describe("a new image", () => {
  nightly("rolls out node by node, with at most one node without the driver at a time", async () => {
    const { joviandss, synology } = everyOption;
    csi.wants({ joviandss: { ...joviandss, image: "docker.io/opene/joviandss-csi:v1.1.1" }, synology });
    let most = 0;
    const rollout = { done: false };
    const watching = (async () => {
      while (!rollout.done) {
        const { status } = cluster.object<{ status: { numberUnavailable?: number } }>([
          "get",
          "daemonset",
          "joviandss-csi-node",
          "--namespace=joviandss-csi",
        ]);
        most = Math.max(most, status.numberUnavailable ?? 0);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    try {
      await csi.up();
    } finally {
      rollout.done = true;
      await watching;
    }
    expect(most).toBe(1);
    const images = cluster.kubectl([
      "get",
      "pods",
      "--namespace=joviandss-csi",
      "--selector=app=joviandss-csi-node",
      "--output=jsonpath={.items[*].spec.containers[0].image}",
    ]);
    expect(images.split(" ")).toEqual(Array(4).fill("docker.io/opene/joviandss-csi:v1.1.1"));
  });
});

describe("destroy", () => {
  nightly("leaves nothing behind but the snapshot CRDs, and up creates everything again", async () => {
    const there = csi.objects();
    const isCrd = ({ inputs }: Deployed) => inputs.kind === "CustomResourceDefinition";
    await csi.destroy();
    const left = there.filter((entry) => exists(entry));
    expect(left.filter((entry) => !isCrd(entry)).map(({ urn }) => urn)).toEqual([]);
    const crds = left.filter(isCrd).map(({ inputs }) => inputs.metadata.name);
    expect(crds).toHaveLength(3);
    cluster.kubectl(["delete", "customresourcedefinitions", ...crds]);
    await csi.up();
    expect(nodesOf("joviandss-csi", "joviandss-csi-node")).toHaveLength(4);
    await csi.destroy();
  });
});

function exists({ inputs: { kind, apiVersion, metadata } }: Deployed): boolean {
  const [version, group] = apiVersion.split("/").reverse();
  const type = group === undefined ? kind : `${kind}.${version}.${group}`;
  const place = metadata.namespace === undefined ? [] : [`--namespace=${metadata.namespace}`];
  return !/not ?found|doesn't have a resource type/i.test(
    quietly(() => cluster.kubectl(["get", type, metadata.name, ...place, "--output=name"])),
  );
}

function object(kind: string, name: string): Deployed["inputs"] {
  const found = csi.objects().find(({ inputs }) => inputs.kind === kind && inputs.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name} was deployed`);
  return found.inputs;
}
