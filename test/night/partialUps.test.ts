import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Decrypter, generateIdentity, identityToRecipient } from "age-encryption";
import * as pulumi from "@pulumi/pulumi";
import type { UpOptions } from "@pulumi/pulumi/automation/index.js";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { NodeConfiguration } from "../../components/machineConfiguration.ts";
import { NodeUpgrade } from "../../components/nodeUpgrade.ts";
import { RolloutPreflight } from "../../components/rolloutPreflight.ts";
import { inputsFor } from "../provider/nodeUpgradeHarness.ts";
import { SimulatedCluster } from "../provider/simulatedCluster.ts";
import { standInEngine, type StandInEngine } from "../provider/standInEngine.ts";

// More than a plain `up`, with the real engine: a part of the stack, one resource at a time, resources missing from the state, a reinstalled machine. Each is
// as safe as a plain `up`.

const names = ["cp1", "cp2", "cp3", "w1", "w2"];
let cluster: SimulatedCluster;
let engine: StandInEngine;
let wanted = "v1.13.7";
const given: Record<string, string> = {};
let snapshots: string;
let identity: string;
let recipient: string;
let mostAway: number;
let watching: NodeJS.Timeout;

/** The resources that the components declare for five nodes, in order. */
async function program(): Promise<void> {
  const { clientConfiguration, controlPlanes, drain, schematicId } = inputsFor(cluster, "cp1");
  const etcdSnapshot = { cluster: "test", directory: snapshots, keep: 2, ageRecipients: [recipient] };
  const shared = { etcdSnapshot, clientConfiguration, controlPlanes, drain, timeoutSeconds: 120 };
  const own = (name: string) => {
    const { node, role, extensions, services, files } = inputsFor(cluster, name);
    return { node, role, extensions, services, files, talosVersion: wanted, image: cluster.image(wanted) };
  };
  const configurations = names.map((name) => {
    const { node, role } = own(name);
    const config = parse(given[name] ?? "") as { machine: { install: { image: string } } };
    config.machine.install.image = cluster.image(wanted);
    const patch = stringify({ machine: { install: { image: cluster.image(wanted) } } });
    return new NodeConfiguration(`config-${name}`, {
      ...{ name, node, role, clientConfiguration, controlPlanes, timeoutSeconds: 120 },
      ...{ machineConfiguration: pulumi.output(stringify(config)), patches: [patch], contract: "v1.12" },
    } as ConstructorParameters<typeof NodeConfiguration>[1]);
  });
  const nodes = Object.fromEntries(names.map((name) => [name, own(name)]));
  let before: pulumi.Resource[] = [
    new RolloutPreflight("preflight", { ...shared, schematicId, nodes } as never, {
      dependsOn: configurations,
    }),
  ];
  for (const name of names) {
    const args = { name, ...own(name), ...shared, schematicId };
    before = [new NodeUpgrade(`upgrade-${name}`, args as never, { dependsOn: before })];
  }
}

beforeAll(async () => {
  snapshots = mkdtempSync(join(tmpdir(), "snapshots-"));
  identity = await generateIdentity();
  recipient = await identityToRecipient(identity);
  cluster = await SimulatedCluster.start({
    ...{ subnet: "127.44.95", version: "v1.13.6", controlPlanes: 3, workers: 2 },
    timings: { rebootSeconds: 0.5, bootSeconds: 0.5 },
  });
  for (const { name, config } of cluster.nodes) given[name] = config?.text ?? "";
  engine = await standInEngine(program, {}, [
    join(import.meta.dirname, "../../provider/pulumi-resource-talos-node"),
  ]);
  await up();
});
afterAll(async () => {
  rmSync(snapshots, { recursive: true });
  await engine?.remove();
  await cluster?.stop();
});
beforeEach(() => {
  mostAway = 0;
  watching = setInterval(() => {
    const away = cluster.nodes.filter(
      (node) => node.name.startsWith("cp") && node.snapshot().stage !== "running",
    );
    mostAway = Math.max(mostAway, away.length);
  }, 2);
});
afterEach(() => clearInterval(watching));

const up = (options: UpOptions = {}) => engine.stack.up(options);

interface Snapshot {
  path: string;
  size: number;
  sha256: string;
  revision: number;
}

interface Resource {
  urn: string;
  type: string;
  outputs?: { runningVersion?: string; takenSnapshot?: Snapshot };
}

async function resources(): Promise<Resource[]> {
  const exported: { deployment: unknown } = await engine.stack.exportStack();
  return (exported.deployment as { resources: Resource[] }).resources;
}

async function urnOf(name: string): Promise<string> {
  const found = (await resources()).find(({ urn }) => urn.endsWith(`::${name}`));
  if (found === undefined) throw new Error(`no ${name} in the state`);
  return found.urn;
}

