import { describe, expect, it } from "vitest";
import { MembershipResource } from "../../../provider/membership/resource.ts";
import { nodesByName } from "../../../talos/nodesByName.ts";
import { diffConfiguration } from "../../../provider/nodeConfiguration/resource.ts";
import { withoutRepeats } from "../../../provider/quietStatus.ts";
import { ReadinessResource } from "../../../provider/readinessResource.ts";
import { diffRollout, rolloutPlanInput } from "../../../provider/rollout.ts";
import { upgradeDetails } from "../../../provider/upgradeDiff.ts";
import { TalosNodeProvider } from "../../../provider/plugin.ts";
import { unknownValue } from "../../../talos/secrecy/engineValues.ts";
import type { Properties } from "../../../provider/secrets.ts";
import type { Surroundings } from "../../../provider/session.ts";

/** The changes that a preview shows, as the provider reports them to the engine. */

const node = (address: string, role = "worker"): Properties => ({ node: address, role });
const three = { cp1: node("10.0.0.11", "controlplane"), w1: node("10.0.0.21"), w2: node("10.0.0.22") };
const asList = (nodes: Record<string, Properties>): Properties[] =>
  Object.entries(nodes).map(([name, own]) => ({ name, ...own }));

describe("nodes", () => {
  it("are the same by name and as a list of 0.1.0, control planes first", () => {
    const shuffled = {
      w10: node("10.0.0.30"),
      w2: node("10.0.0.22"),
      cp1: node("10.0.0.11", "controlplane"),
    };
    expect(nodesByName(shuffled).map(([name]) => name)).toEqual(["cp1", "w2", "w10"]);
    expect(nodesByName(asList(three)).map(([name]) => name)).toEqual(["cp1", "w1", "w2"]);
    expect(nodesByName(asList(three))).toEqual(nodesByName(three));
  });
});

describe("the members of a cluster", () => {
  const membership = new MembershipResource({} as Surroundings, AbortSignal.abort());
  /** The details that a preview shows for new inputs. */
  const shown = async (before: Properties, after: Properties) =>
    (await membership.diff("urn", {}, after, before)).details;

  it("are shown by name: only added and removed nodes", async () => {
    const { w1: _w1, ...rest } = three;
    const more = { cp1: three.cp1, cp4: node("10.0.0.14", "controlplane"), w1: three.w1, w2: three.w2 };
    expect(await shown({ nodes: three }, { nodes: more })).toEqual({ "nodes.cp4": "add" });
    expect(await shown({ nodes: three }, { nodes: rest })).toEqual({ "nodes.w1": "delete" });
    expect(await shown({ nodes: three, onRemove: "keep" }, { nodes: three, onRemove: "reset" })).toEqual({
      onRemove: "update",
    });
  });

  it("cause no diff by the list form of 0.1.0; a removed node is shown by its index", async () => {
    const old = asList(three);
    expect(await shown({ nodes: old }, { nodes: three })).toBeUndefined();
    const { w1: _w1, ...rest } = three;
    expect(await shown({ nodes: old }, { nodes: rest })).toEqual({ "nodes[1]": "delete" });
    const more = { ...three, cp4: node("10.0.0.14", "controlplane") };
    expect(await shown({ nodes: old }, { nodes: more })).toEqual({ "nodes.cp4": "add" });
  });
});

describe("an image for another platform or SecureBoot", () => {
  const [id, other] = ["c9".repeat(32), "ab".repeat(32)];
  const of = (installer: string, more: Properties = {}): Properties => ({
    ...{ name: "w1", node: "10.0.0.21", role: "worker", talosVersion: "v1.13.9", schematicId: id },
    image: `factory.talos.dev/${installer}/${id}:v1.13.9`,
    ...more,
  });
  const runs: Properties = { runningVersion: "v1.13.9", runningSchematic: id };
  const warnings = async (before: Properties, after: Properties): Promise<string[]> => {
    const heard: string[] = [];
    const statusOf = () => ({ warn: (text: string) => void heard.push(text) });
    const provider = new TalosNodeProvider({ advised: new Set(), statusOf } as unknown as Surroundings);
    const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:NodeUpgrade::w1";
    await provider.diff("10.0.0.21", urn, before, after, before);
    return heard;
  };

  it.each(["vmware-installer", "metal-installer-secureboot"])(
    "causes a warning where the node runs its release and schematic already: %s",
    async (installer) => {
      expect(await warnings({ ...of("metal-installer"), ...runs }, of(installer))).toEqual([
        expect.stringMatching(/^w1 \(10\.0\.0\.21\) runs this release and schematic already, so .*installer/),
      ]);
    },
  );

  it("causes none with another release or schematic, which is installed, or with another registry", async () => {
    const before = { ...of("metal-installer"), ...runs };
    expect(await warnings({ ...before, runningVersion: "v1.13.7" }, of("vmware-installer"))).toEqual([]);
    expect(await warnings(before, of("vmware-installer", { schematicId: other }))).toEqual([]);
    const image = `mirror.example.com/metal-installer/${id}:v1.13.9`;
    expect(await warnings(before, of("metal-installer", { image }))).toEqual([]);
    // Before 1.10 one installer was for all platforms.
    expect(await warnings({ ...of("installer"), ...runs }, of("metal-installer"))).toEqual([]);
  });
});

