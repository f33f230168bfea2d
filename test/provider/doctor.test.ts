import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import {
  examineCluster,
  realEnvironment,
  type DoctorOptions,
  type DoctorEnvironment,
} from "../../doctor/doctor.ts";
import type { KubernetesReader } from "../../doctor/kubernetes.ts";
import { verdictText } from "../../doctor/render.ts";
import type { Verdict } from "../../doctor/verdict.ts";
import { KubernetesError } from "../../provider/kubernetes.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

let cluster: SimulatedCluster;
let before: string;

beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.86.0",
    version: "v1.13.9",
    controlPlanes: 3,
    workers: 2,
    kernelArgs: { w2: { bootloader: "grub", extraKernelArgs: ["pcie_aspm=off"] } },
  });
  before = states();
});
afterAll(async () => {
  await cluster.stop();
});

/** Everything that an action could change. */
const states = (): string =>
  JSON.stringify(
    cluster.nodes.map((node) => {
      const { version, boots, installs, upgrades } = node.snapshot();
      return { version, boots, installs, upgrades, images: node.disk.images, config: node.disk.config };
    }),
  );

const addresses = (): string[] => cluster.nodes.map(({ address }) => address);

function look(
  options: Partial<DoctorOptions> = {},
  world: Partial<DoctorEnvironment> = {},
): Promise<Verdict> {
  const talosconfig = {
    context: "prod",
    ...cluster.credentials,
    endpoints: addresses().slice(0, 1),
    nodes: addresses(),
  };
  return examineCluster(
    { talosconfig, allowSkew: false, ...options },
    { ...realEnvironment, ...world },
    AbortSignal.timeout(60_000),
  );
}

const problems = ({ findings }: Verdict) => findings.filter(({ severity }) => severity === "problem");

it("reports no problem for a healthy cluster, and changes nothing", async () => {
  const verdict = await look();
  expect(problems(verdict)).toEqual([]);
  expect(verdict.nodes.map(({ name, role, version }) => [name, role, version])).toEqual([
    ["cp1", "controlplane", "v1.13.9"],
    ["cp2", "controlplane", "v1.13.9"],
    ["cp3", "controlplane", "v1.13.9"],
    ["w1", "worker", "v1.13.9"],
    ["w2", "worker", "v1.13.9"],
  ]);
  expect(verdict.nodes[0]?.etcd).toMatch(/3\.6\.\d+/);
  expect(verdict.nodes[0]?.exemptNamespaces).toEqual([]);
  expect(verdict.certificates).toMatchObject([{ of: "talosconfig" }]);
  const text = verdictText(verdict);
  expect(text).toContain("5 nodes, 0 problems");
  // No key or certificate of the cluster may be printed.
  expect(text + JSON.stringify(verdict)).not.toMatch(/LS0tLS1CRUdJTi|BEGIN /);
  expect(states()).toBe(before);
});

describe("with --to", () => {
  it("says that the upgrade would begin, or which node the guard refuses and why", async () => {
    const verdict = await look({ to: "v1.14.0" });
    const refused = verdict.nodes.filter((node) => (node.refused ?? []).length > 0);
    expect(refused.map(({ name }) => name)).toEqual(["w2"]);
    expect(refused[0]?.refused?.[0]).toContain("would lose the kernel arguments pcie_aspm=off");
    expect(refused[0]?.kernelArgumentsAtRisk).toBe(true);
    expect(verdictText(verdict)).toContain("An upgrade to v1.14.0 would be refused because of w2.");
    expect(states()).toBe(before);
  });

  it("refuses several minor releases at once, and reports it once for all nodes", async () => {
    const verdict = await look({ to: "v1.10.9" });
    // The control planes have one more reason: etcd's data is of a newer release.
    const concerned = problems(verdict).map(({ nodes }) => nodes);
    expect(concerned).toContainEqual(["cp1", "cp2", "cp3"]);
    expect(concerned.flat()).toContain("w1");
    expect(verdict.nodes.every(({ refused }) => refused?.length === 1)).toBe(true);
    // From 1.10 on, the initiator name is derived from the machine ID, so it stays the same.
    expect(verdict.nodes.some(({ initiatorNameChanges }) => initiatorNameChanges)).toBe(false);
    expect(
      (await look({ to: "v1.9.6" })).nodes.every(({ initiatorNameChanges }) => initiatorNameChanges),
    ).toBe(true);
  });

  it("refuses a release that the settings would refuse, with the same message", async () => {
    const newer = await look({ to: "v1.15.0" });
    expect(newer.nodes.every(({ refused }) => refused?.length === 1)).toBe(true);
    expect(problems(newer)[0]?.text).toMatch(/newer than this version of the program supports/);
    expect(verdictText(newer)).not.toContain("would begin");
    // No message has doubled punctuation.
    for (const { text } of (await look({ to: "v1.11.6" })).findings) expect(text).not.toMatch(/\.[.;]/);
  });

  it("refuses a value that is not a release", async () => {
    await expect(look({ to: "next" })).rejects.toThrow(/--to: .*next/);
  });
});

