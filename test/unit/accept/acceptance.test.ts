import { describe, expect, it } from "vitest";
import { runAcceptance, type Acceptance, type AcceptEnvironment } from "../../../accept/acceptance.ts";
import { acceptanceMarkdown } from "../../../accept/document.ts";
import { bootsBetween, readNodesNow, type FoundNode } from "../../../accept/nodes.ts";
import { summarizeFailure, type Finished } from "../../../accept/pulumiCommand.ts";
import { readNodes, type WantedNode } from "../../../accept/stackState.ts";
import { TalosError } from "../../../talos/api/errors.ts";

const schematicId = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const canary = Buffer.from("-----BEGIN X-----canary-----END X-----").toString("base64");
const pem = (kind: string) =>
  Buffer.from(`-----BEGIN ${kind}-----\n${canary}\n-----END ${kind}-----\n`).toString("base64");
const talosconfig = `context: dev\ncontexts:\n  dev:\n    endpoints: [10.0.0.11]\n    ca: ${pem("CERTIFICATE")}\n    crt: ${pem("CERTIFICATE")}\n    key: ${pem("ED25519 PRIVATE KEY")}\n`;

const wanted = {
  name: "cp1",
  node: "10.0.0.11",
  role: "controlplane",
  talosVersion: "v1.13.9",
  schematicId,
  extensions: ["iscsi-tools"],
  services: ["ext-iscsid"],
  files: ["/usr/local/sbin/iscsiadm"],
};
const sound: FoundNode = {
  name: "cp1",
  address: "10.0.0.11",
  version: "v1.13.9",
  schematicId,
  bootId: "1",
  problems: [],
};

const done = (stdout = "", code = 0, stderr = ""): Finished => ({ code, stdout, stderr, seconds: 1 });
const state = JSON.stringify({
  deployment: {
    resources: [{ type: "pulumi:pulumi:Stack" }, { type: "talos-node:index:NodeUpgrade", inputs: wanted }],
  },
});
const preview = JSON.stringify({
  steps: [
    { op: "same", urn: "urn:pulumi:dev::talos-iscsi::pulumi:pulumi:Stack::s", newState: { custom: false } },
  ],
});

interface Told {
  answers?: Record<string, Finished>;
  looks?: FoundNode[][];
  storageClasses?: string[];
  /** The problem of its volume. */
  broken?: string;
}

/** Runs it against a stack and a cluster that are healthy except for the given changes. */
async function run(
  up: boolean,
  { answers = {}, looks = [], storageClasses = ["joviandss-sc"], broken }: Told = {},
) {
  const asked: string[] = [];
  const outputs = { talosconfig, kubeconfig: `kubeconfig ${canary}`, storageClasses };
  const all: Record<string, Finished> = {
    preview: done(preview),
    "stack output": done(JSON.stringify(outputs)),
    "stack export": done(state),
    ...answers,
  };
  let look = 0;
  const world: AcceptEnvironment = {
    pulumi: async (...args) => {
      asked.push(args.join(" "));
      const known = Object.entries(all).find(([begin]) => args.join(" ").startsWith(begin));
      return known?.[1] ?? done();
    },
    look: async () => looks[look++] ?? looks.at(-1) ?? [sound],
    probe: async () => {
      asked.push("probe");
      const volume = {
        storageClass: "joviandss-sc",
        node: "w1",
        readOn: "w2",
        seconds: { attach: 2, detach: 1 },
      };
      const report = { skipped: [], left: [], removed: [] };
      return broken === undefined
        ? { ...report, result: "passed", volumes: [{ ...volume, result: "passed" }] }
        : { ...report, result: "failed", volumes: [{ ...volume, result: "failed", problem: broken }] };
    },
    now: () => new Date("2026-11-28T00:00:00Z"),
    say: () => undefined,
  };
  return { asked, run: await runAcceptance("dev", { up }, world) };
}

