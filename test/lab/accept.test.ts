import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Acceptance } from "../../accept/acceptance.ts";
import type { ProbeReport } from "../../provider/storage/probe/report.ts";
import { CsiDouble, probeLeftovers } from "./csiDouble.ts";
import { nightly } from "./nightly.ts";
import { LabProject, type Finished } from "./project.ts";
import { canaries } from "./secrets.ts";

/** Runs `npm run accept` against the lab's cluster, with the plain `pulumi` CLI. */

let lab: LabProject;
let environment: Record<string, string>;
let driver: CsiDouble;

beforeAll(async () => {
  lab = await LabProject.make();
  const started = await lab.labOk("start", "--node-seconds", "1");
  environment = Object.fromEntries(
    [...started.stdout.matchAll(/export (\w+)="(.*)"/g)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
  driver = new CsiDouble(lab.file("kubeconfig"));
  driver.start();
});

afterAll(async () => {
  try {
    await driver?.stop();
  } finally {
    await lab?.remove();
  }
});

function environmentOf(): Record<string, string> {
  const path = (environment["PATH"] ?? "").replace(
    "$PATH",
    [join(lab.dir, "test", "lab", "languageHost"), process.env["PATH"]].join(delimiter),
  );
  return { ...environment, PATH: path };
}

function accept(...args: string[]): Promise<Finished> {
  const command = [join("accept", "cli.ts"), "--stack", "dev", ...args];
  return lab.run(process.execPath, command, environmentOf());
}

/** `npm run storage:probe` on the stack. */
function probe(args: string[], interruptAt?: RegExp): Promise<Finished> {
  const command = [join("probe", "cli.ts"), "--stack", "dev", ...args];
  return lab.run(process.execPath, command, environmentOf(), interruptAt);
}

/** The stack file with the storage probe enabled. */
function withProbe(text: string): string {
  return text.replace("talos-iscsi:joviandss:\n", "$&    probe: {}\n");
}

function report(): Acceptance {
  return JSON.parse(readFileSync(join(lab.dir, "reports", "accept-dev.json"), "utf8")) as Acceptance;
}

const results = ({ steps }: Acceptance) =>
  Object.fromEntries(steps.map(({ step, result }) => [step, result]));

test("refuses to check a stack that was never deployed, and does not deploy it", async () => {
  const finished = await accept();
  expect(finished.code, finished.text).toBe(2);
  expect(finished.text).toContain("--up");
});

test("--up deploys the stack, sees a second up change nothing and reboot no node, and probes the storage of every worker", async () => {
  // The stack's own probe only runs in the first `up`.
  const finished = await lab.withStackFile("dev", withProbe, () => accept("--up", "--storage-timeout", "60"));
  expect(finished.code, finished.text).toBe(0);
  const run = report();
  expect(results(run)).toEqual({
    preview: "passed",
    up: "passed",
    "second up": "passed",
    "no reboot": "passed",
    "no drift": "passed",
    nodes: "passed",
    "storage probe": "passed",
  });
  expect(run.nodes.map(({ name, version }) => `${name} ${version ?? ""}`)).toEqual(
    ["cp1", "cp2", "cp3", "w1", "w2"].map((name) => `${name} v1.13.9`),
  );
  const places = ({ node, readOn }: { node: string; readOn?: string }) => `${node}, ${readOn ?? ""}`;
  expect(run.storage?.volumes.map(places)).toEqual(["w1, w2", "w2, w1"]);
  expect(run.storage?.skipped.map(({ node }) => node)).toEqual(["cp1", "cp2", "cp3"]);
  // Two volumes with two pods each, in two probes.
  expect(driver.attached.filter((node) => node === "w1")).toHaveLength(4);
  const { stdout } = await lab.pulumi("stack", "output", "storageProbe", "--json", "--stack", "dev");
  const { joviandss } = JSON.parse(stdout) as {
    joviandss: { node: string; readOn: string; result: string }[];
  };
  expect(joviandss.map(({ result, ...volume }) => `${places(volume)}: ${result}`)).toEqual([
    "w1, w2: passed",
    "w2, w1: passed",
  ]);
  // Nothing is left behind.
  expect(await probeLeftovers(lab)).toBe("");
  const markdown = readFileSync(join(lab.dir, "reports", "accept-dev.md"), "utf8");
  expect(markdown).toContain("# Stack dev is accepted");
  const secrets = [...canaries(lab.file("secrets.yaml"), lab.file("talosconfig")), "lab-only"];
  for (const text of [markdown, JSON.stringify(run), finished.text, stdout])
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});

test("without --up, it changes nothing", async () => {
  const before = await lab.tool("kubectl", "get", "namespaces,persistentvolumes", "--output", "name");
  const finished = await accept();
  expect(finished.code, finished.text).toBe(0);
  expect(results(report())).toEqual({
    preview: "passed",
    "no drift": "passed",
    nodes: "passed",
    "storage probe": "skipped",
  });
  expect(await lab.tool("kubectl", "get", "namespaces,persistentvolumes", "--output", "name")).toBe(before);
});

test("reports a driver that does not attach, with the node, the pod and Kubernetes' message", async () => {
  driver.broken.add("w2");
  const finished = await probe(["--timeout", "10", "--json"]);
  expect(finished.code, finished.text).toBe(1);
  const { volumes, left } = JSON.parse(finished.stdout) as ProbeReport;
  expect(volumes.map(({ result }) => result)).toEqual(["failed", "failed"]);
  // w2 runs the first pod of one volume and the second pod of the other.
  const [other, own] = volumes;
  expect(own).toMatchObject({
    node: "w2",
    problem: expect.stringMatching(/step "attach".*claim talos-iscsi-probe-.*pod write-2, node w2/) as string,
  });
  expect(other).toMatchObject({
    node: "w1",
    readOn: "w2",
    seconds: { detach: expect.any(Number) as number },
  });
  expect(other?.problem).toMatch(/step "read".*pod read-1, node w2/);
  expect(left).toEqual([]);
  expect(await probeLeftovers(lab)).toBe("");
});

nightly("Ctrl-C stops a probe and removes what it created", async () => {
  const finished = await probe(["--timeout", "60"], /0 of 2 volumes done/);
  expect(finished.code, finished.text).toBe(2);
  expect(finished.text).toContain("stopped");
  expect(await probeLeftovers(lab)).toBe("");
  driver.broken.clear();
});

test("reports a service that was stopped manually, with its node", async () => {
  await lab.tool("talosctl", "--nodes", "127.10.0.21", "service", "ext-iscsid", "stop");
  const finished = await accept();
  expect(finished.code, finished.text).toBe(1);
  const run = report();
  expect(run.nodes.find(({ name }) => name === "w1")?.problems.join()).toContain("ext-iscsid");
  expect(run.nodes.filter(({ problems }) => problems.length > 0).map(({ name }) => name)).toEqual(["w1"]);
});
