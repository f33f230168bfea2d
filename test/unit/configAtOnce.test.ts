import { describe, expect, it } from "vitest";
import { joviandssSchema } from "../../components/csi/joviandssSettings.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";
import { problemsOf } from "./csi/problemsOf.ts";

/** Every mistake of a configuration is reported at once; none hides another. */

const joviandss = {
  image:
    "registry.example.com/joviandss-csi@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  pools: [{ name: "Pool-0" }],
  endpoint: { addresses: ["10.0.1.1"], user: "admin", password: "secret-of-a-test" },
  iscsi: { addresses: ["10.0.1.1"] },
  snapshots: { enabled: true },
};
const synology = { arrays: [{ host: "10.0.1.2", username: "k8s", password: "secret-of-a-test" }] };
const base = { ...usualSettings(), joviandss, synology };

const paths = (values: Record<string, unknown>) =>
  parseOutcome(withValues(base, values)).problems.map(({ path }) => path);

/** Mistakes found at different stages: the shape, rules of a section, rules across sections, versions, patches. */
const mistakes: Record<string, unknown> = {
  "cluster.nodes[1].rolle": "worker",
  "cluster.nodes[3].role": "wroker",
  "cluster.nodes[4].address": "10.0.0.11",
  "upgrade.drain.timeout": "soon",
  "upgrade.gates": [{ apiVersion: "v1", kind: "Pod", timeout: 5 }],
  "joviandss.logLevell": "info",
  "joviandss.pools": [{ name: "Pool-0" }, { name: "Pool-1" }],
  "synology.namespace": "joviandss-csi",
  "synology.arrays[0].hostt": "x",
  "cluster.patches.all": ["machine: { sysctl: { a: b } }"],
};

describe("the settings", () => {
  it.each(Object.keys(mistakes))("report %s together with all other mistakes", (path) => {
    const alone = paths({ [path]: mistakes[path], "joviandss.snapshots": undefined });
    expect(alone.length).toBeGreaterThan(0);
    const all = paths(mistakes);
    for (const one of alone) expect(all).toContain(one);
  });

  it("report what the drivers need of the cluster despite other mistakes", () => {
    for (const [path, value] of Object.entries(mistakes))
      expect(paths({ [path]: value }), path).toContain("joviandss.snapshots.enabled");
    // An invalid section counts as present.
    expect(paths({ snapshotController: { install: "perhaps" } })).not.toContain(
      "joviandss.snapshots.enabled",
    );
    expect(paths({ snapshotController: "yes" })).not.toContain("joviandss.snapshots.enabled");
  });

  it("report nothing about the intended meaning of a wrong value", () => {
    const gate = { apiVersion: "v1", kind: "Pod", jsonPath: 7, value: "x" };
    expect(paths({ "upgrade.gates": [gate], "joviandss.snapshots": undefined })).toEqual([
      "upgrade.gates[0].jsonPath",
    ]);
  });
});

it("a driver's rules across arguments are checked even if one argument has the wrong type", () => {
  const wrong = { ...joviandss, logLevel: 7, pools: [{ name: "Pool-0" }, { name: "Pool-1" }] };
  const found = problemsOf(joviandssSchema, wrong).map(({ path }) => path);
  expect(found).toEqual(["logLevel", "pools[1].driver"]);
});
