import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { consult, realWorld, type DoctorOptions, type World } from "../../doctor/doctor.ts";
import { verdictText } from "../../doctor/render.ts";
import type { Verdict } from "../../doctor/verdict.ts";
import { after, all, before, KubernetesCluster } from "./kubernetesUpgradeHarness.ts";

let own: KubernetesCluster;
beforeAll(async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.71", controlPlanes: 1, workers: 1 });
});
afterAll(async () => own.stop());
beforeEach(() => {
  own.kubernetes.deprecated = [];
  own.kubernetes.get("w1").kubeletVersion = before;
});

function look(options: Partial<DoctorOptions> = {}): Promise<Verdict> {
  const nodes = own.cluster.nodes.map(({ name, address }) => ({ name, address }));
  const addresses = nodes.map(({ address }) => address);
  const world: World = {
    ...realWorld,
    surroundings: { ...realWorld.surroundings, connectKubernetes: async () => own.kubernetes },
    kubernetes: async () => ({
      nodes: async () => nodes,
      verdict: async () => ({ version: before, drivers: [], volumes: {}, attachments: 0 }),
    }),
  };
  const talosconfig = { context: "prod", ...own.cluster.credentials, endpoints: addresses, nodes: addresses };
  return consult(
    { talosconfig, kubeconfig: "in memory", allowSkew: false, ...options },
    world,
    AbortSignal.timeout(60_000),
  );
}

const problems = ({ findings }: Verdict): string[] =>
  findings.flatMap(({ severity, text }) => (severity === "problem" ? [text] : []));

it("tells each component's release, and that an upgrade would begin", async () => {
  const verdict = await look({ toKubernetes: after });
  expect(verdict.components).toEqual({ cp1: all(before, "controlplane"), w1: all(before, "worker") });
  expect(verdict.kubernetesRefused).toEqual([]);
  const text = verdictText(verdict);
  expect(text).toContain(`An upgrade of Kubernetes to ${after} would begin.`);
  expect(text).toContain(`kubelet ${before}: cp1, w1`);
  expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
});

it.each([
  ["more than one minor release", "v1.37.0", undefined, /more than one minor release away/],
  ["a minor release back", "v1.34.1", undefined, /cannot go back/],
  ["a Talos that does not run it", after, "v1.12.7", /Talos v1.12.7 runs Kubernetes v1.30 to v1.35/],
])("%s would be refused", async (_, toKubernetes, to, why) => {
  const verdict = await look({ toKubernetes, ...(to === undefined ? {} : { to }) });
  expect(verdict.kubernetesRefused?.join()).toMatch(why);
  expect(problems(verdict).join()).toMatch(why);
  expect(verdictText(verdict)).toContain(`An upgrade of Kubernetes to ${toKubernetes} would be refused.`);
});

it("names removed APIs that are in use, and components that are apart", async () => {
  own.kubernetes.deprecated = [
    { group: "batch", version: "v1beta1", resource: "cronjobs", removedRelease: "1.36" },
  ];
  own.kubernetes.get("w1").kubeletVersion = "v1.34.2";
  const verdict = await look({ toKubernetes: after });
  expect(verdict.kubernetesRefused?.join()).toContain("cronjobs of batch/v1beta1 (gone in v1.36)");
  expect(verdict.findings.map(({ text }) => text)).toContain(
    `the components of Kubernetes are of several releases: v1.34.2, ${before}`,
  );
});

it("without a kubeconfig tells what it did not judge", async () => {
  const { kubeconfig: _none, ...options } = { kubeconfig: "", toKubernetes: after };
  const nodes = own.cluster.nodes.map(({ address }) => address);
  const talosconfig = { context: "prod", ...own.cluster.credentials, endpoints: nodes, nodes };
  const verdict = await consult(
    { talosconfig, allowSkew: false, ...options },
    realWorld,
    AbortSignal.timeout(60_000),
  );
  expect(verdict.components["cp1"]).toEqual(all(before, "controlplane"));
  expect(verdict.findings.map(({ text }) => text).join()).toContain("removed APIs");
});

it("needs a release", async () => {
  await expect(look({ toKubernetes: "next" })).rejects.toThrow(/--to-kubernetes: .*next/);
});
