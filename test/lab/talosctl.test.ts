import { execFile, spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { FactoryServer } from "../../lab/factory/server.ts";
import { LabNetwork } from "../../lab/node/network.ts";
import { SimulatedNode } from "../../lab/node/node.ts";
import type { ClusterRuntime } from "../../lab/node/machine/runtime.ts";
import { resolveTools } from "../../tools/resolve.ts";

// Checks the simulated nodes with the real talosctl. Each test is a command that an operator would type, in the order of
// creating a cluster.

const controlPlanes = ["127.45.0.11", "127.45.0.12", "127.45.0.13"];
const workers = ["127.45.0.21", "127.45.0.22"];
const [first = "", second = ""] = controlPlanes;
const [worker = "", otherWorker = ""] = workers;
const iscsi = { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } };

const directory = mkdtempSync(join(tmpdir(), "talosctl-test-"));
const file = (name: string): string => join(directory, name);
const factory = new FactoryServer({ host: "127.45.0.2" });
let talosctl = "";
let nodes: SimulatedNode[] = [];

/** Kubernetes as far as a node cares: up once etcd is bootstrapped. */
class RememberingRuntime implements ClusterRuntime {
  readonly up = new Set<string>();
  #bootstrapped = false;
  async configActive(): Promise<void> {}
  async bootstrapped(): Promise<void> {
    this.#bootstrapped = true;
  }
  async kubeletUp({ name }: { name: string }): Promise<void> {
    if (!this.#bootstrapped) throw new Error("no API server yet");
    this.up.add(name);
  }
  async staticPods(): Promise<void> {}
  async kubeletDown({ name }: { name: string }): Promise<void> {
    this.up.delete(name);
  }
  async health({ name }: { name: string }): Promise<{ apiServer: boolean; nodeReady: boolean }> {
    return { apiServer: this.#bootstrapped, nodeReady: this.up.has(name) };
  }
  async removed({ name }: { name: string }): Promise<void> {
    this.up.delete(name);
  }
}

interface Outcome {
  code: number;
  stdout: string;
  /** stdout and stderr: talosctl prints progress and errors to stderr. */
  text: string;
}

async function run(...args: string[]): Promise<Outcome> {
  return await new Promise((resolve) => {
    execFile(talosctl, args, { timeout: 60_000, cwd: directory }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, text: stdout + stderr });
    });
  });
}

async function succeed(...args: string[]): Promise<string> {
  const { code, text } = await run(...args);
  expect({ command: args.join(" "), code, text }).toMatchObject({ code: 0 });
  return text;
}

/** Uses the administrator's credentials and the first control planes as endpoints, as operators do. */
const as = (talosconfig: string, node: string): string[] => [
  "--talosconfig", file(talosconfig), "--endpoints", `${first},${second}`, "--nodes", node,
]; // prettier-ignore
const on = (node: string): string[] => as("talosconfig", node);

const nodeAt = (address: string): SimulatedNode => {
  const found = nodes.find((node) => node.address === address);
  if (found === undefined) throw new Error(`no node at ${address}`);
  return found;
};

async function until(what: string, holds: () => boolean): Promise<void> {
  const limit = Date.now() + 30_000;
  while (!holds()) {
    if (Date.now() > limit) throw new Error(`not within 30 s: ${what}`);
    await delay(50);
  }
}

const image = async (version: string): Promise<string> => {
  const response = await fetch(`${factory.url}/schematics`, { method: "POST", body: stringify(iscsi) });
  const { id } = (await response.json()) as { id: string };
  return `${factory.url.replace("http://", "")}/metal-installer/${id}:${version}`;
};

