import { describe, expect, it } from "vitest";
import { KNOWN_CONTRACTS, releasesBefore, versionSkew } from "../../talos/releases.ts";
import { remainingHops } from "../../provider/hops/path.ts";
import { nodeUpgradeInputs } from "../../provider/inputs.ts";
import { kubernetesSteps, releasesNotRunning } from "../../talos/kubernetesSteps.ts";
import { findBadRelease } from "../../talos/extensions.ts";
import { runProgram } from "./components/program.ts";
import { onlyResource } from "./components/recorder.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";

describe("the Talos releases before a target", () => {
  it("are the newest patch of every earlier minor, each reachable from the previous one", () => {
    const way = [...releasesBefore("v1.14.1"), "v1.14.1"];
    expect(way).toHaveLength(KNOWN_CONTRACTS.length);
    for (const [index, release] of way.slice(1).entries())
      expect(versionSkew(way[index] ?? "", release)).toMatchObject({
        allowed: true,
        adjacent: true,
        direction: "upgrade",
      });
    for (const release of way) expect(findBadRelease(release, ["siderolabs/iscsi-tools"])).toBeUndefined();
  });

  it("can be overridden by the settings", () => {
    const way = releasesBefore("v1.13.9", ["v1.11.2", "v1.9.1"]);
    expect(way.slice(-4)).toEqual(["v1.9.1", "v1.10.9", "v1.11.2", "v1.12.11"]);
  });
});

describe("a node's hops", () => {
  const left = (version: string, role: "controlplane" | "worker", to = "v1.12.11", given: string[] = []) => {
    const hops = releasesBefore(to, given).map((talosVersion) => ({
      ...{ talosVersion, image: "", extensions: [], services: [], files: [] },
    }));
    const node = { ...nodeUpgradeInputs({}), name: "n", role, talosVersion: to, hops };
    return remainingHops({ version }, node).map(({ talosVersion }) => talosVersion);
  };

  it("go through the last v1.10 if etcd 3.6 would follow an early 3.5, on control planes only", () => {
    expect(left("v1.10.5", "controlplane")).toEqual(["v1.10.9", "v1.11.6"]);
    expect(left("v1.10.5", "controlplane", "v1.11.6")).toEqual(["v1.10.9"]);
    expect(left("v1.10.5", "worker")).toEqual(["v1.11.6"]);
    expect(left("v1.10.9", "controlplane")).toEqual(["v1.11.6"]);
    expect(left("v1.10.5", "controlplane", "v1.10.9")).toEqual([]);
    expect(left("v1.9.2", "controlplane")).toEqual(["v1.10.9", "v1.11.6"]);
  });

  it("are none for a downgrade, between neighboring minors, and for a custom build", () => {
    expect(left("v1.14.1", "worker", "v1.11.6")).toEqual([]);
    expect(left("v1.11.0", "worker")).toEqual([]);
    expect(left("7f3a2c1-dirty", "worker")).toEqual([]);
  });
});

describe("Kubernetes steps between Talos releases", () => {
  const way = ["v1.9.6", "v1.10.9", "v1.11.6", "v1.12.11", "v1.13.9"] as const;

  it("come first if one Kubernetes release runs on all of them, and otherwise go as far as possible", () => {
    expect(kubernetesSteps("v1.28.4", ["v1.9.6", "v1.10.9", "v1.11.6"])).toEqual([
      { talosVersion: "v1.10.9" },
      { kubernetesMinor: "v1.29" },
      { talosVersion: "v1.11.6" },
    ]);
    expect(kubernetesSteps("v1.27.1", way)).toEqual([
      { kubernetesMinor: "v1.31" },
      { talosVersion: "v1.13.9" },
    ]);
    expect(kubernetesSteps("v1.26.1", ["v1.8.4", ...way, "v1.14.1"])).toEqual([
      { kubernetesMinor: "v1.31" },
      { talosVersion: "v1.13.9" },
      { kubernetesMinor: "v1.32" },
      { talosVersion: "v1.14.1" },
    ]);
  });

  it("are listed only where needed, for every release", () => {
    for (let minor = 24; minor <= 37; minor++) {
      const kubernetes = `v1.${minor}.0`;
      const bad = releasesNotRunning(kubernetes, way);
      if (bad.length === 0) expect([31, 32]).toContain(minor);
      // No steps for a Kubernetes that is too new for what runs, because it is never downgraded.
      else expect((kubernetesSteps(kubernetes, way) ?? []).length > 1).toBe(minor < 31);
    }
  });
});

