import { afterAll, beforeAll, expect, it } from "vitest";
import { unwrap, type Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { setImages } from "../../talos/kubernetesImages.ts";
import { planDigest, planLines, planFromInput, type RolloutPlan } from "../../talos/rolloutPlan.ts";
import {
  newRelease,
  componentReleases,
  oldRelease,
  KubernetesCluster,
  urn as upgradeUrn,
} from "./kubernetesUpgradeHarness.ts";
import { expectFailure, inputsFor } from "./nodeUpgradeHarness.ts";

/** An approved plan includes the Kubernetes upgrade. */

const urn = upgradeUrn.replace("KubernetesUpgrade::kubernetes-upgrade", "RolloutReadiness::readiness");
let own: KubernetesCluster;
beforeAll(async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.72", controlPlanes: 1, workers: 1 });
});
afterAll(async () => own.stop());

const has = (name: string): string => own.cluster.node(name).config?.text ?? "";

/** The configuration that the program generates, with the images of the wanted Kubernetes. */
function inputs(shared: Properties = {}, patches: string[] = []): Properties {
  const names = ["cp1", "w1"];
  const made = (name: string): Properties => inputsFor(own.cluster, name, { talosVersion: "v1.13.9" });
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = made("cp1");
  return {
    ...{ controlPlanes, clientConfiguration, drain, timeoutSeconds },
    schematicId,
    kubernetesVersion: newRelease,
    nodes: Object.fromEntries(
      names.map((name) => {
        const { node, role, talosVersion, image } = made(name);
        return [name, { node, role, talosVersion, image, extensions: [], services: [], files: [] }];
      }),
    ),
    configurations: Object.fromEntries(
      names.map((name) => [
        name,
        {
          text: setImages(has(name), { kubelet: `ghcr.io/siderolabs/kubelet:${newRelease}` }),
          patches,
        },
      ]),
    ),
    ...shared,
  };
}

async function planned(news: Properties): Promise<{ plan: RolloutPlan; digest: unknown; refused: string }> {
  const { provider } = own.provider();
  const asked = { ...news, approvedPlan: news["approvedPlan"] ?? { digest: "none" } };
  const result = await provider.check(urn, { nodes: news["nodes"] }, asked);
  const values = unwrap(result.inputs as Properties).values;
  const plan = planFromInput(values["plan"]);
  if (plan === undefined) throw new Error(`there is no plan: ${JSON.stringify(result.failures)}`);
  const refused = (result.failures ?? []).map(({ reason }) => reason).join();
  return { plan, digest: values["planDigest"], refused: refused + JSON.stringify(values["refused"] ?? "") };
}

const kubernetes = ({ nodes }: RolloutPlan) =>
  Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, node.kubernetes]));

it("the plan lists each component and kubelet with both releases, and no image among the configuration changes", async () => {
  const { plan } = await planned(inputs());
  expect(kubernetes(plan)).toEqual({
    cp1: { to: newRelease, from: componentReleases(oldRelease, "controlplane") },
    w1: { to: newRelease, from: componentReleases(oldRelease, "worker") },
  });
  for (const node of Object.values(plan.nodes)) expect(node).not.toHaveProperty("configuration");
  expect(planLines(plan).join("\n")).toMatch(/w1 .*: kubelet v1\.35\.4 -> v1\.36\.1/);
  const pinned = await planned(inputs({}, ["machine:\n  kubelet:\n    image: mirror/kubelet:v1.35.4\n"]));
  expect(pinned.plan.nodes["w1"]).not.toHaveProperty("kubernetes");
});

it("the plan changes when someone upgrades a component in between", async () => {
  const approved = await planned(inputs());
  const cp1 = own.cluster.node("cp1");
  const client = connectActor({ endpoint: cp1.address, credentials: own.cluster.credentials });
  const was = has("cp1");
  const image = `registry.k8s.io/kube-scheduler:${newRelease}`;
  await client.applyConfiguration({ data: setImages(was, { "kube-scheduler": image }), mode: "NO_REBOOT" });
  while ((await client.staticPod("kube-scheduler"))?.image !== image);
  const now = await planned(inputs());
  expect(now.digest).not.toBe(approved.digest);
  expect(now.plan.nodes["cp1"]?.kubernetes?.from).not.toHaveProperty("kube-scheduler");
  await client.applyConfiguration({ data: was, mode: "NO_REBOOT" });
  while ((await client.staticPod("kube-scheduler"))?.image === image);
  client.close();
  expect(planDigest((await planned(inputs())).plan)).toBe(approved.digest);
});