describe("findings", () => {
  it("report a node that does not answer as a problem, and cover the other nodes", async () => {
    const verdict = await look({ nodes: [...addresses().slice(0, 3), "127.86.0.99"], to: "v1.14.0" });
    expect(verdict.nodes).toHaveLength(3);
    expect(verdict.unread).toEqual(["127.86.0.99"]);
    // The preflight never starts with a node missing.
    expect(verdictText(verdict)).toContain("An upgrade to v1.14.0 would be refused because of 127.86.0.99.");
    expect(problems(verdict)).toMatchObject([
      { nodes: ["127.86.0.99"], text: expect.stringContaining("could not be read") as string },
    ]);
  });

  it("warn before a certificate expires", async () => {
    const later = (days: number) => () => new Date(Date.now() + days * 86_400_000);
    const { certificates } = await look();
    const left = certificates[0]?.days ?? 0;
    const soon = await look({}, { now: later(left - 10) });
    expect(soon.findings[0]).toMatchObject({
      severity: "warning",
      text: expect.stringMatching(/talosconfig expires on \d{4}-\d\d-\d\d, in \d+ days/) as string,
    });
    await expect(look({ nodes: ["127.86.0.99"] }, { now: later(left + 10) })).rejects.toThrow(
      /no node could be read \[doctor\]\. Reasons:\n {2}the client certificate of the talosconfig expired on/,
    );
    const over = await look({}, { now: later(left + 10) });
    expect(problems(over)).toMatchObject([{ text: expect.stringContaining("expired on") as string }]);
  });

  it("report a Kubernetes API that does not answer as a problem, and still cover the nodes", async () => {
    const away: KubernetesReader = {
      nodes: () => Promise.reject(new KubernetesError("no answer within 15 s")),
      verdict: () => Promise.reject(new KubernetesError("no answer within 15 s")),
    };
    const verdict = await look({ kubeconfig: "{}" }, { kubernetes: () => Promise.resolve(away) });
    expect(verdict.nodes).toHaveLength(5);
    expect(problems(verdict)[0]?.text).toMatch(/Kubernetes API could not be read.*no answer within 15 s/);
  });

  it("cover the nodes, drivers and volumes that Kubernetes lists", async () => {
    const there: KubernetesReader = {
      clientCertificate: cluster.credentials.clientCertificate,
      nodes: () => Promise.resolve(cluster.nodes.slice(0, 2).map(({ name, address }) => ({ name, address }))),
      verdict: () =>
        Promise.resolve({
          version: "v1.35.4",
          drivers: [{ name: "iscsi.csi.joviandss.open-e.com", nodes: 2 }],
          volumes: { "iscsi.csi.joviandss.open-e.com": 7 },
          attachments: 3,
        }),
    };
    const verdict = await look({ kubeconfig: "{}" }, { kubernetes: () => Promise.resolve(there) });
    expect(verdict.nodes.map(({ name }) => name)).toEqual(["cp1", "cp2"]);
    expect(verdict.certificates.map(({ of }) => of).sort()).toEqual(["kubeconfig", "talosconfig"]);
    expect(verdictText(verdict)).toContain(
      "CSI driver iscsi.csi.joviandss.open-e.com: on 2 nodes, 7 volumes",
    );
    expect(verdict.findings.map(({ text }) => text).join()).toContain("2 control planes");
  });
});

describe("npm run doctor", () => {
  const folder = mkdtempSync(join(tmpdir(), "talos-iscsi-doctor-"));
  const file = join(folder, "talosconfig");
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  async function doctor(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const { caCertificate: ca, clientCertificate: crt, clientKey: key } = cluster.credentials;
    const contexts = { prod: { endpoints: addresses().slice(0, 1), nodes: addresses(), ca, crt, key } };
    writeFileSync(file, stringify({ context: "prod", contexts }), { mode: 0o600 });
    try {
      const run = promisify(execFile);
      const done = await run(process.execPath, ["doctor/cli.ts", ...args], {
        cwd: join(import.meta.dirname, "../.."),
      });
      return { code: 0, ...done };
    } catch (error) {
      return error as { code: number; stdout: string; stderr: string };
    }
  }

  it("reports an unreadable kubeconfig, and still examines the nodes", async () => {
    const broken = join(folder, "kubeconfig");
    writeFileSync(broken, "{");
    const { code, stdout, stderr } = await doctor("--talosconfig", file, "--kubeconfig", broken);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout).toContain("5 nodes, 1 problem");
    expect(stdout).toContain("the kubeconfig cannot be read");
  });

  it("exits with 0 if healthy, 1 on a problem, 2 if nothing could be examined", async () => {
    const well = await doctor("--talosconfig", file, "--json");
    expect(well).toMatchObject({ code: 0, stderr: "" });
    expect((JSON.parse(well.stdout) as Verdict).nodes).toHaveLength(5);
    const refused = await doctor("--talosconfig", file, "--to", "v1.14.0");
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain("refused");
    for (const args of [
      ["--talosconfig", join(folder, "none")],
      ["--talosconfig", file, "--context", "staging"],
      ["--talosconfig", file, "--nodes", "127.86.0.99"],
    ]) {
      const failed = await doctor(...args);
      expect(failed.code, args.join(" ")).toBe(2);
      expect(failed.stderr).toMatch(/^error: /);
      expect(failed.stderr).not.toMatch(/^\s+at /m);
    }
  });
});
