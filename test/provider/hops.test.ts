import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { examineCluster, realEnvironment } from "../../doctor/doctor.ts";
import { realClock, type Clock } from "../../provider/clock.ts";
import type { Properties } from "../../provider/secrets.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { hopInputs } from "./hopsHarness.ts";
import {
  expectFailure,
  createHarness,
  inputsFor,
  urn as nodeUrn,
  type Harness,
} from "./nodeUpgradeHarness.ts";
import { SimulatedCluster, waitingMachine } from "./simulatedCluster.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:RolloutPreflight::preflight";
const names = ["cp1", "w1"];

let cluster: SimulatedCluster;
beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.48.19", version: "v1.9.6", workers: 1 });
});
afterEach(async () => cluster?.stop());

const inputsTo = (talosVersion: string, shared?: Properties, releases?: string[]): Properties =>
  hopInputs(cluster, names, talosVersion, shared, releases);

/** Nodes answer late on a busy machine. */
const patient = (clock?: Clock) => createHarness(undefined, { probeMs: 5_000 }, undefined, clock);

const versions = () => names.map((name) => cluster.node(name).snapshot().version);
const upgrades = () => names.map((name) => cluster.node(name).snapshot().upgrades);

async function checked(own: Harness, news: Properties, olds: Properties = {}): Promise<Properties> {
  const result = await own.provider.check(urn, olds, news);
  expect(result.failures).toEqual([]);
  return result.inputs as Properties;
}