describe("upgrade.through", () => {
  const automatic = (more: Record<string, unknown> = {}) =>
    withValues(usualSettings(), { "upgrade.through": "automatic", ...more });

  it("gives the preflight every node's hops, with the image and requirements of each release", async () => {
    const { resources } = await runProgram(automatic({ "upgrade.releases": ["v1.11.2"] }));
    const given = onlyResource(resources, "talos-node:index:RolloutPreflight").inputs["hops"] as {
      ways: Record<string, { talosVersion: string; image: string; services: string[] }[]>;
      nodes: Record<string, { way: string; after: string[] }>;
    };
    expect(given.nodes["w1"]?.after).toEqual(["cp3"]);
    expect(given.nodes["cp1"]?.after).toEqual([]);
    // Five nodes share the same hops: the state has them once, and RolloutReadiness has the same.
    expect(Object.keys(given.ways)).toEqual([given.nodes["cp1"]?.way]);
    expect(onlyResource(resources, "talos-node:index:RolloutReadiness").inputs["hops"]).toEqual(given);
    const hops = Object.values(given.ways)[0] ?? [];
    expect(hops.map(({ talosVersion }) => talosVersion).slice(-4)).toEqual([
      ...["v1.9.6", "v1.10.9", "v1.11.2", "v1.12.11"],
    ]);
    expect(hops.find(({ talosVersion }) => talosVersion === "v1.9.6")).toMatchObject({
      image: expect.stringMatching(/^factory\.talos\.dev\/installer\/[0-9a-f]{64}:v1\.9\.6$/) as string,
      services: ["ext-iscsid", "ext-tgtd"],
    });
    expect(hops.at(-1)?.image).toMatch(/metal-installer\/[0-9a-f]{64}:v1\.12\.11$/);
  });

  it("adds nothing to a stack that does not use it", async () => {
    const { resources } = await runProgram(usualSettings());
    for (const type of ["RolloutPreflight", "RolloutReadiness"])
      expect(onlyResource(resources, `talos-node:index:${type}`).inputs).not.toHaveProperty("hops");
  });

  it("gives the Kubernetes upgrade the minor releases in between, and refuses two of one minor", async () => {
    const kubernetesVersion = "v1.35.4";
    const between = { kubernetesVersion, "upgrade.kubernetes.releases": ["v1.34.1"] };
    const { resources } = await runProgram(automatic(between));
    const { through } = onlyResource(resources, "talos-node:index:KubernetesUpgrade").inputs;
    expect((through as string[]).slice(-2)).toEqual(["v1.33.13", "v1.34.1"]);
    const { kubernetes } = onlyResource(resources, "talos-node:index:RolloutPreflight").inputs["hops"] as {
      kubernetes: { releases: string[] };
    };
    expect(kubernetes.releases.slice(-2)).toEqual(["v1.34.1", kubernetesVersion]);
    const plain = await runProgram(withValues(usualSettings(), { kubernetesVersion }));
    expect(onlyResource(plain.resources, "talos-node:index:KubernetesUpgrade").inputs).not.toHaveProperty(
      "through",
    );
    expect(
      parseOutcome(automatic({ "upgrade.kubernetes.releases": ["v1.34.1", "v1.33.1", "v1.34.2"] })).problems,
    ).toEqual([
      {
        path: "upgrade.kubernetes.releases[2]",
        reason:
          "is v1.34.2, of the same minor release as upgrade.kubernetes.releases[0]; list one per minor release",
      },
    ]);
  });

  it.each([
    [["v1.11.2", "v1.11.6"], "upgrade.releases[1]", /same minor release as upgrade\.releases\[0\]/],
    [["v1.12.5"], "upgrade.releases[0]", /v1\.12\.5/],
    [["1.12"], "upgrade.releases[0]", /v1\.13\.9/],
  ])("refuses releases %j", (releases, path, reason) => {
    expect(parseOutcome(automatic({ "upgrade.releases": releases })).problems).toEqual([
      { path, reason: expect.stringMatching(reason) as string },
    ]);
  });

  it.each<[string, Record<string, unknown>, RegExp[]]>([
    [
      "of the minor of talosVersion, or newer",
      { "upgrade.releases": ["v1.11.6", "v1.13.1", "v1.14.0"] },
      [/v1\.13\.1 is not older than v1\.13/, /v1\.14\.0 is not older than v1\.13/],
    ],
    [
      "without through: automatic",
      { "upgrade.releases": ["v1.11.6"], "upgrade.through": "refuse" },
      [/no effect without upgrade\.through/],
    ],
    ["in any order, with holes", { "upgrade.releases": ["v1.12.11", "v1.9.6"] }, []],
  ])("warns of releases %s", (_, change, reasons) => {
    const { settings } = parseOutcome(automatic(change));
    const warnings = settings?.warnings.filter(({ path }) => path.startsWith("upgrade.releases"));
    expect(warnings?.map(({ reason }) => reason)).toEqual(
      reasons.map((reason) => expect.stringMatching(reason) as string),
    );
  });
});
