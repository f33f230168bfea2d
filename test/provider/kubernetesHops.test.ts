import { afterEach, beforeEach, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { kubernetesProblem } from "../../talos/releases.ts";
import { componentReleases, KubernetesCluster } from "./kubernetesUpgradeHarness.ts";
import { expectFailure, inputsFor } from "./nodeUpgradeHarness.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
const names = ["cp1", "w1"];
const releases = ["v1.29.6", "v1.30.14", "v1.31.2"];
let own: KubernetesCluster;
/** Every change in order, and every unsupported pair of releases. */
let done: string[];
let misfits: string[];

beforeEach(async () => {
  own = await KubernetesCluster.start({
    subnet: "127.49.76",
    controlPlanes: 1,
    workers: 1,
    version: "v1.10.9",
    kubernetesVersion: "v1.29.6",
  });
  [done, misfits] = [[], []];
  own.kubernetes.version = async () => own.configured()["cp1"]?.["kube-apiserver"] ?? "";
});
afterEach(async () => own.stop());

/** What `upgrade.through: automatic` gives the preflight. */
function inputsTo(talosVersion: string, more: Properties = {}): Properties {
  const of = (name: string, version: string) => {
    const { image, extensions, services, files } = inputsFor(own.cluster, name, { talosVersion: version });
    return { talosVersion: version, image, extensions, services, files };
  };
  const nodes = names.map((name) => {
    const { node, role } = inputsFor(own.cluster, name);
    return [name, { node, role, ...of(name, talosVersion) }] as const;
  });
  const { schematicId, controlPlanes, clientConfiguration, drain } = inputsFor(own.cluster, "cp1");
  return {
    nodes: Object.fromEntries(nodes),
    hops: {
      ways: { default: ["v1.10.9", "v1.11.6", "v1.12.11"].map((release) => of("cp1", release)) },
      nodes: { cp1: { way: "default", after: [] }, w1: { way: "default", after: ["cp1"] } },
      kubernetes: { releases: [...releases] },
      ...more,
    },
    ...{ schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds: 30 },
    kubeconfig: "kubeconfig",
  };
}

/** Records what each request to a node changed. */
const watched: typeof connectActor = (connection) => {
  const talos = connectActor(connection);
  const apply = talos.applyConfiguration.bind(talos);
  talos.applyConfiguration = async (request, call) => {
    const before = JSON.stringify(own.configured());
    const answer = await apply(request, call);
    if (request.dryRun !== true && JSON.stringify(own.configured()) !== before) look("kubernetes");
    return answer;
  };
  return talos;
};

function look(what: string): void {
  const runs = own.configured()["cp1"];
  done.push(`${what} ${runs?.["kube-apiserver"] ?? ""} on ${own.cluster.node("cp1").version}`);
  for (const { name, version, role } of own.cluster.nodes.map((node) => ({
    ...{ name: node.name, version: node.version, role: node.identity().role },
  })))
    for (const release of Object.values(own.configured()[name] ?? {})) {
      const problem = kubernetesProblem(version, release);
      if (problem !== undefined) misfits.push(`${name} ${role}: ${problem}`);
    }
}

const run = () => own.provider(watched);
const versions = () => names.map((name) => own.cluster.node(name).version);
const upgrades = () => names.map((name) => own.cluster.node(name).snapshot().upgrades);

it("takes Kubernetes to the next minor right before the Talos release that needs it, as the preview shows", async () => {
  const inputs = inputsTo("v1.13.9");
  const preview = run();
  const checked = await preview.provider.check(urn, {}, inputs);
  expect(checked.failures).toEqual([]);
  const { plan } = checked.inputs as { plan: Record<string, string> };
  expect(plan["Kubernetes on the way"]).toBe(
    "v1.29.6 -> v1.30.14 before Talos v1.12.11 -> v1.31.2 before Talos v1.13.9, a complete upgrade each",
  );
  expect(preview.warnings.filter((line) => line.includes("refused"))).toEqual([]);
  expect(own.applies()).toEqual({ cp1: 0, w1: 0 });

  const { info, provider } = run();
  await provider.create(urn, inputs);
  expect(info.filter((line) => /^(hop to|Kubernetes v)/.test(line))).toEqual([
    "hop to v1.11.6: cp1, w1",
    "Kubernetes v1.29.6 -> v1.30.14: Talos v1.12.11 needs it",
    "hop to v1.12.11: cp1, w1",
    "Kubernetes v1.30.14 -> v1.31.2: Talos v1.13.9 needs it",
  ]);
  expect(misfits).toEqual([]);
  expect([versions(), upgrades()]).toEqual([names.map(() => "v1.12.11"), [2, 2]]);
  expect(own.configured()).toEqual({
    cp1: componentReleases("v1.31.2", "controlplane"),
    w1: componentReleases("v1.31.2", "worker"),
  });
});

it("resumes after a kill at any step: nothing is done twice, and every pair of releases is supported", async () => {
  const inputs = inputsTo("v1.13.9");
  let runs = 0;
  for (let isOver = false; !isOver; runs++) {
    expect(runs).toBeLessThan(40);
    const { provider, info } = run();
    const before = done.length;
    const work = provider.create(urn, inputs).then(
      () => true,
      () => false,
    );
    // Each run is stopped at its first change.
    const watch = setInterval(() => {
      if (done.length > before || info.some((line) => line.includes("upgraded: runs")))
        void provider.cancel();
    }, 2);
    isOver = await work;
    clearInterval(watch);
  }
  expect(runs).toBeGreaterThan(8);
  expect(misfits).toEqual([]);
  expect([versions(), upgrades()]).toEqual([names.map(() => "v1.12.11"), [2, 2]]);
  // Five components of cp1 and the kubelet of w1 in each of two minor releases.
  expect(own.applies()).toEqual({ cp1: 10, w1: 2 });
  expect(own.configured()).toEqual({
    cp1: componentReleases("v1.31.2", "controlplane"),
    w1: componentReleases("v1.31.2", "worker"),
  });
});

it("goes on while a node already runs a Talos release that needs the last Kubernetes release", async () => {
  const { nodes, hops, kubeconfig: _kubeconfig, ...shared } = inputsTo("v1.13.9");
  const { w1 } = nodes as Properties;
  const { kubernetes: _kubernetes, ...ways } = hops as Properties;
  await run().provider.create(urn, { ...shared, nodes: { w1 }, hops: ways });
  const upgradeUrn = urn.replace("RolloutPreflight", "NodeUpgrade");
  await run().provider.create(upgradeUrn, inputsFor(own.cluster, "w1", { talosVersion: "v1.13.9" }));

  await run().provider.create(urn, inputsTo("v1.13.9"));
  expect(versions()).toEqual(["v1.12.11", "v1.13.9"]);
  expect(own.configured()).toEqual({
    cp1: componentReleases("v1.31.2", "controlplane"),
    w1: componentReleases("v1.31.2", "worker"),
  });
});

it("is refused before the first hop if Kubernetes cannot be upgraded, or a release is not known", async () => {
  const gap = inputsTo("v1.13.9", { kubernetes: { releases: ["v1.31.2"] } });
  const refused = await expectFailure(run().provider.create(urn, gap));
  expect(refused.message).toMatch(
    /no release of Kubernetes v1\.30 is known, which is needed before Talos v1\.12\.11/,
  );
  expect(upgrades()).toEqual([0, 0]);

  // So is a removed API, which a later Kubernetes upgrade would stop at.
  own.kubernetes.deprecated = [{ group: "g", version: "v1", resource: "things", removedRelease: "1.30" }];
  const preview = run();
  await preview.provider.check(urn, {}, inputsTo("v1.13.9"));
  expect(preview.warnings.join("\n")).toMatch(
    /would be refused right now: .*things of g\/v1 \(gone in v1\.30\)/,
  );
  const { message } = await expectFailure(run().provider.create(urn, inputsTo("v1.13.9")));
  expect(message).toContain("things of g/v1 (gone in v1.30)");
  expect(upgrades()).toEqual([0, 0]);
  expect(own.applies()).toEqual({ cp1: 0, w1: 0 });
});

it("is refused before the first hop if an image of its upgrades is missing", async () => {
  const { provider } = own.provider((connection) => {
    const talos = connectActor(connection);
    const pull = talos.pullLegacy.bind(talos);
    talos.pullLegacy = async (image, ...more) => {
      if (!image.endsWith("kube-scheduler:v1.31.2")) return pull(image, ...more);
      throw new TalosError("notFound", "cp1", "MachineService.ImagePull", `${image}: not found`);
    };
    return talos;
  });
  const { message } = await expectFailure(provider.create(urn, inputsTo("v1.13.9")));
  expect(message).toMatch(
    /^pull: .*kube-scheduler:v1\.31\.2 on cp1 .*\[pull-failed\]\. Nothing was upgraded\./,
  );
  expect([own.applies(), upgrades()]).toEqual([{ cp1: 0, w1: 0 }, [0, 0]]);
});

it("is read again for the next preview if only Kubernetes was postponed", async () => {
  const rollout = { windows: [{ days: ["mon"], from: "00:00", to: "00:01", timeZone: "UTC" }] };
  const inputs = { ...inputsTo("v1.11.6"), rollout };
  const plan = { cp1: "earlier, one reboot", w1: "earlier, one reboot", "Kubernetes on the way": "earlier" };
  const checked = await run().provider.check(urn, { ...inputs, plan }, inputs);
  const { plan: lines } = checked.inputs as { plan: Record<string, string> };
  expect(Object.values(lines).join("\n")).not.toContain("earlier");
});