const resultOf = ({ steps }: Acceptance, step: string) => steps.find((one) => one.step === step)?.result;

it("a replaced resource that waits for its deletion is no node", async () => {
  const type = "talos-node:index:NodeUpgrade";
  const former = { type, delete: true, inputs: { ...wanted, node: "10.0.0.99" } };
  const saved = { deployment: { resources: [{ type, inputs: wanted }, former] } };
  const nodes = await readNodes(async () => done(JSON.stringify(saved)));
  expect(nodes.map(({ address }) => address)).toEqual(["10.0.0.11"]);
});

describe("an acceptance run", () => {
  it("does not take a node that could not be read for one without drift", async () => {
    const warning =
      "warning: w1 (10.0.0.21) could not be read; its state is unchanged: refused [node-unreachable]";
    for (const finished of [done(warning), done("", 0, warning)])
      expect(resultOf((await run(false, { answers: { refresh: finished } })).run, "no drift")).toBe("failed");
    expect(resultOf((await run(false)).run, "no drift")).toBe("passed");
  });

  it("changes nothing without --up", async () => {
    const { asked, run: found } = await run(false);
    expect(found.result).toBe("passed");
    expect(resultOf(found, "storage probe")).toBe("skipped");
    const changing = asked.filter(
      (command) => !/^(preview|stack (output|export)|refresh --preview-only)/.test(command),
    );
    expect(changing).toEqual([]);
  });

  it("deploys twice with --up, expects no changes the second time, and probes the storage", async () => {
    const { asked, run: found } = await run(true);
    expect(found.result).toBe("passed");
    expect(found.steps.map(({ result }) => result)).toEqual(Array<string>(7).fill("passed"));
    expect(asked.filter((command) => command.startsWith("up "))).toEqual([
      expect.not.stringContaining("--expect-no-changes") as string,
      expect.stringContaining("--expect-no-changes") as string,
    ]);
    expect(asked).toContain("probe");
  });

  it.each<[string, boolean, string, Told]>([
    [
      "a preview that fails",
      true,
      "preview",
      { answers: { preview: done("", 255, "error: no stack named dev") } },
    ],
    ["an up that fails", true, "up", { answers: { "up --yes": done("error: w1 did not come back", 255) } }],
    [
      "a second up that changes something",
      true,
      "second up",
      {
        answers: {
          "up --yes --skip-preview --expect-no-changes": done("error: no changes were expected", 255),
        },
      },
    ],
    [
      "a node that booted for the second up",
      true,
      "no reboot",
      { looks: [[sound], [{ ...sound, bootId: "2" }]] },
    ],
    ["drift", false, "no drift", { answers: { refresh: done("error: changes", 255) } }],
    [
      "a node that is not as wanted",
      false,
      "nodes",
      { looks: [[{ ...sound, problems: ["lacks the extension iscsi-tools"] }]] },
    ],
  ])("does not accept %s", async (_, up, step, told) => {
    const { run: found, asked } = await run(up, told);
    expect(found.result).toBe("failed");
    expect(resultOf(found, step)).toBe("failed");
    expect(found.steps.find((one) => one.step === step)?.problems).not.toEqual([]);
    expect(asked).not.toContain("probe");
  });

  it("does not accept volumes that do not work", async () => {
    const { run: found } = await run(true, { broken: 'step "attach": no such portal' });
    expect(found.result).toBe("failed");
    expect(found.steps.at(-1)?.problems).toEqual([expect.stringContaining("no such portal") as string]);
    expect(acceptanceMarkdown(found)).toContain("no such portal");
  });

  it("reports further problems but deploys nothing after a failed preview", async () => {
    const { asked, run: found } = await run(true, { answers: { preview: done("", 255, "error: wrong") } });
    expect(asked.filter((command) => command.startsWith("up "))).toEqual([]);
    expect(resultOf(found, "nodes")).toBe("passed");
  });

  it("refuses a stack that was never deployed", async () => {
    await expect(run(false, { answers: { "stack output": done("{}") } })).rejects.toThrow(
      /never been deployed.*--up/,
    );
  });

  it("reports the storage probe as skipped if there is no driver", async () => {
    const { asked, run: found } = await run(true, { storageClasses: [] });
    expect(asked).not.toContain("probe");
    expect(found.steps.at(-1)).toMatchObject({ step: "storage probe", result: "skipped" });
    expect(found.result).toBe("passed");
  });

  it("reports every step, node and volume, and no secret", async () => {
    const { run: found } = await run(true);
    const markdown = acceptanceMarkdown(found);
    for (const text of [markdown, JSON.stringify(found)]) expect(text).not.toContain(canary);
    expect(markdown).toContain("# Stack dev is accepted");
    for (const { step } of found.steps) expect(markdown).toContain(`| ${step} |`);
    expect(markdown).toMatch(/\| cp1 \|.*v1\.13\.9/);
    expect(markdown).toMatch(/\| joviandss-sc \| w1 \|.*\| 2\.0 \|.*\| 1\.0 \|.*w2/);
  });
});