beforeAll(async () => {
  ({ talosctl } = await resolveTools(["talosctl"]));
  await factory.start();
  const network = new LabNetwork();
  const runtime = new RememberingRuntime();
  nodes = [...controlPlanes, ...workers].map(
    (address, index) =>
      new SimulatedNode({
        name: index < 3 ? `cp${index + 1}` : `w${index - 2}`,
        address,
        network,
        runtime,
        image: "ghcr.io/siderolabs/installer:v1.12.7",
        stateDirectory: file(address),
        timings: { pullSeconds: 0.2, installSeconds: 0.3, rebootSeconds: 0.8, bootSeconds: 0.6 },
      }),
  );
  await Promise.all(nodes.map((node) => node.start()));
  await succeed("gen", "secrets", "-o", file("secrets.yaml"));
  await succeed(
    "gen", "config", "demo", "https://127.45.0.10:6443", "--with-secrets", file("secrets.yaml"), "-o", directory,
    "--talos-version", "v1.12", "--install-image", "ghcr.io/siderolabs/installer:v1.12.7",
  ); // prettier-ignore
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await factory.stop();
  rmSync(directory, { recursive: true, force: true });
});

test("get machinestatus and get disks --insecure: a new machine is in maintenance mode", async () => {
  expect(await succeed("get", "machinestatus", "--insecure", "-n", first)).toMatch(/maintenance\s+true/);
  expect(await succeed("get", "disks", "--insecure", "-n", first)).toMatch(/sda/);
  const version = await run("version", "--insecure", "-n", first);
  expect(version.text).toMatch(/API is not implemented in maintenance mode/);
});

test("apply-config --insecure: an invalid configuration is refused, with the reason", async () => {
  const config = readFileSync(file("controlplane.yaml"), "utf8");
  writeFileSync(file("bad.yaml"), config.replace("kubelet:", "kubelets:"));
  const { code, text } = await run("apply-config", "--insecure", "-n", first, "-f", file("bad.yaml"));
  expect(code).not.toBe(0);
  expect(text).toMatch(/unknown keys found during decoding: machine\.kubelets/);
});

test("apply-config --insecure: installs and reboots into the installed system", async () => {
  for (const address of controlPlanes) {
    await succeed("apply-config", "--insecure", "-n", address, "-f", file("controlplane.yaml"));
  }
  for (const address of workers) {
    await succeed("apply-config", "--insecure", "-n", address, "-f", file("worker.yaml"));
  }
  await until("all have rebooted", () =>
    nodes.every(({ boot }) => boot?.slot === "A" && boot.services.isUp("apid")),
  );
  expect((await run("get", "machinestatus", "--insecure", "-n", first)).code).not.toBe(0);
});

test("version: of several nodes, with their names", async () => {
  const text = await succeed(...on(`${first},${worker}`), "version");
  expect(text).toMatch(new RegExp(`NODE:\\s+${first}[^]*Tag:\\s+v1.12.7[^]*NODE:\\s+${worker}`));
});

test("bootstrap: works only once", async () => {
  await until("etcd waits", () => nodeAt(first).boot?.services.get("etcd")?.state === "Preparing");
  expect(await succeed(...on(first), "get", "machinestatus")).toMatch(/booting\s+false/);
  await succeed(...on(first), "bootstrap");
  const again = await run(...on(first), "bootstrap");
  expect(again.text).toMatch(/AlreadyExists/);
  await until("all are ready", () =>
    nodes.every((node) => node.snapshot().ready && node.snapshot().stage === "running"),
  );
});

test("health: run by the server", async () => {
  const text = await succeed(...on(first), "health", "--wait-timeout", "20s");
  expect(text).toMatch(/etcd members to be control plane nodes: OK/);
  expect(text).toMatch(/all k8s nodes to report ready: OK/);
});

test("health: fails while a node is down", async () => {
  nodeAt(otherWorker).faults.set("node-down");
  await until("it is off", () => !nodeAt(otherWorker).snapshot().powered);
  const { code, text } = await run(...on(first), "health", "--wait-timeout", "2s");
  expect(code).not.toBe(0);
  expect(text).toContain(otherWorker);
  const versions = await run(...on(`${worker},${otherWorker}`), "version");
  expect(versions.text).toMatch(/Tag:\s+v1.12.7/);
  expect(versions.text).toMatch(/Unavailable/);
  nodeAt(otherWorker).faults.clear();
  await until("it is back", () => nodeAt(otherWorker).snapshot().ready);
});

test("services", async () => {
  const text = await succeed(...on(worker), "services");
  expect(text).toMatch(/kubelet\s+Running\s+OK/);
  expect(text).not.toMatch(/etcd/);
  expect(await succeed(...on(first), "service", "etcd")).toMatch(/STATE\s+Running/);
});