describe("a rollout", () => {
  const run = (version: string): Record<string, Properties> =>
    Object.fromEntries(Object.entries(three).map(([name, own]) => [name, { ...own, talosVersion: version }]));
  const plan = (from: string, to: string): Properties => ({
    cp1: `${from} with no schematic -> ${to} with schematic c9078f941996…, one reboot`,
    w1: `${from} with no schematic -> ${to} with schematic c9078f941996…, one reboot`,
    w2: `${to} with schematic c9078f941996… already, no reboot`,
  });
  const last = { nodes: run("v1.13.9"), schematicId: "c9", plan: plan("v1.12.7", "v1.13.9") };

  it("shows each due node once, without those of the last rollout", () => {
    const next = { ...last, nodes: run("v1.14.1"), plan: plan("v1.13.9", "v1.14.1") };
    expect(diffRollout(last, next)).toMatchObject({
      changes: true,
      details: { "plan.cp1": "add", "plan.w1": "add" },
    });
    expect(Object.keys(diffRollout(last, next).details ?? {})).toHaveLength(2);
    expect(diffRollout(last, { ...next, plan: unknownValue }).details).toEqual({ plan: "add" });
  });

  it("causes no diff by the list form of 0.1.0, and keeps its plan", async () => {
    const old = {
      ...last,
      nodes: asList(last.nodes),
      plan: Object.entries(last.plan).map(([name, text]) => `${name}: ${text as string}`),
    };
    expect(diffRollout(old, last)).toEqual({ changes: false });
    const nobody = {} as Surroundings; // Contacting a node would be an error here.
    expect(await rolloutPlanInput(nobody, "urn", old, last, AbortSignal.abort(), false)).toEqual(last.plan);
    expect(diffRollout(old, { ...last, timeoutSeconds: 9 }).details).toEqual({ timeoutSeconds: "add" });
  });
});

describe("the upgrade of a node", () => {
  const [own, other] = ["c9".repeat(32), "37".repeat(32)];
  const runs = (version: string, schematicId = own): Properties => ({
    ...{ node: "10.0.0.21", role: "worker", controlPlanes: ["10.0.0.11"], kubeconfig: "one" },
    ...{
      talosVersion: version,
      schematicId,
      image: `factory.talos.dev/metal-installer/${schematicId}:${version}`,
    },
    ...{ kubernetesVersion: "v1.35.4", rollout: { nodes: "w1 10.0.0.21" }, services: ["ext-iscsid"] },
  });
  const before = runs("v1.13.7");

  it.each([
    ["another release", runs("v1.13.9"), { talosVersion: "update" }],
    ["another schematic", runs("v1.13.7", other), { schematicId: "update" }],
    ["both", runs("v1.13.9", other), { image: "update" }],
    [
      "another factory",
      { ...before, image: "factory.example.com/metal-installer/c9:v1.13.7" },
      { image: "update" },
    ],
    ["a service more", { ...before, services: ["ext-iscsid", "ext-x"] }, { services: "update" }],
  ])("to %s is one line", (_, after, details) => {
    expect(upgradeDetails(before, after).details).toEqual(details);
  });

  it("away from a manually installed image shows release and schematic, but no changed image", () => {
    const drifted = { ...before, talosVersion: "v1.13.6", schematicId: other };
    expect(upgradeDetails(drifted, before).details).toEqual({
      talosVersion: "update",
      schematicId: "update",
    });
  });

  it("shows nothing that does not change the node by itself", () => {
    const same = { kubeconfig: { digest: "d" }, rollout: { digest: "r" }, kubernetesVersion: "v1.36.1" };
    const after = { ...runs("v1.13.9"), ...same, controlPlanes: ["10.0.0.12"], approval: { run: "1" } };
    expect(upgradeDetails(before, after).details).toEqual({ talosVersion: "update" });
    expect(upgradeDetails(before, { ...before, ...same })).toEqual({});
    const ofControlPlane = upgradeDetails(
      { ...before, role: "controlplane" },
      { ...after, role: "controlplane" },
    );
    expect(Object.keys(ofControlPlane.details ?? {}).sort()).toEqual(["controlPlanes", "talosVersion"]);
  });
});

