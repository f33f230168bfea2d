import { stringify } from "yaml";
import { describe, expect, it } from "vitest";
import { skeletonConfig } from "../../talos/skeleton.ts";
import { withValues, parseOutcome, usualSettings } from "./settings/example.ts";

// Settings whose result is wrong, whatever form the patch has; what the real ones say of each is in test/tools/judgeMachinery.test.ts.

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

describe("a namespace that is exempted twice", () => {
  it("is that of a second pool's driver too", () => {
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

describe("what would fail in the deployment of a new cluster is refused in its preview", () => {
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

  it("a JSON patch of what is not generated", () => {
    const json = '- op: replace\n  path: /machine/sysctls/a\n  value: "1"\n';
    expect(problemsOf({ talosContract: "v1.11", "cluster.patches.worker": [json] })).toEqual([
      { path: "cluster.patches.worker[0]", reason: matching(/\/machine\/sysctls\/a does not exist/) },
    ]);
  });

  it("a secret that a JSON patch replaces, without its value", () => {
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

describe("a host name", () => {
  it("is taken from a HostnameConfig patch with the name alone: our own patch switches the automatic one off", () => {
    const patch = { apiVersion: "v1alpha1", kind: "HostnameConfig", hostname: "cp1" };
    expect(problemsOf({ "cluster.nodes[0].patches": [patch] })).toEqual([]);
  });

  it("is refused beside stableHostname of older contracts", () => {
    const patch = { apiVersion: "v1alpha1", kind: "HostnameConfig", hostname: "cp1" };
    expect(problemsOf({ talosContract: "v1.11", "cluster.nodes[0].patches": [patch] })).toEqual([
      {
        path: "cluster.nodes[0].patches[0]",
        reason: matching(/machine\.network\.hostname cannot be used with the HostnameConfig document/),
      },
    ]);
  });
});

it("every contract that is known has a skeleton, and marks for what is not known yet", () => {
  const text = skeletonConfig("v1.13", "controlplane", {
    clusterName: "c: 1",
    endpoint: "https://10.0.0.10:6443",
  });
  expect(text).toContain('clusterName: "c: 1"');
  expect(text).toContain("key: <certs.os.key>");
  expect(skeletonConfig("v1.99", "worker")).toBeUndefined();
});