test("get: by alias, by kind and id, and as YAML", async () => {
  expect(await succeed(...on(worker), "get", "machinestatus")).toMatch(/running\s+true/);
  expect(await succeed(...on(worker), "get", "extensions")).toMatch(/NAME\s+VERSION/);
  expect(await succeed(...on(first), "get", "members")).toMatch(/w2\s+1\s+w2\s+worker\s+Talos \(v1\.12\.7\)/);
  const { stdout } = await run(...on(worker), "get", "nodename", "nodename", "-o", "yaml");
  expect(parse(stdout)).toMatchObject({ spec: { nodename: "w1" } });
  const unknown = await run(...on(worker), "get", "nosuchthing");
  expect(unknown.text).toMatch(/not registered/);
});

test("get --watch: shows a change as it happens", async () => {
  const watching = spawn(talosctl, [...on(worker), "get", "machinestatus", "--watch"]);
  let seen = "";
  watching.stdout.on("data", (chunk) => (seen += String(chunk)));
  try {
    await until("the present state", () => /running\s+true/.test(seen));
    nodeAt(worker).faults.set("not-ready");
    await until("the change", () => /running\s+false/.test(seen));
  } finally {
    watching.kill();
    nodeAt(worker).faults.clear();
  }
});

test("etcd members, status and alarms", async () => {
  const members = await succeed(...on(first), "etcd", "members");
  for (const name of ["cp1", "cp2", "cp3"]) expect(members).toContain(name);
  expect(await succeed(...on(second), "etcd", "status")).toMatch(/false\s+3\.6/);
  nodeAt(second).faults.set("etcd-alarm-nospace");
  expect(await succeed(...on(first), "etcd", "alarm", "list")).toMatch(/NOSPACE/);
  await succeed(...on(first), "etcd", "alarm", "disarm");
  expect(await succeed(...on(first), "etcd", "alarm", "list")).not.toMatch(/NOSPACE/);
  expect((await run(...on(worker), "etcd", "members")).text).toMatch(/only available on control plane nodes/);
});

test("kubeconfig: has a client certificate signed by the cluster's CA", async () => {
  await succeed(...on(first), "kubeconfig", file("kubeconfig"));
  const kubeconfig = parse(readFileSync(file("kubeconfig"), "utf8")) as {
    clusters: { cluster: Record<string, string> }[];
    users: { user: Record<string, string> }[];
  };
  const pem = (base64 = ""): X509Certificate => new X509Certificate(Buffer.from(base64, "base64"));
  const authority = pem(kubeconfig.clusters[0]?.cluster["certificate-authority-data"]);
  const client = pem(kubeconfig.users[0]?.user["client-certificate-data"]);
  expect(client.verify(authority.publicKey)).toBe(true);
  expect(client.subject).toMatch(/O=system:masters/);
  expect(kubeconfig.clusters[0]?.cluster["server"]).toBe("https://127.45.0.10:6443");
});

test("read and list", async () => {
  expect(await succeed(...on(worker), "read", "/proc/sys/kernel/random/boot_id")).toContain(
    nodeAt(worker).boot?.id,
  );
  expect((await run(...on(worker), "ls", "/usr/local/sbin/iscsiadm")).text).toMatch(/no such file/);
});

test("os:reader credentials can read but not change anything", async () => {
  await succeed(...on(first), "config", "new", file("reader"), "--roles", "os:reader");
  await succeed(...as("reader", worker), "services");
  expect((await run(...as("reader", worker), "reboot", "--wait=false")).text).toMatch(/PermissionDenied/);
  expect((await run(...as("reader", worker), "get", "machineconfig")).text).toMatch(/PermissionDenied/);
});

