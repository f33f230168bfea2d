import { readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Acceptance } from "../../accept/acceptance.ts";
import { CsiDouble } from "./csiDouble.ts";
import { LabProject, type Finished } from "./project.ts";
import { canaries } from "./secrets.ts";

/** `npm run accept` against the lab's cluster, through plain `pulumi`. */

let lab: LabProject;
let environment: Record<string, string>;
let driver: CsiDouble;

beforeAll(async () => {
  lab = await LabProject.make();
  const started = await lab.labOk("start");
  environment = Object.fromEntries(
    [...started.stdout.matchAll(/export (\w+)="(.*)"/g)].map(([, name, value]) => [name ?? "", value ?? ""]),
  );
  driver = new CsiDouble(lab.file("kubeconfig"));
  driver.start();
});

afterAll(async () => {
  await driver?.stop();
  await lab?.remove();
});

function accept(...args: string[]): Promise<Finished> {
  const path = (environment["PATH"] ?? "").replace(
    "$PATH",
    [join(lab.dir, "test", "lab", "languageHost"), process.env["PATH"]].join(delimiter),
  );
  return lab.run(process.execPath, [join("accept", "cli.ts"), "--stack", "dev", ...args], {
    ...environment,
    PATH: path,
  });
}

function report(): Acceptance {
  return JSON.parse(readFileSync(join(lab.dir, "reports", "accept-dev.json"), "utf8")) as Acceptance;
}

const results = ({ steps }: Acceptance) =>
  Object.fromEntries(steps.map(({ step, result }) => [step, result]));

test("a stack that was never deployed cannot be checked, and is not deployed", async () => {
  const finished = await accept();
  expect(finished.code, finished.text).toBe(2);
  expect(finished.text).toContain("--up");
});

test("--up deploys it, finds the second time unchanged and no node rebooted, and uses its storage on every worker", async () => {
  const finished = await accept("--up", "--storage-timeout", "60");
  expect(finished.code, finished.text).toBe(0);
  const run = report();
  expect(results(run)).toEqual({
    preview: "passed",
    up: "passed",
    "second up": "passed",
    "no reboot": "passed",
    "no drift": "passed",
    nodes: "passed",
    "attach and detach": "passed",
  });
  expect(run.nodes.map(({ name, version }) => `${name} ${version ?? ""}`)).toEqual(
    ["cp1", "cp2", "cp3", "w1", "w2"].map((name) => `${name} v1.13.9`),
  );
  expect(run.attachments.map(({ node }) => node).sort()).toEqual(["w1", "w2"]);
  expect([...driver.attached].sort()).toEqual(["w1", "w2"]);
  // Nothing is left behind.
  expect(await driver.volumes()).toBe(0);
  const markdown = readFileSync(join(lab.dir, "reports", "accept-dev.md"), "utf8");
  expect(markdown).toContain("# Stack dev is accepted");
  const secrets = [...canaries(lab.file("secrets.yaml"), lab.file("talosconfig")), "lab-only"];
  for (const text of [markdown, JSON.stringify(run), finished.text])
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
});

test("without --up it only looks", async () => {
  const before = await lab.tool("kubectl", "get", "namespaces,persistentvolumes", "--output", "name");
  const finished = await accept();
  expect(finished.code, finished.text).toBe(0);
  expect(results(report())).toEqual({
    preview: "passed",
    "no drift": "passed",
    nodes: "passed",
    "attach and detach": "skipped",
  });
  expect(await lab.tool("kubectl", "get", "namespaces,persistentvolumes", "--output", "name")).toBe(before);
});

test("a driver that does not attach is found, with the node", async () => {
  driver.broken.add("w2");
  const finished = await accept("--up", "--storage-timeout", "10");
  expect(finished.code, finished.text).toBe(1);
  const { steps } = report();
  const { problems } = steps.find(({ step }) => step === "attach and detach") ?? {};
  // On a slow machine the namespace may still be on its way out when the time is over, which is told as well.
  expect(problems).toContainEqual(expect.stringMatching(/joviandss-sc on w2: not attached/) as string);
  expect(problems?.filter((problem) => problem.includes("not attached"))).toHaveLength(1);
});

test("a service that was stopped by hand is found, on its node", async () => {
  await lab.tool("talosctl", "--nodes", "127.10.0.21", "service", "ext-iscsid", "stop");
  const finished = await accept();
  expect(finished.code, finished.text).toBe(1);
  const run = report();
  expect(run.nodes.find(({ name }) => name === "w1")?.problems.join()).toContain("ext-iscsid");
  expect(run.nodes.filter(({ problems }) => problems.length > 0).map(({ name }) => name)).toEqual(["w1"]);
});
