import { afterEach, beforeEach, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { unwrap } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { componentReleases, KubernetesCluster, urn } from "./kubernetesUpgradeHarness.ts";
import { expectFailure } from "./nodeUpgradeHarness.ts";

const [from, through, to] = ["v1.33.2", ["v1.32.9", "v1.34.3", "v1.35.4"], "v1.36.1"] as const;
let own: KubernetesCluster;

beforeEach(async () => {
  own = await KubernetesCluster.start({
    subnet: "127.49.75",
    controlPlanes: 1,
    workers: 1,
    kubernetesVersion: from,
  });
});
afterEach(async () => own.stop());

const wanted = (change: Properties = {}): Properties =>
  own.inputs({ through: [...through], kubernetesVersion: to, ...change });

/** Images that cp1 pulled for its kubelet, in order. */
const kubelets = (): string[] =>
  [...own.cluster.node("cp1").componentImages].filter((image) => image.includes("kubelet"));

it("a cluster several minor releases behind goes through each of them, and the preview names them", async () => {
  const run = own.provider();
  const state = await own.adopted(run.provider, { kubernetesVersion: from });
  await run.provider.diff("kubernetes", urn, state, wanted(), own.inputs({ kubernetesVersion: from }));
  expect(run.info.join("\n")).toContain(`Kubernetes ${to}, through v1.34.3, v1.35.4:`);
  const { outs } = await run.provider.update("kubernetes", urn, state, wanted());
  expect(own.configured()).toEqual({
    cp1: componentReleases(to, "controlplane"),
    w1: componentReleases(to, "worker"),
  });
  expect(kubelets()).toEqual(
    ["v1.34.3", "v1.35.4", to].map((release) => `ghcr.io/siderolabs/kubelet:${release}`),
  );
  expect(unwrap(outs).values).toMatchObject({ kubernetesVersion: to });
});

it("an upgrade resumes in the minor release where it was stopped, and repeats none", async () => {
  const state = await own.adopted(own.provider().provider, { kubernetesVersion: from });
  const stopped = own.provider();
  own.kubernetes.after = (entry) => {
    // In the second minor release, before the kubelets.
    if (entry === "apply DaemonSet kube-proxy" && own.configured()["cp1"]?.["kube-proxy"] === "v1.35.4")
      void stopped.provider.cancel();
  };
  const { message, properties: left = {} } = await expectFailure(
    stopped.provider.update("kubernetes", urn, state, wanted()),
  );
  own.kubernetes.after = () => undefined;
  expect(message).toContain("cancelled");
  expect(unwrap(left).values).toMatchObject({ kubernetesVersion: from, unfinished: true });
  const before = own.applies();
  const next = own.provider();
  await next.provider.update("kubernetes", urn, left, wanted());
  expect(own.configured()).toEqual({
    cp1: componentReleases(to, "controlplane"),
    w1: componentReleases(to, "worker"),
  });
  // The kubelet of v1.35.4, and then every component of v1.36.1, each once.
  const after = own.applies();
  expect([(after["cp1"] ?? 0) - (before["cp1"] ?? 0), (after["w1"] ?? 0) - (before["w1"] ?? 0)]).toEqual([
    6, 2,
  ]);
});

it("an upgrade does not start if its last release is refused or one in between is not known", async () => {
  const { provider } = own.provider();
  const state = await own.adopted(provider, { kubernetesVersion: from });
  own.kubernetes.deprecated = [{ group: "g", version: "v1", resource: "things", removedRelease: "1.36" }];
  for (const [change, reason] of [
    [{}, /things of g\/v1 \(gone in v1\.36\)/],
    [{ through: ["v1.34.3"], acceptRemovedApis: true }, /more than one minor release away/],
  ] as [Properties, RegExp][]) {
    const news = wanted(change);
    expect((await expectFailure(provider.update("kubernetes", urn, state, news))).message).toMatch(reason);
    expect((await expectFailure(provider.diff("kubernetes", urn, state, news, state))).message).toMatch(
      reason,
    );
  }
  expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
});

it("an upgrade does not go back to an older patch release in between", async () => {
  const state = await own.adopted(own.provider().provider, { kubernetesVersion: from });
  own.cluster.node("w1").faults.set("kubelet-does-not-return");
  const half = own.inputs({ kubernetesVersion: "v1.34.9", timeoutSeconds: 1 });
  const { properties: left = {} } = await expectFailure(
    own.provider(undefined, { recoveryMs: 500 }).provider.update("kubernetes", urn, state, half),
  );
  own.cluster.node("w1").faults.clear();
  await own.provider().provider.update("kubernetes", urn, left, wanted());
  expect(own.configured()).toEqual({
    cp1: componentReleases(to, "controlplane"),
    w1: componentReleases(to, "worker"),
  });
  expect(kubelets()).toEqual(
    ["v1.34.9", "v1.35.4", to].map((release) => `ghcr.io/siderolabs/kubelet:${release}`),
  );
});

/** The registry lacks a release; all pulls, in order. */
function lacking(release: string, pulls: string[]): typeof connectActor {
  return (connection) => {
    const talos = connectActor(connection);
    const pull = talos.pullLegacy.bind(talos);
    talos.pullLegacy = async (image, ...more) => {
      pulls.push(image);
      if (image.includes(release))
        throw new TalosError("notFound", "cp1", "MachineService.ImagePull", `${image}: not found`);
      return pull(image, ...more);
    };
    return talos;
  };
}

it("an upgrade does not start if an image of a later release is missing", async () => {
  const state = await own.adopted(own.provider().provider, { kubernetesVersion: from });
  const pulls: string[] = [];
  const { provider } = own.provider(lacking("v1.35.4", pulls));
  const { message } = await expectFailure(provider.update("kubernetes", urn, state, wanted()));
  expect(message).toMatch(
    /^pull: .*kube-apiserver:v1\.35\.4 on cp1 .*not found \[pull-failed\]\. Nothing was upgraded\./,
  );
  expect(own.applies()).toEqual({ cp1: 0, w1: 0 });

  pulls.length = 0;
  await provider.update("kubernetes", urn, state, wanted({ prePull: false }));
  expect(pulls).toEqual([]);
});
