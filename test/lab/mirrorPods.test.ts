import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunningStaticPod } from "../../lab/node/machine/runtime.ts";
import { ClusterFixture, eventually, node } from "./clusterFixture.ts";

const cp1 = node("cp1", "127.46.9.11", "controlplane");
const scheduler: RunningStaticPod = {
  name: "kube-scheduler",
  image: "registry.k8s.io/kube-scheduler:v1.35.2",
  command: ["/usr/local/bin/kube-scheduler"],
  configVersion: "2",
  startTime: "2026-01-01T00:00:00Z",
  startedAt: "2026-01-01T00:00:00Z",
  ready: true,
};
let cluster: ClusterFixture;

beforeAll(async () => {
  cluster = await ClusterFixture.create("https://127.46.9.10:6443");
  await cluster.boot([cp1]);
  await cluster.runtime.staticPods(cp1, [scheduler]);
  await cluster.runtime.settled();
});
afterAll(async () => cluster?.destroy());

interface Mirror {
  metadata: { annotations: Record<string, string> };
  status: { conditions: { type: string; status: string }[] };
}

const pod = ["pod", "kube-scheduler-cp1", "--namespace=kube-system"];
const seen = (): string => {
  try {
    const { metadata, status } = cluster.object<Mirror>(["get", ...pod]);
    const ready = status.conditions.find(({ type }) => type === "Ready")?.status ?? "";
    return `version ${metadata.annotations["talos.dev/config-version"] ?? ""}, ready ${ready}`;
  } catch {
    return "none";
  }
};

it.each([
  [
    "marked as not ready, as the controller manager does it",
    () =>
      cluster.kubectl([
        ...["patch", ...pod, "--subresource=status", "--type=strategic"],
        '--patch={"status":{"conditions":[{"type":"Ready","status":"False"}]}}',
      ]),
  ],
  ["deleted", () => cluster.kubectl(["delete", ...pod, "--grace-period=0", "--force"])],
])("the mirror pod of a static pod that was %s is restored, as a kubelet does", async (_, change) => {
  expect(seen()).toBe("version 2, ready True");
  change();
  expect(seen()).not.toBe("version 2, ready True");
  expect(await eventually(seen, (now) => now === "version 2, ready True")).toBe("version 2, ready True");
});