it("an impossible upgrade is refused in the preview, and in a deployment before the first configuration", async () => {
  const last = { ...inputs(), kubernetesVersion: oldRelease };
  const touched = own.applies();
  const judge = async (
    to: string,
    more: Properties = {},
    from: Properties = last,
  ): Promise<{ preview: string; deployment: string }> => {
    const news = { ...inputs(), kubernetesVersion: to, ...more };
    const preview = await own.provider().provider.check(urn, from, { ...news, preview: true });
    expect(preview.failures).toEqual([]);
    expect(preview.inputs).not.toHaveProperty("kubernetes");
    const deployed = await own.provider().provider.check(urn, from, news);
    expect(deployed.inputs).not.toHaveProperty("refused");
    return {
      preview: ((preview.inputs as Properties)["refused"] as string | undefined) ?? "",
      deployment: (deployed.failures ?? []).map(({ reason }) => reason).join(),
    };
  };
  const far = await judge("v1.37.0");
  expect(far.preview).toMatch(/^Kubernetes v1\.37\.0: .*more than one minor release away from v1\.35\.4/);
  expect(far.deployment).toContain(far.preview);
  expect(far.deployment).toContain("Nothing was changed on any node");
  const pinned = await judge(newRelease, {
    kubernetes: { pinned: { w1: ["kubelet"], cp1: ["kube-apiserver"] } },
  });
  expect(pinned.preview).toMatch(/cp1 .*a patch pins kube-apiserver to v1\.35\.4/);
  own.kubernetes.deprecated.push({
    ...{ group: "flowcontrol.apiserver.k8s.io", version: "v1beta3", resource: "flowschemas" },
    removedRelease: "1.36",
  });
  const objects = { removedObjects: ["Widget of example.org/v1"] };
  const both = await judge(newRelease, { kubernetes: objects });
  expect(both.preview).toMatch(/Widget of example\.org\/v1.*flowschemas of flowcontrol/);
  const accepted = { ...objects, acceptRemovedApis: true };
  expect(await judge(newRelease, { kubernetes: accepted })).toEqual({ preview: "", deployment: "" });
  own.kubernetes.deprecated.length = 0;
  // A valid upgrade, no change, and an adopted cluster.
  for (const [to, from] of [
    [newRelease, last],
    ["v1.37.0", { ...last, kubernetesVersion: "v1.37.0" }],
    ["v1.37.0", {}],
  ] as const)
    expect(await judge(to, {}, from)).toEqual({ preview: "", deployment: "" });
  expect(own.applies()).toEqual(touched);
});

it("an upgrade does what was approved, and nothing else", async () => {
  const state = await own.adopted(own.provider().provider);
  const approval = { digest: "d", run: "", upgrade: [], leaving: [] };
  const refusing = [
    { ...approval, configuration: ["cp1", "w1"], kubernetes: [] },
    { ...approval, digest: "none", configuration: [], kubernetes: [] },
    { ...approval, run: "another", configuration: [], kubernetes: ["cp1", "w1"] },
  ];
  for (const given of refusing) {
    const { provider } = own.provider();
    await expectFailure(provider.update("kubernetes", upgradeUrn, state, own.inputs({ approval: given })));
    expect(own.configured()).toEqual({
      cp1: componentReleases(oldRelease, "controlplane"),
      w1: componentReleases(oldRelease, "worker"),
    });
  }
  const given = { ...approval, configuration: [], kubernetes: ["cp1", "w1"] };
  await own.provider().provider.update("kubernetes", upgradeUrn, state, own.inputs({ approval: given }));
  expect(own.configured()).toEqual({
    cp1: componentReleases(newRelease, "controlplane"),
    w1: componentReleases(newRelease, "worker"),
  });
});