describe("a machine configuration", () => {
  const state = (change: Properties = {}): Properties => ({
    node: "10.0.0.21",
    machineConfiguration: "one",
    configuration: "one",
    patches: ["a"],
    ...change,
  });
  const details = (
    oldLines: string[],
    lines: string[],
    change: Properties = { machineConfiguration: "two" },
  ) =>
    diffConfiguration(
      state({ changes: oldLines }),
      state({ ...change, changes: lines }),
      state({ changes: oldLines }),
    ).details;

  it("shows the lines of this change, once, and none of an earlier one", () => {
    const first = "+ machine.sysctls.vm.first: 1";
    expect(details([first], [first, "- machine.sysctls.vm.first: 1"])).toEqual({ "changes[1]": "add" });
    expect(details([], [first, first])).toEqual({ "changes[0]": "add", "changes[1]": "add" });
  });

  it("leaves the image to the node's upgrade unless it is the only change, and falls back to a generic line", () => {
    const image = "~ machine.install.image: x:v1.13.9 -> x:v1.14.1";
    const other = "+ machine.sysctls.vm.first: 1";
    expect(details([], [image])).toEqual({ "changes[0]": "add" });
    expect(details([], [image, other])).toEqual({ "changes[1]": "add" });
    expect(details([], [])).toEqual({ machineConfiguration: "update" });
  });

  it("causes no diff if only the lines differ", () => {
    expect(
      diffConfiguration(state({ changes: ["x"] }), state({ changes: ["x", "y"] }), state({ changes: ["x"] })),
    ).toEqual({ changes: false });
  });
});

describe("RolloutReadiness", () => {
  const readiness = new ReadinessResource({} as Surroundings, AbortSignal.abort());
  const { w2: _w2, ...fewer } = three;

  it.each([
    ["reset", /RESET.*wiped/],
    ["keep", /left as it is/],
  ])("shows a removed node as a delete, with what happens to its machine: %s", async (onRemove, fate) => {
    const [old, news] = [
      { nodes: three, onRemove },
      { nodes: fewer, onRemove },
    ] as Properties[];
    const { leaving } = (await readiness.deriveInputs("urn", old ?? {}, news ?? {})).added;
    expect(leaving).toEqual({ w2: expect.stringMatching(fate) as string });
    const diff = await readiness.diff("urn", old ?? {}, { ...news, leaving }, old ?? {});
    expect(diff).toMatchObject({ changes: true, details: { "members.w2": "delete", "leaving.w2": "add" } });
  });

  it("shows nothing for an added or renamed node", async () => {
    const added = async (before: Properties, news: Properties): Promise<Properties> =>
      (await readiness.deriveInputs("urn", { nodes: before }, { nodes: news })).added;
    expect(await added(fewer, three)).not.toHaveProperty("leaving");
    const renamed = { ...fewer, other: three.w2 };
    expect(await added(three, renamed)).not.toHaveProperty("leaving");
    expect(
      (await readiness.diff("urn", { nodes: three }, { nodes: renamed }, { nodes: three })).changes,
    ).toBe(false);
  });
});

it("a status is not repeated within a resource", () => {
  const shown: string[] = [];
  const sink = (urn: string) => ({
    status: (text: string) => void shown.push(`${urn} ${text}`),
    info: () => undefined,
    warn: () => undefined,
  });
  const statusOf = withoutRepeats(sink);
  for (const text of ["expired", "expired", "expired", "back", "expired"]) statusOf("a").status(text);
  statusOf("b").status("expired");
  expect(shown).toEqual(["a expired", "a back", "a expired", "b expired"]);
});
