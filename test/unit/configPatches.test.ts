import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { canary, withValues, leaksSecret, parseOutcome, usualSettings } from "./settings/example.ts";

function nodesOf(settings: ReturnType<typeof usualSettings>): unknown[] {
  return (settings["cluster"] as { nodes: unknown[] }).nodes;
}

function problemsOf(values: Record<string, unknown>) {
  return parseOutcome(withValues(usualSettings(), values)).problems;
}

const exempting = (namespace: string) => ({
  cluster: {
    apiServer: {
      admissionControl: [{ name: "PodSecurity", configuration: { exemptions: { namespaces: [namespace] } } }],
    },
  },
});

const jovian = {
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: canary },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [{ name: "Pool-0" }],
};

describe("patches in the settings are checked before a node sees them", () => {
  it("reports the line that is not YAML", () => {
    expect(problemsOf({ "cluster.patches.all": ["machine:\n  sysctls: [\n"] })).toEqual([
      { path: "cluster.patches.all[0]", reason: expect.stringMatching(/^line \d+: is not YAML/) as string },
    ]);
  });

  it.each<[string, object, RegExp]>([
    ["a taint without an effect", { nodeTaints: { x: "bad" } }, /nodeTaints\.x must end with an effect/],
    ["a taint's name", { nodeTaints: { "a/b/c": "NoSchedule" } }, /a\/b\/c is not a valid taint name/],
    ["a taint's value", { nodeTaints: { x: "a b:NoSchedule" } }, /x is not a valid taint value/],
    ["a label's name", { nodeLabels: { "-x": "a" } }, /nodeLabels\.-x is not a valid label name/],
    ["a label's value", { nodeLabels: { x: "a b" } }, /nodeLabels\.x is not a valid label value/],
  ])("reports %s that Talos would refuse", (_, machine, reason) => {
    expect(problemsOf({ "cluster.patches.controlplane": [{ machine }] })).toEqual([
      { path: "cluster.patches.controlplane[0]", reason: expect.stringMatching(reason) as string },
    ]);
  });

  it("reports an invalid taint of a document, and none that a later patch corrects", () => {
    const taints = (text: string) => ({
      apiVersion: "v1alpha1",
      kind: "KubeNodeConfig",
      taints: { x: text },
    });
    const patches = (...all: object[]) =>
      problemsOf({
        ...{ talosVersion: "v1.14.1", talosContract: "v1.14", kubernetesVersion: "v1.35.4" },
        "cluster.patches.all": all,
      });
    expect(patches(taints("bad"))).toEqual([
      {
        path: "cluster.patches.all[0]",
        reason: expect.stringMatching(/^KubeNodeConfig\.taints\.x must end with an effect/) as string,
      },
    ]);
    expect(patches(taints("bad"), taints("present:NoSchedule"))).toEqual([]);
  });

  it("reports a wrong patch for all nodes once, not once per node", () => {
    expect(problemsOf({ "cluster.patches.all": [{}, { machin: {} }].slice(1) })).toEqual([
      { path: "cluster.patches.all[0]", reason: expect.stringMatching(/machin is not a section/) as string },
    ]);
  });

  it("counts a patch by its index in its own list", () => {
    expect(
      problemsOf({
        "cluster.patches.all": [{ machine: { sysctls: { a: "1" } } }],
        "cluster.patches.worker": [{ machine: { sysctls: { b: "1" } } }],
        "cluster.nodes[3].patches": [
          { machine: { sysctls: { c: "1" } } },
          { machine: { type: "controlplane" } },
        ],
      }),
    ).toEqual([
      {
        path: "cluster.nodes[3].patches[1]",
        reason: expect.stringContaining("conflicts with the node's role, worker") as string,
      },
    ]);
  });

  it("checks against the contract that a new cluster gets, even if the settings name none", () => {
    const patch = { apiVersion: "v1alpha1", kind: "KubeAdmissionControlConfig", name: "PodSecurity" };
    expect(problemsOf({ "cluster.patches.controlplane": [patch] })).toEqual([
      {
        path: "cluster.patches.controlplane[0]",
        reason: expect.stringMatching(/needs contract v1\.14 or newer; with contract v1\.13/) as string,
      },
    ]);
  });

  it.each([
    ["the default namespace of a driver", jovian, "joviandss-csi"],
    ["the chosen namespace of a driver", { ...jovian, namespace: "storage" }, "storage"],
    ["the namespace that Talos exempts by itself", jovian, "kube-system"],
  ])("refuses a second exemption of %s, since kube-apiserver would not start", (_, joviandss, namespace) => {
    const patches = [exempting(namespace)];
    expect(problemsOf({ joviandss, "cluster.patches.controlplane": patches })).toEqual([
      {
        path: "cluster.patches.controlplane[0]",
        reason: expect.stringContaining(`namespace ${namespace} must not be exempted again`) as string,
      },
    ]);
  });

  it("accepts an exemption of another namespace, or of a driver that is not deployed", () => {
    expect(
      problemsOf({ "cluster.patches.controlplane": [exempting("joviandss-csi"), exempting("monitoring")] }),
    ).toEqual([]);
  });

  it("refuses a hostname other than the node's own, which a new cluster sets", () => {
    const patch = { apiVersion: "v1alpha1", kind: "HostnameConfig", auto: "off", hostname: "other" };
    expect(problemsOf({ "cluster.nodes[0].patches": [patch] })).toEqual([
      {
        path: "cluster.nodes[0].patches[0]",
        reason: expect.stringContaining('hostname "other" conflicts with the node\'s own, cp1') as string,
      },
    ]);
  });

  it.each([
    ["a role's", "cluster.patches.worker", "cluster.patches.worker[0]"],
    ["a role's documents", "cluster.documents.worker", "cluster.documents.worker[0]"],
    ["a pool's", "cluster.pools.gpu.patches", "cluster.pools.gpu.patches[0]"],
  ])("also %s, even if no node uses them yet", (_, key, path) => {
    const [cp1] = nodesOf(usualSettings());
    const document = { apiVersion: "v1alpha1", kind: "HostnameConfig", hostnme: "w9" };
    const wrong = key.includes("documents") ? document : { machine: { sysctl: { "vm.x": "1" } } };
    const right = key.includes("documents")
      ? { apiVersion: "v1alpha1", kind: "WatchdogTimerConfig", device: "/dev/watchdog0" }
      : { machine: { sysctls: { "vm.x": "1" } } };
    const alone = { "cluster.nodes": [cp1] };
    expect(problemsOf({ ...alone, [key]: [wrong] })).toEqual([
      { path, reason: expect.stringMatching(/unknown key /) as string },
    ]);
    expect(problemsOf({ ...alone, [key]: [right] })).toEqual([]);
  });

  it("checks a role's patches without nodes by applying them after those for all nodes", () => {
    // Configurations of older contracts are a single document, so JSON patches apply.
    const alone = { "cluster.nodes": nodesOf(usualSettings()).slice(0, 1), talosContract: "v1.11" };
    const add = [{ op: "add", path: "/machine/sysctls/vm.y", value: "1" }];
    const json = { "cluster.patches.worker": [stringify(add)] };
    expect(problemsOf({ ...alone, ...json })).toHaveLength(1);
    const all = { "cluster.patches.all": [{ machine: { sysctls: { "vm.x": "1" } } }] };
    expect(problemsOf({ ...alone, ...all, ...json })).toEqual([]);
    const misplaced = { "cluster.patches.worker": [{ machine: { type: "controlplane" } }] };
    expect(problemsOf({ ...alone, ...misplaced }).map(({ path }) => path)).toEqual([
      "cluster.patches.worker[0]",
    ]);
  });

  it("does not show a secret in a patch, wherever the mistake is", () => {
    const { message, problems } = parseOutcome(
      withValues(usualSettings(), {
        "cluster.patches.all": [
          `machine:\n  registries: { config: { r: { auth: { password: ${canary} } } }`,
          { machine: { token: canary }, cluster: { token: canary } },
          [canary],
          { [canary.toLowerCase()]: 1 },
        ].slice(0, 3),
        "cluster.patches.worker": `machine: { token: ${canary} }`,
      }),
    );
    expect(problems.length).toBeGreaterThanOrEqual(3);
    expect(leaksSecret(message)).toBe(false);
  });
});