describe("nodes that are several minor releases behind", () => {
  it("take every minor release in between, and all nodes finish one hop before the next begins", async () => {
    const own = patient();
    const directory = mkdtempSync(join(tmpdir(), "hops-"));
    const etcdSnapshot = { cluster: "old", directory, keep: 5, ageRecipients: [] };
    await own.provider.create(urn, inputsTo("v1.12.11", { etcdSnapshot }));
    // Each hop takes its own snapshot before its first control plane.
    const records = readdirSync(directory).filter((name) => name.endsWith(".json"));
    expect(
      records
        .map(
          (name) =>
            (JSON.parse(readFileSync(join(directory, name), "utf8")) as { rollout: string }).rollout.split(
              " ",
            )[0],
        )
        .sort(),
    ).toEqual(["v1.10.9", "v1.11.6"]);
    rmSync(directory, { recursive: true });
    expect(versions()).toEqual(names.map(() => "v1.11.6"));
    expect(upgrades()).toEqual(names.map(() => 2));
    const upgraded = own.info
      .filter((line) => line.includes("upgraded: runs"))
      .map((line) => line.replace(/^(\w+) .*runs (v\S+) .*/, "$1 $2"));
    expect(upgraded).toEqual([
      ...names.map((name) => `${name} v1.10.9`),
      ...names.map((name) => `${name} v1.11.6`),
    ]);
    // Each hop has its own warnings: from 1.10 on, the initiator name changes.
    expect(own.warnings.filter((line) => /initiator/i.test(line))).toHaveLength(1);
    expect(names.every((name) => cluster.node(name).snapshot().dataWipes === 0)).toBe(true);
  });

  it("are shown in the preview with every hop, the reboots and the estimated time", async () => {
    const own = patient();
    const { plan } = await checked(own, inputsTo("v1.13.9"));
    const way =
      "v1.9.6 with no schematic -> v1.10.9 -> v1.11.6 -> v1.12.11 -> v1.13.9 with schematic c9078f941996…, 4 reboots";
    expect(plan).toEqual({
      cp1: expect.stringMatching(
        /^v1\.9\.6 .*, 4 reboots; etcd 3\.5\.21, storage 3\.5\.0 -> 3\.6\.12$/,
      ) as string,
      w1: way,
    });
    expect(own.info.filter((line) => line.startsWith("the rollout goes through"))).toEqual([
      expect.stringMatching(
        /v1\.10\.9, v1\.11\.6, v1\.12\.11 to v1\.13\.9.*: 8 reboots, about 40 minutes, with an assumed 5 minutes/,
      ),
    ]);
    expect(own.warnings.some((line) => /initiator/i.test(line))).toBe(true);
    expect(own.warnings.join("\n")).not.toContain("would be refused");
    expect(upgrades()).toEqual(names.map(() => 0));
  });

  it("resume where they were stopped, and never take a hop twice", async () => {
    for (const stop of [
      "cp1 (127.48.19.11) upgraded: runs v1.10.9",
      "w1 (127.48.19.21) upgraded: runs v1.11.6",
    ]) {
      const own = patient();
      const work = expectFailure(own.provider.create(urn, inputsTo("v1.12.11")));
      while (!own.info.some((line) => line.startsWith(stop)))
        await new Promise((resolve) => setTimeout(resolve, 5));
      await own.provider.cancel();
      await work;
    }
    await patient().provider.create(urn, inputsTo("v1.12.11"));
    expect(versions()).toEqual(names.map(() => "v1.11.6"));
    expect(upgrades()).toEqual(names.map(() => 2));
  });

  it("resume on the last hop if the next image is installed and waits for a reboot", async () => {
    await cluster.stop();
    cluster = await SimulatedCluster.start({ subnet: "127.48.19", version: "v1.12.7", workers: 1 });
    const inputs = inputsTo("v1.14.1");
    await patient().provider.create(urn, inputs);
    const own = patient();
    const w1 = inputsFor(cluster, "w1", { talosVersion: "v1.14.1" });
    const work = expectFailure(own.provider.create(nodeUrn, w1));
    while (cluster.node("w1").snapshot().installs.length < 2)
      await new Promise((resolve) => setTimeout(resolve, 2));
    await own.provider.cancel();
    expect((await work).message).toMatch(/The new image is installed and starts with the next reboot/);

    await patient().provider.create(urn, inputs);
    await patient().provider.create(nodeUrn, w1);
    expect(versions()).toEqual(["v1.13.9", "v1.14.1"]);
    expect(cluster.node("w1").snapshot().installs).toHaveLength(2);
  });

  it("wait when the window closes within a hop, and continue in the next window", async () => {
    const none = { extensions: [], services: [], files: [] };
    const given = inputsTo("v1.11.6");
    const hops = given["hops"] as { ways: Record<string, Properties[]> };
    const inputs = {
      ...given,
      // A node that lacks what the drivers need could not be postponed.
      nodes: Object.fromEntries(
        Object.entries(given["nodes"] as Record<string, Properties>).map(([name, node]) => [
          name,
          { ...node, ...none },
        ]),
      ),
      hops: { ...hops, ways: { default: hops.ways["default"]?.map((hop) => ({ ...hop, ...none })) } },
      rollout: {
        nodes: names.map((name) => ({ name, node: cluster.node(name).address, talosVersion: "v1.11.6" })),
        windows: [{ days: ["mon"], from: "00:00", to: "12:00", timeZone: "UTC" }],
      },
    } as Properties;
    let hasReopened = false;
    const own = patient({
      ...realClock,
      calendar: () =>
        Date.parse(
          own.info.some((line) => line.startsWith("cp1 ")) && !hasReopened
            ? "2026-11-30T13:00Z"
            : "2026-11-30T11:00Z",
        ),
    });
    const { outs } = await own.provider.create(urn, inputs);
    expect(versions()).toEqual(["v1.10.9", "v1.9.6"]);
    expect(outs).toMatchObject({
      due: [],
      postponed: expect.stringMatching(/^hop to v1\.10\.9: w1: no upgrade/) as string,
    });
    expect(outs["hopsTaken"]).toMatchObject([{ name: "cp1", timeline: { to: { version: "v1.10.9" } } }]);

    // A window that opens again doesn't make up for the hops: the node's own upgrade waits for the next deployment too.
    hasReopened = true;
    const own1 = {
      ...inputsFor(cluster, "w1", { talosVersion: "v1.11.6", ...none }),
      rollout: inputs["rollout"],
    };
    const { outs: later } = await own.provider.create(nodeUrn, own1);
    expect(later["postponed"]).toMatch(/^the rollout waits: hop to v1\.10\.9: w1: no upgrade window/);
    expect(versions()).toEqual(["v1.10.9", "v1.9.6"]);

    // The inputs are unchanged, and the preview shows what is left.
    const next = patient({ ...realClock, calendar: () => Date.parse("2026-12-07T11:00Z") });
    const before = { ...inputs, plan: { cp1: "old, 2 reboots", w1: "old, 2 reboots" } };
    const again = await next.provider.check(urn, before, inputs);
    const plan = (again.inputs as Properties)["plan"] as Record<string, string>;
    expect(plan["cp1"]).toMatch(/^v1\.10\.9 .* -> v1\.11\.6 with .*, one reboot/);
    expect(plan["w1"]).toMatch(/^v1\.9\.6 with no schematic -> v1\.10\.9 -> v1\.11\.6 with .*, 2 reboots/);
    const diff = await next.provider.diff("preflight", urn, outs, again.inputs as Properties, before);
    expect(diff).toMatchObject({ changes: true, details: { "plan.cp1": "add", "plan.w1": "add" } });
    const { outs: after } = await next.provider.update("preflight", urn, outs, again.inputs as Properties);
    expect(versions()).toEqual(["v1.10.9", "v1.10.9"]);
    expect(upgrades()).toEqual([1, 1]);
    expect(after).toMatchObject({ due: names });
    expect(after).not.toHaveProperty("postponed");
  });

  it("are taken after a refresh that finds a node several minor releases behind", async () => {
    const state = {
      ...inputsTo("v1.12.11"),
      due: [],
      plan: { cp1: "old, one reboot", w1: "old, one reboot" },
    };
    const own = patient();
    const { inputs, props } = await own.provider.read("preflight", urn, state);
    expect(props["postponed"]).toBe("cp1 (127.48.19.11) runs v1.9.6, w1 (127.48.19.21) runs v1.9.6");
    const again = await checked(own, inputsTo("v1.12.11"), inputs);
    expect((again["plan"] as Properties)["w1"]).toMatch(/^v1\.9\.6 .*, 3 reboots$/);
    expect(await own.provider.diff("preflight", urn, props, again, inputs)).toMatchObject({ changes: true });
    const { outs } = await own.provider.update("preflight", urn, props, again);
    expect(versions()).toEqual(names.map(() => "v1.11.6"));
    expect(outs).not.toHaveProperty("postponed");

    const none = await own.provider.read("preflight", urn, { ...outs, ...inputsTo("v1.12.11") });
    expect(none.props).not.toHaveProperty("postponed");
  });

  it("report which hop did not begin, if it is not the first", async () => {
    const own = patient();
    const work = expectFailure(own.provider.create(urn, inputsTo("v1.12.11")));
    while (!own.info.some((line) => line.startsWith("w1 ") && line.includes("v1.10.9")))
      await new Promise((resolve) => setTimeout(resolve, 5));
    // w1 has pulled this image before the first hop.
    cluster.node("cp1").faults.set("pull-not-found");
    const { message } = await work;
    expect(message).toMatch(/^the hop to v1\.11\.6 .*: 1 of 2 nodes .*\[rollout-refused\]/);
    expect(message).toContain("has finished the hop to v1.10.9: the nodes that were behind run that release");
    expect(versions()).toEqual(names.map(() => "v1.10.9"));
  });

  it("stay within one minor release of each other when one of them fails", async () => {
    cluster.node("w1").faults.set("install-exits-nonzero");
    const { message } = await expectFailure(patient().provider.create(urn, inputsTo("v1.12.11")));
    expect(message).toMatch(/w1 .*step "(install|reboot)"/);
    expect(versions()).toEqual(["v1.10.9", "v1.9.6"]);
  });

  it("are refused before the first hop if Kubernetes does not fit a release in the middle", async () => {
    const kubernetes = new FakeKubernetes();
    kubernetes.gitVersion = "v1.28.4";
    // The Kubernetes release in the settings comes after the rollout and fits only its last Talos release.
    const inputs = inputsTo("v1.12.11", { kubeconfig: "in memory", kubernetesVersion: "v1.35.4" });
    const own = createHarness(kubernetes, { probeMs: 5_000 });
    await checked(own, inputs);
    const steps =
      /Talos v1\.11\.6 runs Kubernetes v1\.29 to v1\.34; v1\.12\.11 cannot run it either \[kubernetes-release\]\. .*1\) set talosVersion to v1\.10\.9 .*2\) set kubernetesVersion to v1\.30.*3\) set talosVersion to v1\.12\.11/;
    expect(own.warnings.filter((line) => line.startsWith("the rollout would be refused"))).toEqual([
      expect.stringMatching(steps) as string,
    ]);
    const { message } = await expectFailure(
      createHarness(kubernetes, { probeMs: 5_000 }).provider.create(urn, inputs),
    );
    expect(message).toMatch(/^the rollout .*: 2 of 2 nodes .*\[rollout-refused\]/);
    expect(message).toMatch(steps);
    // Before the first configuration there is no kubeconfig, and the release in the settings is no reason to refuse.
    const { kubeconfig: _later, ...early } = inputs;
    const readiness = urn.replace("RolloutPreflight", "RolloutReadiness");
    await patient().provider.create(readiness, early);
    expect(upgrades()).toEqual(names.map(() => 0));
  });

  it("are refused if the hops have a gap, and if no hops are set", async () => {
    const gap = inputsTo("v1.12.11", {}, ["v1.10.9"]);
    const { message } = await expectFailure(patient().provider.create(urn, gap));
    expect(message).toMatch(
      /no known release of v1\.11 .*v1\.9\.6 to v1\.12\.11 \[release-unknown\]\. .* upgrade\.releases/,
    );
    const { hops: _hops, ...none } = inputsTo("v1.12.11");
    const refused = await expectFailure(patient().provider.create(urn, none));
    expect(refused.message).toMatch(
      /Go through v1\.10, v1\.11 first .*upgrade\.through: automatic to go through them/,
    );
    expect(upgrades()).toEqual(names.map(() => 0));
  });

  it("are refused before the first hop if its release lacks an extension", async () => {
    const multipath = "siderolabs/multipath-tools";
    const { nodes, hops, ...shared } = inputsTo("v1.12.11");
    const withMultipath = (given: Properties) => ({
      ...given,
      extensions: [...(given["extensions"] as string[]), multipath],
    });
    const { ways, nodes: turns } = hops as { ways: Record<string, Properties[]>; nodes: Properties };
    const inputs = {
      ...shared,
      nodes: Object.fromEntries(
        Object.entries(nodes as Record<string, Properties>).map(([name, one]) => [name, withMultipath(one)]),
      ),
      // v1.11 is the first hop, and the last release without it.
      hops: { ways: { default: ways["default"]?.slice(-1).map(withMultipath) }, nodes: turns },
    } as Properties;
    await patient().provider.create(urn, inputsTo("v1.11.6"));
    const told = /on the hop from v1\.10\.9 to v1\.11\.6: Talos v1\.11\.6 has no extension multipath-tools/;
    const own = patient();
    await checked(own, inputs);
    expect(own.warnings.filter((line) => line.startsWith("the rollout would be refused"))).toEqual([
      expect.stringMatching(told) as string,
    ]);
    expect((await expectFailure(patient().provider.create(urn, inputs))).message).toMatch(told);
    expect(versions()).toEqual(names.map(() => "v1.10.9"));
  });

  it("are refused before the first hop if a node that waits for them cannot take its own step", async () => {
    const { nodes, ...shared } = inputsTo("v1.11.6");
    const { node, role } = inputsFor(cluster, "w1");
    const { image, extensions, services, files } = inputsFor(cluster, "w1", { talosVersion: "v1.7.7" });
    const back = { node, role, talosVersion: "v1.7.7", image, extensions, services, files };
    const inputs = { ...shared, nodes: { ...(nodes as Properties), w1: back } } as Properties;
    const told = /w1 .*on the hop from v1\.9\.6 to v1\.7\.7: .*nodes newer than v1\.8.*\[release-skew\]/;
    const own = patient();
    await checked(own, inputs);
    expect(own.warnings.filter((line) => line.startsWith("the rollout would be refused"))).toEqual([
      expect.stringMatching(told) as string,
    ]);
    expect((await expectFailure(patient().provider.create(urn, inputs))).message).toMatch(told);
    expect(upgrades()).toEqual([0, 0]);
  });

  it("are refused with a new control plane whose etcd could not join the running one", async () => {
    const machine = waitingMachine(cluster, "cp2", "127.48.19.12");
    await machine.start();
    try {
      const withNew = (talosVersion: string): Properties => {
        const { nodes, controlPlanes, ...shared } = inputsTo(talosVersion);
        const all = nodes as Record<string, Properties>;
        const cp2 = { ...all["cp1"], node: machine.address };
        const members = [...(controlPlanes as string[]), machine.address];
        return { ...shared, controlPlanes: members, nodes: { ...all, cp2 } };
      };
      const told =
        /cp2 \(127\.48\.19\.12\), step "guard": it would join etcd before .* runs etcd 3\.7\.1, .*\[etcd-.*Add cp2 in a `pulumi up` of its own/;
      const own = patient();
      await checked(own, withNew("v1.14.1"));
      expect(own.warnings.filter((line) => line.includes("cp2"))).toEqual([expect.stringMatching(told)]);
      const { hops: _hops, ...known } = inputsTo("v1.9.6");
      const readiness = urn.replace(/RolloutPreflight.*/, "RolloutReadiness::readiness");
      const before = JSON.stringify(versions());
      const up = patient().provider.update("readiness", readiness, known, withNew("v1.14.1"));
      expect((await expectFailure(up)).message).toMatch(told);
      // The failed deployment's target is in the state: the next one adds the control plane.
      const retry = patient().provider.update(
        "readiness",
        readiness,
        inputsTo("v1.14.1"),
        withNew("v1.14.1"),
      );
      expect((await expectFailure(retry)).message).toMatch(told);
      expect(JSON.stringify(versions())).toBe(before);
    } finally {
      await machine.stop();
    }
  });

  it("are reported by the doctor, with the hops in between", async () => {
    const addresses = names.map((name) => cluster.node(name).address);
    const talosconfig = {
      context: "old",
      ...cluster.credentials,
      endpoints: addresses.slice(0, 1),
      nodes: addresses,
    };
    const { findings } = await examineCluster(
      { talosconfig, allowSkew: false, to: "v1.12.11" },
      realEnvironment,
      AbortSignal.timeout(60_000),
    );
    const told = findings.filter(({ text }) => text.startsWith("with upgrade.through: automatic"));
    expect(told).toMatchObject([{ severity: "warning", nodes: names }]);
    expect(told[0]?.text).toMatch(/goes through v1\.10\.9, v1\.11\.6, with 3 reboots of each node$/);
  });

  it("are left to their own upgrades if each is one step from the wanted release", async () => {
    const own = patient();
    const { plan } = await checked(own, inputsTo("v1.10.9"));
    expect((plan as Record<string, string>)["cp1"]).toMatch(
      /^v1\.9\.6 .* -> v1\.10\.9 with schematic c9078f941996…, one reboot/,
    );
    await own.provider.create(urn, inputsTo("v1.10.9"));
    expect(upgrades()).toEqual(names.map(() => 0));
  });
});