/** Runs `pulumi state delete --target-dependents`. */
async function forget(name: string): Promise<void> {
  const { workspace, name: stack } = engine.stack;
  const args = ["state", "delete", await urnOf(name), "--target-dependents", "--yes", "--stack", stack];
  await promisify(execFile)("pulumi", args, { cwd: workspace.workDir });
  await expect(urnOf(name)).rejects.toThrow();
}

/** Counts the upgrades of each node from now on. */
function counting(): () => Record<string, number> {
  const upgrades = () => cluster.nodes.map((node) => node.snapshot().upgrades);
  const before = upgrades();
  return () =>
    Object.fromEntries<number>(upgrades().map((count, i) => [String(names[i]), count - (before[i] ?? 0)]));
}

const each = (count: number): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, count]));

async function expectWell(): Promise<void> {
  expect(mostAway).toBeLessThanOrEqual(1);
  const upgrades = (await resources()).filter(({ type }) => type === "talos-node:index:NodeUpgrade");
  expect(upgrades.map(({ outputs }) => outputs?.runningVersion)).toEqual(names.map(() => wanted));
  for (const node of cluster.nodes) expect(node.snapshot()).toMatchObject({ version: wanted, ready: true });
}

it("--target only upgrades one control plane, and a plain up upgrades the others", async () => {
  const since = counting();
  wanted = "v1.13.9";
  await up({ target: [await urnOf("upgrade-cp2")] });
  expect(since()).toEqual({ ...each(0), cp2: 1 });
  await up();
  expect(since()).toEqual(each(1));
  await expectWell();
});

it("--target with --target-dependents upgrades the control planes one at a time", async () => {
  const since = counting();
  wanted = "v1.13.7";
  await up({ target: [await urnOf("upgrade-cp1")], targetDependents: true });
  expect(since()).toEqual(each(1));
  await up();
  expect(since()).toEqual(each(1));
  await expectWell();
});

it("--parallel 1 upgrades each node once", async () => {
  const since = counting();
  wanted = "v1.13.9";
  await up({ parallel: 1 });
  expect(since()).toEqual(each(1));
  await expectWell();
});

it.each(["upgrade-cp2", "config-cp2", "preflight"])(
  "%s is missing from the state: a plain up restores it and touches no node",
  async (name) => {
    const before = cluster.touched();
    await forget(name);
    await up();
    expect(cluster.touched()).toEqual(before);
    await urnOf(name);
    await expectWell();
  },
);

it("upgrades missing from the state, and a new release: each node is upgraded once, control planes one at a time", async () => {
  const since = counting();
  await forget("upgrade-cp1");
  wanted = "v1.13.7";
  await up({ parallel: 20 });
  expect(since()).toEqual(each(1));
  await expectWell();
});

it("etcd snapshots are encrypted and private to their owner, the two newest are kept, and the state lists them", async () => {
  const files = readdirSync(snapshots).sort();
  const sealed = files.filter((name) => name.endsWith(".db.age"));
  expect(sealed).toHaveLength(2);
  expect(files).toEqual(sealed.flatMap((name) => [name, `${name}.json`]));
  for (const name of files)
    expect([name, statSync(join(snapshots, name)).mode & 0o777]).toEqual([name, 0o600]);
  const told = (await resources()).flatMap(({ outputs }) => outputs?.takenSnapshot ?? []);
  const newest = told.find(({ path }) => path === join(snapshots, sealed[1] ?? ""));
  const content = readFileSync(newest?.path ?? "");
  const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");
  expect(newest).toMatchObject({
    size: content.length,
    sha256: hash(content),
    revision: expect.any(Number) as number,
  });
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  const plain = await decrypter.decrypt(new Uint8Array(content));
  // etcd appends the hash to a snapshot.
  expect(Buffer.from(plain.subarray(-32)).toString("hex")).toBe(hash(plain.subarray(0, -32)));
});

it("up sends nothing to a reinstalled machine until --replace of its configuration allows it", async () => {
  const others = () => cluster.touched().slice(0, 4);
  const before = others();
  const node = cluster.node("w2");
  node.wipeDisk();
  node.saveDisk();
  node.powerCut("reboot");
  while (node.snapshot().stage !== "maintenance") await new Promise((resolve) => setTimeout(resolve, 20));
  const applied = node.snapshot().appliedConfigs.length;
  const target = [await urnOf("config-w2")];
  const installed = wanted;
  wanted = "v1.13.8";
  const refused = await up({ target }).catch((error: unknown) => String(error));
  expect(refused).toContain("pulumi up --replace");
  expect(refused).toContain("or remove w2 from cluster.nodes");
  expect([node.snapshot().stage, node.snapshot().appliedConfigs.length]).toEqual(["maintenance", applied]);
  wanted = installed;
  await up({ replace: target });
  expect(node.snapshot().appliedConfigs).toHaveLength(applied + 1);
  expect(node.snapshot().stage).not.toBe("maintenance");
  expect(others()).toEqual(before);
  expect(mostAway).toBe(0);
});