test("patch machineconfig: a dry run changes nothing, and a change without a reboot applies immediately", async () => {
  const patch = JSON.stringify({
    machine: { kernel: { modules: [{ name: "iscsi_tcp" }, { name: "dm_multipath" }] } },
  });
  const before = nodeAt(worker).snapshot();
  const dry = await succeed(...on(worker), "patch", "machineconfig", "--dry-run", "-p", patch);
  expect(dry).toMatch(/\+\s+- name: iscsi_tcp/);
  expect(nodeAt(worker).snapshot().appliedConfigs).toEqual(before.appliedConfigs);
  const text = await succeed(...on(worker), "patch", "machineconfig", "-p", patch);
  expect(text).toMatch(/without a reboot/);
  // iscsi_tcp is built into the kernel and never shows up as a module.
  const modules = await succeed(...on(worker), "get", "modules");
  expect(modules).toMatch(/dm_multipath/);
  expect(modules).not.toMatch(/iscsi_tcp/);
  expect(nodeAt(worker).snapshot().bootId).toBe(before.bootId);
});

test("patch machineconfig: a change that needs a reboot reboots, and a staged one waits for the next reboot", async () => {
  const { bootId } = nodeAt(worker).snapshot();
  const patch = JSON.stringify({ machine: { env: { GRPC_GO_LOG_VERBOSITY_LEVEL: "99" } } });
  expect(
    (await run(...on(worker), "patch", "machineconfig", "--mode", "no-reboot", "-p", patch)).text,
  ).toMatch(/can't be applied in immediate mode/);
  await succeed(...on(worker), "patch", "machineconfig", "--mode", "staged", "-p", patch);
  expect(nodeAt(worker).activeConfiguration()).not.toContain("VERBOSITY");
  await succeed(...on(worker), "reboot");
  expect(nodeAt(worker).activeConfiguration()).toContain("VERBOSITY");
  expect(nodeAt(worker).snapshot().bootId).not.toBe(bootId);
});

test("upgrade from 1.12 with --wait: the legacy API does everything", async () => {
  const text = await succeed(
    ...on(worker), "upgrade", "--image", "ghcr.io/siderolabs/installer:v1.13.0", "--drain=false",
  ); // prettier-ignore
  expect(text).toMatch(/falling back to legacy/);
  expect(nodeAt(worker).snapshot()).toMatchObject({ version: "v1.13.0", upgrades: 1, ready: true });
});

test("upgrade from 1.13 with --wait: pull, lifecycle API, reboot", async () => {
  const text = await succeed(...on(worker), "upgrade", "--image", await image("v1.13.9"), "--drain=false");
  expect(text).not.toMatch(/legacy/);
  expect(nodeAt(worker).snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 2, ready: true });
  const extensions = await succeed(...on(worker), "get", "extensions");
  expect(extensions).toMatch(/iscsi-tools\s+v0\.2\.0/);
  expect(extensions).toMatch(/schematic\s+[0-9a-f]{64}/);
  expect(await succeed(...on(worker), "services")).toMatch(/ext-iscsid\s+Running\s+\?/);
  expect(await succeed(...on(worker), "ls", "/usr/local/sbin/iscsiadm")).toMatch(/iscsiadm/);
});

test("upgrade --wait=false and upgrade --legacy", async () => {
  const node = nodeAt(worker);
  await succeed(...on(worker), "upgrade", "--image", await image("v1.13.8"), "--drain=false", "--wait=false");
  await until("it runs 1.13.8", () => node.snapshot().version === "v1.13.8" && node.snapshot().ready);
  await succeed(...on(worker), "upgrade", "--legacy", "--image", await image("v1.13.9"), "--drain=false");
  expect(node.snapshot()).toMatchObject({ version: "v1.13.9", ready: true });
});

test("upgrade of a control plane, then rollback", async () => {
  await succeed(...on(second), "upgrade", "--image", await image("v1.13.9"), "--drain=false");
  expect(nodeAt(second).snapshot().version).toBe("v1.13.9");
  expect(await succeed(...on(first), "etcd", "members")).toContain("cp2");
  await succeed(...on(second), "rollback");
  await until(
    "it is back",
    () => nodeAt(second).snapshot().version === "v1.12.7" && nodeAt(second).snapshot().ready,
  );
});

