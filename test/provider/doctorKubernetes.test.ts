import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import {
  examineCluster,
  realEnvironment,
  type DoctorOptions,
  type DoctorEnvironment,
} from "../../doctor/doctor.ts";
import { verdictText } from "../../doctor/render.ts";
import type { Verdict } from "../../doctor/verdict.ts";
import { newRelease, componentReleases, oldRelease, KubernetesCluster } from "./kubernetesUpgradeHarness.ts";

let own: KubernetesCluster;
beforeAll(async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.71", controlPlanes: 1, workers: 1 });
});
afterAll(async () => own.stop());
beforeEach(() => {
  own.kubernetes.deprecated = [];
  own.kubernetes.get("w1").kubeletVersion = oldRelease;
});

function look(options: Partial<DoctorOptions> = {}, of = own): Promise<Verdict> {
  const nodes = of.cluster.nodes.map(({ name, address }) => ({ name, address }));
  const addresses = nodes.map(({ address }) => address);
  const world: DoctorEnvironment = {
    ...realEnvironment,
    surroundings: { ...realEnvironment.surroundings, connectKubernetes: async () => of.kubernetes },
    kubernetes: async () => ({
      nodes: async () => nodes,
      verdict: async () => ({ version: oldRelease, drivers: [], volumes: {}, attachments: 0 }),
    }),
  };
  const talosconfig = { context: "prod", ...of.cluster.credentials, endpoints: addresses, nodes: addresses };
  return examineCluster(
    { talosconfig, kubeconfig: "in memory", allowSkew: false, ...options },
    world,
    AbortSignal.timeout(60_000),
  );
}

const problems = ({ findings }: Verdict): string[] =>
  findings.flatMap(({ severity, text }) => (severity === "problem" ? [text] : []));

it("reports each component's release, and that an upgrade would begin", async () => {
  const verdict = await look({ toKubernetes: newRelease });
  expect(verdict.components).toEqual({
    cp1: componentReleases(oldRelease, "controlplane"),
    w1: componentReleases(oldRelease, "worker"),
  });
  expect(verdict.kubernetesRefused).toEqual([]);
  const text = verdictText(verdict);
  expect(text).toContain(`An upgrade of Kubernetes to ${newRelease} would begin.`);
  expect(text).toContain(`kubelet ${oldRelease}: cp1, w1`);
  expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
});

it.each([
  ["more than one minor release", "v1.37.0", undefined, /more than one minor release away/],
  ["a minor release back", "v1.34.1", undefined, /cannot go back/],
  ["a Talos that does not run it", newRelease, "v1.12.7", /Talos v1.12.7 runs Kubernetes v1.30 to v1.35/],
])("refuses %s", async (_, toKubernetes, to, why) => {
  const verdict = await look({ toKubernetes, ...(to === undefined ? {} : { to }) });
  expect(verdict.kubernetesRefused?.join()).toMatch(why);
  expect(problems(verdict).join()).toMatch(why);
  expect(verdictText(verdict)).toContain(`An upgrade of Kubernetes to ${toKubernetes} would be refused.`);
});

it("lists the minor releases in between, and problems that would stop the upgrade", async () => {
  const warned = async (options: Partial<DoctorOptions>): Promise<string> =>
    (await look({ to: "v1.14.1", ...options })).findings
      .flatMap(({ severity, text }) => (severity === "warning" ? [text] : []))
      .filter((text) => text.includes("an upgrade of Kubernetes"))
      .join();
  const way =
    "with upgrade.through: automatic, an upgrade of Kubernetes to v1.37.0 goes through v1.36.6, with 2 restarts of each kubelet";
  expect(await warned({ toKubernetes: "v1.37.0" })).toBe(way);
  own.kubernetes.deprecated = [
    { group: "batch", version: "v1beta1", resource: "cronjobs", removedRelease: "1.36" },
  ];
  expect(await warned({ toKubernetes: "v1.37.0" })).toMatch(
    new RegExp(`^${way}; right now that is refused: something still uses APIs`),
  );
  expect(await warned({ toKubernetes: newRelease })).toBe("");
});

it("reports where Kubernetes is upgraded between Talos hops", async () => {
  const far = await KubernetesCluster.start({
    ...{ subnet: "127.49.79", controlPlanes: 1, workers: 0 },
    ...{ version: "v1.10.9", kubernetesVersion: "v1.29.6" },
  });
  try {
    far.kubernetes.version = async () => "v1.29.6";
    const { findings } = await look({ to: "v1.13.9", toKubernetes: "v1.31.2" }, far);
    expect(findings.map(({ text }) => text)).toContain(
      "with upgrade.through: automatic, an upgrade to v1.13.9 goes through v1.11.6, v1.12.11, with 3 reboots of each node, " +
        "and Kubernetes is upgraded to v1.30.14 before Talos v1.12.11, to v1.31.2 before Talos v1.13.9",
    );
  } finally {
    await far.stop();
  }
});

it("names removed APIs still in use, and components that run different releases", async () => {
  own.kubernetes.deprecated = [
    { group: "batch", version: "v1beta1", resource: "cronjobs", removedRelease: "1.36" },
  ];
  own.kubernetes.get("w1").kubeletVersion = "v1.34.2";
  const verdict = await look({ toKubernetes: newRelease });
  expect(verdict.kubernetesRefused?.join()).toContain("cronjobs of batch/v1beta1 (gone in v1.36)");
  expect(verdict.findings.map(({ text }) => text)).toContain(
    `Kubernetes components run different releases: v1.34.2, ${oldRelease}`,
  );
});

it("says what it could not check without a kubeconfig", async () => {
  const { kubeconfig: _none, ...options } = { kubeconfig: "", toKubernetes: newRelease };
  const nodes = own.cluster.nodes.map(({ address }) => address);
  const talosconfig = { context: "prod", ...own.cluster.credentials, endpoints: nodes, nodes };
  const verdict = await examineCluster(
    { talosconfig, allowSkew: false, ...options },
    realEnvironment,
    AbortSignal.timeout(60_000),
  );
  expect(verdict.components["cp1"]).toEqual(componentReleases(oldRelease, "controlplane"));
  expect(verdict.findings.map(({ text }) => text).join()).toContain("removed APIs");
});

it("refuses a value that is not a release", async () => {
  await expect(look({ toKubernetes: "next" })).rejects.toThrow(/--to-kubernetes: .*next/);
});
