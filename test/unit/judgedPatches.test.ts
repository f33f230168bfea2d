import { stringify } from "yaml";
import { describe, expect, it } from "vitest";
import { skeletonConfig } from "../../talos/skeleton.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";

// Settings whose result would be invalid, in any form of patch. test/tools/judgeMachinery.test.ts checks them against the real tools.

function problemsOf(values: Record<string, unknown>, files: Record<string, string> = {}) {
  return parseOutcome(withValues(usualSettings(), values), files).problems;
}

const matching = (pattern: RegExp): string => expect.stringMatching(pattern) as string;
const canary = "hunter-two-of-the-test";
const jovian = {
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: canary },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [
    { name: "Pool-0" },
    { name: "Pool_1", driver: { name: "pool-1.csi.joviandss.open-e.com", image: "r.example.com/jdss-1:v1" } },
  ],
};
const exempting = (namespace: string) => ({
  cluster: {
    apiServer: {
      admissionControl: [{ name: "PodSecurity", configuration: { exemptions: { namespaces: [namespace] } } }],
    },
  },
});

describe("an exemption that already exists", () => {
  it("is detected for a second pool's driver", () => {
    const values = { joviandss: jovian, "cluster.patches.controlplane": [exempting("joviandss-csi-pool-1")] };
    expect(problemsOf(values)).toEqual([
      {
        path: "cluster.patches.controlplane[0]",
        reason: matching(
          /namespace joviandss-csi-pool-1 must not be exempted again \(the settings already exempt it\)/,
        ),
      },
    ]);
  });

  it("is seen in a JSON patch", () => {
    const patch = [
      {
        op: "add",
        path: "/cluster/apiServer/admissionControl/0/configuration/exemptions/namespaces/-",
        value: "joviandss-csi",
      },
    ];
    const values = {
      talosContract: "v1.11",
      joviandss: jovian,
      "cluster.patches.controlplane": [stringify(patch)],
    };
    expect(problemsOf(values)).toEqual([
      {
        path: "cluster.patches.controlplane[0]",
        reason: matching(/^line 1: namespace joviandss-csi must not be exempted again/),
      },
    ]);
  });
});

describe("what would fail when a new cluster is deployed is refused in the preview", () => {
  it("a JSON patch after a document", () => {
    const watchdog = { apiVersion: "v1alpha1", kind: "WatchdogTimerConfig", device: "/dev/watchdog0" };
    const json = '- op: add\n  path: /machine/sysctls\n  value: { a: "1" }\n';
    const told = (patches: unknown[]) =>
      problemsOf({ talosContract: "v1.11", "cluster.nodes[0].patches": patches });
    expect(told([json, watchdog])).toEqual([]);
    expect(told([watchdog, json])).toEqual([
      { path: "cluster.nodes[0].patches[1]", reason: matching(/RFC 6902.*several documents/) },
    ]);
  });

  it("a JSON patch of a path that is not generated", () => {
    const json = '- op: replace\n  path: /machine/sysctls/a\n  value: "1"\n';
    expect(problemsOf({ talosContract: "v1.11", "cluster.patches.worker": [json] })).toEqual([
      { path: "cluster.patches.worker[0]", reason: matching(/\/machine\/sysctls\/a does not exist/) },
    ]);
  });

  it("a JSON patch that replaces a secret, without showing its value", () => {
    const json = `- op: replace\n  path: /machine/token\n  value: ${canary}\n`;
    const problems = problemsOf({ talosContract: "v1.11", "cluster.patches.all": [json] });
    expect(problems).toEqual([
      {
        path: "cluster.patches.all[0]",
        reason: matching(/^line 1: machine\.token is part of the cluster's secrets/),
      },
    ]);
    expect(JSON.stringify(problems)).not.toContain(canary);
  });
});

describe("a hostname", () => {
  it("may come from a HostnameConfig patch alone, since our own patch turns off the automatic one", () => {
    const patch = { apiVersion: "v1alpha1", kind: "HostnameConfig", hostname: "cp1" };
    expect(problemsOf({ "cluster.nodes[0].patches": [patch] })).toEqual([]);
  });

  it("in a document is refused for older contracts, which set it in machine.network", () => {
    const patch = { apiVersion: "v1alpha1", kind: "HostnameConfig", hostname: "cp1" };
    expect(problemsOf({ talosContract: "v1.11", "cluster.nodes[0].patches": [patch] })).toEqual([
      {
        path: "cluster.nodes[0].patches[0]",
        reason: matching(/machine\.network\.hostname cannot be used with the HostnameConfig document/),
      },
    ]);
  });
});

it("every known contract has a skeleton, with placeholders for unknown values", () => {
  const text = skeletonConfig("v1.13", "controlplane", {
    clusterName: "c: 1",
    endpoint: "https://10.0.0.10:6443",
  });
  expect(text).toContain('clusterName: "c: 1"');
  expect(text).toContain("key: <certs.os.key>");
  expect(skeletonConfig("v1.99", "worker")).toBeUndefined();
});
