import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { KubernetesError, type KubernetesClient, type NodeRemover } from "../../../provider/kubernetes.ts";
import { connectKubernetes, connectNodeRemover } from "../../../provider/kubernetesApi.ts";

interface Request {
  method: string;
  url: string;
  type: string;
  body: unknown;
}

let server: Server;
let kubernetes: KubernetesClient;
let gated: NodeRemover;
let asked: Request[] = [];
let answer: { status: number; body: unknown } = { status: 200, body: {} };

beforeAll(async () => {
  server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      asked.push({
        method: request.method ?? "",
        url: decodeURIComponent(request.url ?? ""),
        type: request.headers["content-type"] ?? "",
        body: text === "" ? undefined : JSON.parse(text),
      });
      response.writeHead(answer.status, { "content-type": "application/json", "x-secret": "hunter2" });
      response.end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const kubeconfig = JSON.stringify({
    clusters: [
      { name: "c", cluster: { server: `http://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } },
    ],
    users: [{ name: "u", user: { token: "hunter2" } }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  });
  kubernetes = await connectKubernetes(kubeconfig);
  gated = await connectNodeRemover(kubeconfig);
});
beforeEach(() => {
  asked = [];
});
afterAll(() => {
  server.close();
});

const pod = {
  namespace: "default",
  name: "db-0",
  uid: "u-1",
  owner: "StatefulSet",
  mirror: false,
  finished: false,
  ...{ running: true, ready: true, reason: "", claims: [], registersDriver: false },
};
const reject = async (work: Promise<unknown>): Promise<KubernetesError> =>
  work.then(
    () => expect.fail("it should have failed"),
    (error: unknown) => error as KubernetesError,
  );

describe("objects of any kind", () => {
  it("are requested by namespace, name and label, once the cluster has reported their kind", async () => {
    const items = [{ metadata: { name: "pvc-1" }, status: { robustness: "healthy" } }];
    const resources = [{ name: "volumes", kind: "Volume", namespaced: true }];
    answer = { status: 200, body: { resources, items } };
    const selection = { apiVersion: "longhorn.io/v1beta2", kind: "Volume", namespace: "longhorn-system" };
    expect(await kubernetes.objects({ ...selection, name: "pvc-1", labelSelector: "a=b" })).toEqual(items);
    expect(asked.map(({ url }) => url)).toEqual([
      "/apis/longhorn.io/v1beta2",
      "/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes?fieldSelector=metadata.name=pvc-1&labelSelector=a=b",
    ]);
  });

  it.each([
    ["a kind that its version lacks", 200, { resources: [] }],
    [
      "a version that the cluster lacks",
      404,
      { message: "the server could not find the requested resource" },
    ],
  ])("fail permanently for %s", async (_, status, body) => {
    answer = { status, body };
    const error = await reject(kubernetes.objects({ apiVersion: "ceph.rook.io/v1", kind: "CephCluster" }));
    expect(error.message).toBe("the cluster has no kind CephCluster in ceph.rook.io/v1");
    expect(error.transient).toBe(false);
  });
});

describe("a manifest", () => {
  const policy = {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "own-pods", namespace: "default" },
    spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }], newInAlpha: 1 },
  };
  const served = { name: "networkpolicies", kind: "NetworkPolicy", namespaced: true };
  const resources = [{ ...served, name: "networkpolicies/status" }, served];

  it("is applied as written, though the client's models would drop `from`", async () => {
    answer = { status: 200, body: { resources, ...policy } };
    await kubernetes.tryManifest(policy);
    await gated.applyManifest(policy);
    const path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/own-pods";
    expect(asked.filter(({ method }) => method === "PATCH")).toEqual([
      {
        method: "PATCH",
        url: `${path}?fieldManager=talos&force=true&dryRun=All`,
        type: "application/apply-patch+yaml",
        body: policy,
      },
      {
        method: "PATCH",
        url: `${path}?fieldManager=talos&force=true`,
        type: "application/apply-patch+yaml",
        body: policy,
      },
    ]);
    expect(await kubernetes.liveManifest(policy)).toMatchObject({ spec: policy.spec });
  });

  it("gets the namespace of its kind: `default` if it names none, and none for cluster-wide kinds", async () => {
    const path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/own-pods";
    answer = { status: 200, body: { resources } };
    await gated.applyManifest({ ...policy, metadata: { name: "own-pods" } });
    expect(asked.at(-1)).toMatchObject({ url: `${path}?fieldManager=talos&force=true`, body: policy });
    answer = { status: 200, body: { resources: [{ name: "nodes", kind: "Node", namespaced: false }] } };
    await gated.applyManifest({ apiVersion: "v1", kind: "Node", metadata: { name: "n", namespace: "x" } });
    expect(asked.at(-1)).toMatchObject({
      url: "/api/v1/nodes/n?fieldManager=talos&force=true",
      body: { metadata: { name: "n" } },
    });
  });

  it("of a missing kind or namespace counts as missing, and applying it says why", async () => {
    answer = { status: 404, body: { message: 'namespaces "default" not found' } };
    expect(await kubernetes.liveManifest(policy)).toBeUndefined();
    const error = await reject(kubernetes.tryManifest(policy));
    expect([error.message, error.status]).toEqual(['namespaces "default" not found', 404]);
  });

  it("causes a one-line error if a proxy refuses it without JSON", async () => {
    answer = { status: 200, body: { resources } };
    await kubernetes.liveManifest(policy);
    answer = { status: 403, body: "<html>hunter2" };
    const error = await reject(kubernetes.tryManifest(policy));
    expect([error.message, error.status, error.transient]).toEqual(["HTTP 403", 403, false]);
  });
});

describe("the Kubernetes API", () => {
  it("cordons and uncordons in one write each", async () => {
    answer = { status: 200, body: { metadata: { name: "w1" } } };
    await kubernetes.patchNode("w1", {
      unschedulable: true,
      annotations: { "talos-iscsi/cordoned-by": "x" },
    });
    await kubernetes.patchNode("w1", {
      unschedulable: false,
      annotations: { "talos-iscsi/cordoned-by": null },
    });
    await kubernetes.patchNode("w1", { annotations: { a: "b" } });
    expect(asked).toEqual(
      [
        { metadata: { annotations: { "talos-iscsi/cordoned-by": "x" } }, spec: { unschedulable: true } },
        { metadata: { annotations: { "talos-iscsi/cordoned-by": null } }, spec: { unschedulable: null } },
        { metadata: { annotations: { a: "b" } } },
      ].map((body) => ({
        method: "PATCH",
        url: "/api/v1/nodes/w1",
        type: "application/merge-patch+json",
        body,
      })),
    );
  });

  it("evicts exactly this pod", async () => {
    answer = { status: 201, body: {} };
    expect(await kubernetes.evict(pod)).toEqual({ outcome: "accepted" });
    expect(asked[0]).toMatchObject({
      method: "POST",
      url: "/api/v1/namespaces/default/pods/db-0/eviction",
      body: {
        metadata: { name: "db-0", namespace: "default" },
        deleteOptions: { preconditions: { uid: "u-1" } },
      },
    });
  });

  it.each([
    [404, {}, { outcome: "gone" }],
    [409, { message: "uid changed" }, { outcome: "gone" }],
    [
      429,
      {
        message: "Cannot evict pod as it would violate the pod's disruption budget.",
        details: {
          causes: [{ message: "The disruption budget db needs 1 healthy pods and has 1 currently" }],
        },
      },
      { outcome: "blocked", reason: "The disruption budget db needs 1 healthy pods and has 1 currently" },
    ],
    [
      403,
      { message: "the namespace is being terminated" },
      { outcome: "blocked", reason: "the namespace is being terminated" },
    ],
    // Two budgets: every other pod can still leave.
    [
      500,
      {
        message:
          "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
      },
      {
        outcome: "blocked",
        reason:
          "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
      },
    ],
    // A webhook answers with any code it likes; 400 and 409 are common, 404 must not count as a pod that is gone.
    ...[400, 404, 409, 500].map((code): [number, object, object] => {
      const message = 'admission webhook "guard.example.com" denied the request: db-0 is being backed up';
      return [code, { message }, { outcome: "blocked", reason: message }];
    }),
    // A webhook that is down and may not be skipped.
    [
      500,
      {
        message:
          'Internal error occurred: failed calling webhook "guard.example.com": failed to call webhook: Post "https://guard.default.svc:443/?timeout=10s": connect: connection refused',
        details: {
          causes: [
            {
              message:
                'failed calling webhook "guard.example.com": failed to call webhook: Post "https://guard.default.svc:443/?timeout=10s": connect: connection refused',
            },
          ],
        },
      },
      {
        outcome: "blocked",
        reason:
          'failed calling webhook "guard.example.com": failed to call webhook: Post "https://guard.default.svc:443/?timeout=10s": connect: connection refused',
      },
    ],
    [
      422,
      {
        message: `pods "db-0" is forbidden: ValidatingAdmissionPolicy 'no-evictions' with binding 'all' denied request: not today`,
      },
      {
        outcome: "blocked",
        reason: `pods "db-0" is forbidden: ValidatingAdmissionPolicy 'no-evictions' with binding 'all' denied request: not today`,
      },
    ],
  ])("handles an eviction answered with %i", async (status, body, outcome) => {
    answer = { status, body };
    expect(await kubernetes.evict(pod)).toEqual(outcome);
  });

  it("fails at once without the right to evict", async () => {
    answer = {
      status: 403,
      body: {
        message: 'pods "db-0" is forbidden: User "ci" cannot create resource "pods/eviction" in API group ""',
      },
    };
    await expect(kubernetes.evict(pod)).rejects.toMatchObject({ status: 403, transient: false });
  });

  it("reads a pod's owner kind and the node's readiness", async () => {
    answer = {
      status: 200,
      body: {
        items: [
          {
            metadata: {
              name: "a",
              namespace: "n",
              uid: "1",
              ownerReferences: [
                { kind: "DaemonSet", controller: true, apiVersion: "apps/v1", name: "x", uid: "y" },
              ],
            },
          },
          {
            metadata: {
              name: "b",
              namespace: "n",
              uid: "2",
              annotations: { "kubernetes.io/config.mirror": "x" },
            },
            spec: {
              volumes: [
                { name: "data", persistentVolumeClaim: { claimName: "data-b" } },
                { name: "scratch", ephemeral: {} },
                { name: "tmp", emptyDir: {} },
              ],
            },
            status: { phase: "Running" },
          },
          { metadata: { name: "c", namespace: "n", uid: "3" }, status: { phase: "Succeeded" } },
        ],
      },
    };
    expect((await kubernetes.podsOn("w1").list()).objects).toMatchObject([
      { owner: "DaemonSet" },
      { mirror: true, claims: ["n/data-b", "n/b-scratch"] },
      { finished: true, owner: undefined },
    ]);
    expect(asked[0]?.url).toBe("/api/v1/pods?fieldSelector=spec.nodeName=w1");

    answer = {
      status: 200,
      body: {
        metadata: { name: "w1" },
        spec: { unschedulable: true },
        status: {
          conditions: [{ type: "Ready", status: "False", reason: "KubeletNotReady", message: "no CNI" }],
          nodeInfo: { bootID: "b-1" },
          volumesInUse: ["kubernetes.io/csi/a.driver^vp_1"],
          addresses: [{ type: "InternalIP", address: "10.0.0.21" }],
        },
      },
    };
    expect(await kubernetes.node("w1")).toEqual({
      name: "w1",
      unschedulable: true,
      ready: false,
      reason: "no CNI",
      bootId: "b-1",
      annotations: {},
      addresses: ["10.0.0.21"],
      volumesInUse: ["kubernetes.io/csi/a.driver^vp_1"],
    });
    answer = { status: 404, body: { message: "not found" } };
    expect(await kubernetes.node("w2")).toBeUndefined();
  });

  it("reads attachments and volumes, whatever a driver leaves out", async () => {
    const source = { persistentVolumeName: "pv-1" };
    answer = {
      status: 200,
      body: {
        metadata: { resourceVersion: "7" },
        items: [
          {
            metadata: { name: "csi-1", uid: "u1" },
            spec: { attacher: "a.driver", nodeName: "w1", source },
            status: { attached: true, attachmentMetadata: { iqn: "iqn.x:1" } },
          },
          {
            metadata: { name: "csi-2", uid: "u2" },
            spec: { attacher: "a.driver", nodeName: "w2", source: { inlineVolumeSpec: {} } },
            status: { attached: false, attachError: { message: "the array does not answer" } },
          },
        ],
      },
    };
    const driver = "a.driver";
    expect(await kubernetes.storage.attachments.list()).toEqual({
      version: "7",
      objects: [
        {
          ...{ uid: "u1", name: "csi-1", driver, node: "w1", volume: "pv-1" },
          ...{ attached: true, error: "", metadata: ["iqn.x:1"] },
        },
        {
          ...{ uid: "u2", name: "csi-2", driver, node: "w2", volume: "" },
          ...{ attached: false, error: "the array does not answer", metadata: [] },
        },
      ],
    });
    answer = {
      status: 200,
      body: {
        items: [
          {
            metadata: { name: "pv-1" },
            spec: {
              claimRef: { namespace: "db", name: "data" },
              csi: { driver, volumeHandle: "vp_1", volumeAttributes: { pool: "p" } },
            },
          },
          { metadata: { name: "pv-2" }, spec: { iscsi: { iqn: "iqn.x:2", targetPortal: "10.0.0.5:3260" } } },
        ],
      },
    };
    expect(await kubernetes.storage.volumes()).toEqual([
      { name: "pv-1", claim: "db/data", driver, handle: "vp_1", attributes: ["p"] },
      { name: "pv-2", claim: undefined, driver: "", handle: "", attributes: ["iqn.x:2", "10.0.0.5:3260"] },
    ]);
    expect(asked.map(({ url }) => url)).toEqual([
      "/apis/storage.k8s.io/v1/volumeattachments",
      "/api/v1/persistentvolumes",
    ]);
  });

  it("fails in one line without headers or tokens, and says whether a retry makes sense", async () => {
    answer = { status: 403, body: { message: "nodes is forbidden" } };
    const refused = await reject(kubernetes.nodes());
    expect(refused).toMatchObject({ message: "nodes is forbidden", transient: false });
    answer = { status: 500, body: "etcdserver: request timed out" };
    expect(await reject(kubernetes.nodes())).toMatchObject({ message: "HTTP 500", transient: true });

    const nobody = await connectKubernetes(
      JSON.stringify({
        clusters: [
          { name: "c", cluster: { server: "http://127.44.9.9:6443", "insecure-skip-tls-verify": true } },
        ],
        users: [{ name: "u", user: { token: "hunter2" } }],
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        "current-context": "x",
      }),
    );
    expect(await reject(nobody.version())).toMatchObject({
      message: "connect ECONNREFUSED 127.44.9.9:6443",
      transient: true,
    });
  });

  it("refuses an invalid kubeconfig without quoting it", async () => {
    for (const text of [
      "{ hunter2",
      "hunter2: 1",
      JSON.stringify({ clusters: [], users: [], contexts: [] }),
    ]) {
      const error = await reject(connectKubernetes(text));
      expect(error).toBeInstanceOf(KubernetesError);
      expect(error.message).toMatch(/^the kubeconfig /);
      expect(error.message).not.toContain("hunter2");
    }
  });
});

describe("the Lease of the cluster lock", () => {
  const path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

  it("is created first, replaced at the version that was read, and released without a holder", async () => {
    answer = { status: 404, body: { kind: "Status" } };
    expect(await gated.readLease()).toBeUndefined();
    answer = { status: 201, body: { metadata: { resourceVersion: "7" } } };
    expect(await gated.writeLease("me", undefined)).toBe("7");
    answer = { status: 200, body: { metadata: { resourceVersion: "8" } } };
    expect(await gated.writeLease("me", "7")).toBe("8");
    await gated.writeLease(undefined, "8");
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
      `GET ${path}/talos-iscsi-turn`,
      `POST ${path}`,
      `PUT ${path}/talos-iscsi-turn`,
      `PUT ${path}/talos-iscsi-turn`,
    ]);
    expect(asked[2]?.body).toMatchObject({
      metadata: { name: "talos-iscsi-turn", namespace: "kube-system", resourceVersion: "7" },
      spec: { holderIdentity: "me", leaseDurationSeconds: 60, renewTime: expect.any(String) as string },
    });
    expect((asked[3]?.body as { spec: object }).spec).not.toHaveProperty("holderIdentity");
  });

  it("belongs to the fastest", async () => {
    answer = { status: 409, body: { kind: "Status", message: "the object has been modified" } };
    expect(await gated.writeLease("me", "7")).toBeUndefined();
    answer = { status: 403, body: { kind: "Status", message: "leases is forbidden" } };
    await expect(gated.writeLease("me", "7")).rejects.toMatchObject({ status: 403 });
    answer = { status: 200, body: { metadata: { resourceVersion: "9" }, spec: { holderIdentity: "other" } } };
    expect(await gated.readLease()).toEqual({ holder: "other", version: "9" });
  });
});