describe("a node", () => {
  const node: WantedNode = { ...wanted, role: "controlplane", address: "10.0.0.11" };
  const credentials = { caCertificate: "", clientCertificate: "", clientKey: "" };
  const config = (kubelet = "v1.36.1", proxy = "v1.36.1") =>
    [
      ...["version: v1alpha1", "machine:", "  kubelet:", `    image: ghcr.io/siderolabs/kubelet:${kubelet}`],
      ...["cluster:", "  proxy:", `    image: registry.k8s.io/kube-proxy:${proxy}`],
    ].join("\n");
  const running = {
    version: async () => ({ tag: "v1.13.9", platform: "metal", arch: "amd64" }),
    extensions: async () => ({
      installed: [{ name: "iscsi-tools", version: "v0.2.0" }],
      schematicId: schematicId as string | undefined,
    }),
    services: async () => [{ id: "ext-iscsid", state: "Running", health: "unknown" as const, lastEvent: "" }],
    machineStatus: async () => ({
      stage: "running",
      ready: true,
      unmet: [] as { name: string; reason: string }[],
    }),
    bootId: async () => "1" as string | undefined,
    hasFile: async () => true,
    staticPod: async (component: string) => ({
      ...{ ready: true, outdated: false },
      image: `registry.k8s.io/${component}:v1.36.1`,
    }),
    machineConfiguration: async () => config() as string | undefined,
    close: () => undefined,
  };
  const look = async (change: Partial<typeof running> = {}, own: Partial<WantedNode> = {}) =>
    (await readNodesNow([{ ...node, ...own }], credentials, () => ({ ...running, ...change })))[0]!;

  it("matches its settings", async () => {
    expect(await look()).toEqual(sound);
  });

  it.each<[string, Partial<typeof running>, RegExp]>([
    [
      "release",
      { version: async () => ({ tag: "v1.12.7", platform: "metal", arch: "amd64" }) },
      /v1\.12\.7, not v1\.13\.9/,
    ],
    [
      "schematic",
      { extensions: async () => ({ installed: [{ name: "iscsi-tools", version: "" }], schematicId: "0" }) },
      /schematic 0, not/,
    ],
    ["extension", { extensions: async () => ({ installed: [], schematicId }) }, /extension iscsi-tools/],
    ["service", { services: async () => [] }, /ext-iscsid is not there/],
    [
      "stopped service",
      { services: async () => [{ id: "ext-iscsid", state: "Failed", health: "unknown", lastEvent: "" }] },
      /ext-iscsid is Failed/,
    ],
    ["file", { hasFile: async () => false }, /file \/usr\/local\/sbin\/iscsiadm/],
    [
      "readiness",
      {
        machineStatus: async () => ({
          stage: "booting",
          ready: false,
          unmet: [{ name: "services", reason: "kubelet" }],
        }),
      },
      /booting.*kubelet/,
    ],
  ])("lacks its %s", async (_, change, problem) => {
    const { problems } = await look(change);
    expect(problems).toEqual([expect.stringMatching(problem) as string]);
  });

  it("runs the Kubernetes release that the stack deployed, except for what a patch pins", async () => {
    const kubernetes = { version: "v1.36.1", pinned: {} };
    expect((await look({}, { kubernetes })).problems).toEqual([]);
    const old = {
      staticPod: async (component: string) => ({
        ...{ ready: true, outdated: false },
        image: `registry.k8s.io/${component}:${component === "kube-scheduler" ? "v1.35.4" : "v1.36.1"}`,
      }),
      machineConfiguration: async () => config("v1.34.1", "v1.36.1"),
    };
    expect((await look(old, { kubernetes })).problems).toEqual([
      "has kube-scheduler v1.35.4, not v1.36.1",
      "has kubelet v1.34.1, not v1.36.1",
    ]);
    expect((await look(old, { kubernetes, role: "worker" })).problems).toEqual([
      "has kubelet v1.34.1, not v1.36.1",
    ]);
    const pinned = { cp1: ["kubelet" as const] };
    expect((await look(old, { kubernetes: { ...kubernetes, pinned } })).problems).toHaveLength(1);
    expect((await look(old)).problems).toEqual([]);
  });

  it("is expected to run the Kubernetes release in the state, unless that was only adopted", async () => {
    const upgrade = {
      type: "talos-node:index:KubernetesUpgrade",
      inputs: { kubernetesVersion: "v1.36.1", nodes: { cp1: { pinned: ["kubelet"] }, w1: {} } },
    };
    const nodes = (resource: object) =>
      readNodes(async () =>
        done(
          JSON.stringify({
            deployment: {
              resources: [{ type: "talos-node:index:NodeUpgrade", inputs: wanted }, resource],
            },
          }),
        ),
      );
    expect((await nodes(upgrade))[0]?.kubernetes).toEqual({
      version: "v1.36.1",
      pinned: { cp1: ["kubelet"], w1: [] },
    });
    expect((await nodes({ ...upgrade, outputs: { adopted: {} } }))[0]).not.toHaveProperty("kubernetes");
  });

  it("that cannot be read is a problem of that node only", async () => {
    const { problems, version } = await look({
      version: async () =>
        Promise.reject(new TalosError("unreachable", "10.0.0.11", "Version", "connection refused")),
    });
    expect(version).toBeUndefined();
    expect(problems).toEqual([expect.stringContaining("connection refused") as string]);
  });

  it("counts as not rebooted only if both boot IDs are known and equal", () => {
    const withBoot = (bootId?: string): FoundNode[] => [
      { name: "cp1", address: "", problems: [], ...(bootId === undefined ? {} : { bootId }) },
    ];
    expect(bootsBetween(withBoot("1"), withBoot("1"))).toEqual([]);
    expect(bootsBetween(withBoot("1"), withBoot("2"))).toEqual([
      expect.stringContaining("rebooted") as string,
    ]);
    expect(bootsBetween(withBoot(), withBoot("2"))).toHaveLength(1);
    expect(bootsBetween([], withBoot("2"))).toHaveLength(1);
  });
});

describe("the summary of a failed engine run", () => {
  it("has its errors with their continuation lines", () => {
    const words = summarizeFailure(
      done(
        "Diagnostics:\n  talos-node (w1):\n    error: w1: did not boot\n      seen: v1.12\n\nResources:\n    12 unchanged\n",
        255,
      ),
    );
    expect(words).toContain("w1: did not boot");
    expect(words).not.toContain("unchanged");
  });
  it("has its last lines if it names no error", () => {
    expect(summarizeFailure(done("panic: something", 2))).toBe("panic: something");
  });
});