test("upgrade: a failing installer and a missing image are errors and do no harm", async () => {
  const before = nodeAt(worker).snapshot();
  nodeAt(worker).faults.set("install-exits-nonzero");
  const failed = await run(...on(worker), "upgrade", "--image", await image("v1.13.9"), "--drain=false");
  nodeAt(worker).faults.clear();
  expect(failed.text).toMatch(/upgrade failed with exit code 3/);
  factory.faults.missingVersions.add("v1.13.7");
  const missing = await run(...on(worker), "upgrade", "--image", await image("v1.13.7"), "--drain=false");
  expect(missing.text).toMatch(/NotFound/);
  expect(nodeAt(worker).snapshot()).toMatchObject({ bootId: before.bootId, version: before.version });
});

test("a stopped node is restored from its directory unchanged", async () => {
  const before = nodeAt(worker);
  await before.stop();
  const again = new SimulatedNode({
    name: "w1",
    address: worker,
    network: nodeAt(first).network,
    runtime: new RememberingRuntime(),
    image: "ghcr.io/siderolabs/installer:v1.12.7",
    stateDirectory: file(worker),
  });
  nodes = nodes.map((node) => (node === before ? again : node));
  await again.start();
  expect(await succeed(...on(worker), "version", "--short")).toMatch(/v1\.13\.9/);
  expect(await succeed(...on(worker), "get", "extensions")).toMatch(/iscsi-tools/);
});

test("rotate-ca: a dry run changes nothing, and a real run gives the Talos API a new CA, node by node", async () => {
  const rotate = [
    ...on(first), "rotate-ca", "--kubernetes=false", "--with-docs=false", "--with-examples=false", "--output",
    file("rotated"), "--control-plane-nodes", controlPlanes.join(","), "--worker-nodes", workers.join(","),
  ]; // prettier-ignore
  const boots = () => nodes.map((node) => node.snapshot().boots.length);
  const before = { boots: boots(), ca: nodeAt(worker).config?.machineCa.crt };
  // After its dry run, talosctl 1.13 tries to use a talosconfig that it has not written, and fails if there is no other.
  expect((await run(...rotate)).text).toContain("Dry-run mode enabled");
  expect(nodeAt(worker).config?.machineCa.crt).toBe(before.ca);

  const text = await succeed(...rotate, "--dry-run=false");
  for (const step of [
    "Adding new Talos CA as accepted",
    "Making new Talos CA the issuing CA",
    "Removing old Talos CA",
  ])
    expect(text).toContain(step);
  const cas = nodes.map(({ config }) => [config?.machineCa.crt, config?.acceptedCas]);
  expect(new Set(cas.map((ca) => JSON.stringify(ca))).size).toBe(1);
  expect(cas[0]?.[0]).not.toBe(before.ca);
  expect(cas[0]?.[1]).toEqual([]);
  expect(boots()).toEqual(before.boots);
  // The old credentials no longer work; the new ones do. The secrets come from a control plane.
  expect((await run(...on(worker), "version")).code).not.toBe(0);
  for (const address of [...controlPlanes, ...workers])
    expect(await succeed(...as("rotated", address), "version", "--short")).toContain(address);
  const spec = await run(
    ...as("rotated", first),
    "get",
    "machineconfig",
    "v1alpha1",
    "-o",
    "jsonpath={.spec}",
  );
  writeFileSync(file("rotated.yaml"), spec.stdout);
  await succeed(
    "gen",
    "secrets",
    "--from-controlplane-config",
    file("rotated.yaml"),
    "-o",
    file("rotated-secrets.yaml"),
  );
  const { certs } = parse(readFileSync(file("rotated-secrets.yaml"), "utf8")) as {
    certs: { os: { crt: string } };
  };
  expect(certs.os.crt).toBe(cas[0]?.[0]);
  copyFileSync(file("rotated"), file("talosconfig"));
});

test("reset --reboot: back to maintenance mode", async () => {
  await succeed(...on(otherWorker), "reset", "--graceful=false", "--reboot");
  expect(await succeed("get", "machinestatus", "--insecure", "-n", otherWorker)).toMatch(
    /maintenance\s+true/,
  );
});

test("shutdown", async () => {
  await succeed(...on(worker), "shutdown");
  await until("it is off", () => !nodeAt(worker).snapshot().powered);
});
