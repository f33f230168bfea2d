import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { faultCatalogue, type FaultId } from "../../lab/node/machine/faults.ts";
import { preflight } from "../../lab/node/machine/images.ts";
import type { SimulatedNode } from "../../lab/node/node.ts";
import { setImages } from "../../talos/kubernetesImages.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { TalosActor } from "../../talos/api/talosClient.ts";
import { SimulatedCluster, iscsiSchematicId } from "./simulatedCluster.ts";

let cluster: SimulatedCluster;
let worker: SimulatedNode;
let controlPlane: SimulatedNode;
const clients: TalosActor[] = [];

function connect(node: SimulatedNode): TalosActor {
  const client = connectActor({ endpoint: node.address, credentials: cluster.credentials });
  clients.push(client);
  return client;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const limit = Date.now() + 15_000;
  while (!(await holds())) {
    if (Date.now() > limit) throw new Error(`not within 15 s: ${what}`);
    await delay(20);
  }
}

const failure = async (call: Promise<unknown>): Promise<TalosError> => {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TalosError)) throw new Error(`expected a TalosError, got ${String(error)}`);
  return error;
};

const quick = { deadlineMs: 1500 };
const ignore = (): void => undefined;

async function pullAndInstall(client: TalosActor, version = "v1.13.8"): Promise<number | undefined> {
  return await client.install(await client.pull(cluster.image(version), ignore), ignore);
}

async function rebooted(node: SimulatedNode, client: TalosActor): Promise<void> {
  const before = node.snapshot().boots.length;
  await client.reboot();
  await until("a boot", () => node.snapshot().boots.length > before && node.snapshot().ready);
}

beforeAll(async () => {
  cluster = await SimulatedCluster.start({
    subnet: "127.45.9",
    controlPlanes: 3,
    workers: 1,
    version: "v1.13.9",
  });
  worker = cluster.node("w1");
  controlPlane = cluster.node("cp1");
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const node of cluster.nodes) node.faults.clear();
  await cluster.ready();
  // New certificates take a moment.
  await until(
    "its API is well",
    async () =>
      (await connect(worker)
        .version(quick)
        .catch(() => undefined)) !== undefined,
  );
});

afterAll(async () => cluster.stop());

/** What each fault looks like from outside. The type requires an entry for every fault. */
const symptoms: Record<FaultId, () => Promise<void>> = {
  "pull-fails": async () => {
    expect((await failure(connect(worker).pull(cluster.image("v1.13.1"), ignore))).detail).toMatch(/503/);
  },
  "pull-not-found": async () => {
    expect((await failure(connect(worker).pull(cluster.image("v1.13.1"), ignore))).kind).toBe("notFound");
  },
  "pull-hangs": async () => {
    expect((await failure(connect(worker).pull(cluster.image("v1.13.1"), ignore, quick))).kind).toBe(
      "timeout",
    );
  },
  "slow-pull": async () => {
    const begin = Date.now();
    await connect(worker).pull(cluster.image("v1.13.2"), ignore);
    expect(Date.now() - begin).toBeGreaterThan(1900);
  },
  "install-exits-nonzero": async () => {
    const before = worker.disk.active;
    expect(await pullAndInstall(connect(worker))).toBe(3);
    expect(worker.disk.active).toBe(before);
  },
  "install-not-written": async () => {
    const client = connect(worker);
    expect(await pullAndInstall(client)).toBe(0);
    await rebooted(worker, client);
    expect(worker.snapshot().version).toBe("v1.13.9");
  },
  "slow-install": async () => {
    const begin = Date.now();
    await pullAndInstall(connect(worker), "v1.13.9");
    expect(Date.now() - begin).toBeGreaterThan(3900);
  },
  "stream-breaks": async () => {
    const { length } = worker.installs;
    expect((await failure(pullAndInstall(connect(worker), "v1.13.9"))).kind).toBe("unreachable");
    expect(worker.installs).toHaveLength(length);
    // The installer outlives its caller, as on a real node.
    await until("it is installed all the same", () => worker.installs[length]?.exitCode === 0);
  },
  "stream-breaks-late": async () => {
    const { length } = worker.installs;
    expect((await failure(pullAndInstall(connect(worker), "v1.13.9"))).kind).toBe("unreachable");
    expect(worker.installs[length]?.exitCode).toBe(0);
  },
  "reboots-during-install": async () => {
    const { bootId, version } = worker.snapshot();
    worker.faults.set("reboots-during-install", { once: true });
    await failure(pullAndInstall(connect(worker)));
    await until("another boot", () => ![bootId, ""].includes(worker.snapshot().bootId));
    expect(worker.snapshot().version).toBe(version);
  },
  "upgrade-locked": async () => {
    expect((await failure(pullAndInstall(connect(worker)))).kind).toBe("locked");
  },
  "lifecycle-unimplemented": async () => {
    expect((await failure(pullAndInstall(connect(worker)))).kind).toBe("unimplemented");
  },
  "falls-back": async () => {
    const client = connect(worker);
    const before = worker.snapshot();
    expect(await pullAndInstall(client, "v1.13.7")).toBe(0);
    await rebooted(worker, client);
    expect(worker.snapshot()).toMatchObject({ version: before.version, ready: true });
    expect(worker.snapshot().bootId).not.toBe(before.bootId);
    expect(worker.boots.at(-2)).toMatchObject({ version: "v1.13.7", outcome: "failed" });
  },
  "falls-back-late": async () => {
    const client = connect(worker);
    const before = worker.snapshot();
    worker.faults.set("falls-back-late", { once: true });
    expect(await pullAndInstall(client, "v1.13.7")).toBe(0);
    await client.reboot();
    await until("two boots", () => worker.boots.length > before.boots.length + 1 && worker.snapshot().ready);
    expect(worker.boots.slice(-2).map(({ version }) => version)).toEqual(["v1.13.7", before.version]);
  },
  "never-returns": async () => {
    const client = connect(worker);
    await client.reboot();
    await until("it is gone", () => !worker.snapshot().powered);
    await delay(600);
    expect((await failure(client.version(quick))).kind).toBe("unreachable");
  },
  "reboot-ignored": async () => {
    const { bootId } = worker.snapshot();
    await connect(worker).reboot();
    await delay(500);
    expect(worker.snapshot().bootId).toBe(bootId);
  },
  "slow-boot": async () => {
    const client = connect(worker);
    const { bootId } = worker.snapshot();
    await client.reboot();
    await until("another boot", () => ![bootId, ""].includes(worker.snapshot().bootId));
    await until(
      "the API is back",
      async () => (await client.version(quick).catch(() => undefined)) !== undefined,
    );
    await delay(1000);
    expect((await client.machineStatus()).stage).toBe("booting");
  },
  "schematic-differs": async () => {
    const client = connect(worker);
    expect(await pullAndInstall(client, "v1.13.9")).toBe(0);
    await rebooted(worker, client);
    const { schematicId, installed } = await client.extensions();
    expect(schematicId).toMatch(/^[0-9a-f]{64}$/);
    expect(schematicId).not.toBe(iscsiSchematicId);
    expect(installed).toEqual([]);
  },
  "extension-missing": async () => {
    await withIscsi();
    expect((await connect(worker).extensions()).installed).toEqual([]);
  },
  "iscsid-not-running": async () => {
    await withIscsi();
    const services = await connect(worker).services();
    expect(services.find(({ id }) => id === "ext-iscsid")?.state).toBe("Failed");
  },
  "iscsiadm-missing": async () => {
    await withIscsi();
    expect(await connect(worker).hasFile("/usr/local/sbin/iscsiadm")).toBe(false);
  },
  "certificates-refused": async () => {
    await until(
      "certificates are refused",
      async () => (await failure(connect(worker).version(quick)).catch(() => undefined)) !== undefined,
    );
  },
  "permission-denied": async () => {
    expect((await failure(connect(worker).reboot())).kind).toBe("denied");
    expect((await connect(worker).version()).tag).toMatch(/^v/);
  },
  "clock-skewed": async () => {
    await until("its certificate has run out", async () => {
      const error = await connect(worker)
        .version(quick)
        .then(() => undefined, String);
      return error?.includes("expired") ?? false;
    });
    await until("it says so", () => worker.snapshot().unmet.some(({ name }) => name === "time"));
  },
  "half-open": async () => {
    expect((await failure(connect(worker).version(quick))).kind).toBe("timeout");
  },
  "flaky-api": async () => {
    const client = connect(worker);
    const results = await Promise.allSettled([1, 2, 3, 4].map(() => client.version(quick)));
    expect(results.filter(({ status }) => status === "rejected")).toHaveLength(2);
  },
  "slow-answers": async () => {
    const start = performance.now();
    await connect(worker).version({ deadlineMs: 10_000 });
    expect(performance.now() - start).toBeGreaterThan(450);
  },
  "configuration-refused": async () => {
    const data = worker.config?.text ?? "";
    const { length } = worker.appliedConfigs;
    expect((await connect(worker).applyConfiguration({ data, mode: "AUTO", dryRun: true })).mode).toBe(
      "NO_REBOOT",
    );
    expect((await failure(connect(worker).applyConfiguration({ data, mode: "NO_REBOOT" }))).kind).toBe(
      "failed",
    );
    expect(worker.appliedConfigs).toHaveLength(length);
  },
  "reply-lost": async () => {
    const { bootId } = worker.snapshot();
    worker.faults.set("reply-lost", { once: true });
    expect((await failure(connect(worker).reboot())).kind).toBe("unreachable");
    await until("it was carried out", () => ![bootId, ""].includes(worker.snapshot().bootId));
  },
  "node-down": async () => {
    await until("it is off", () => !worker.snapshot().powered);
    expect((await failure(connect(worker).version(quick))).kind).toBe("unreachable");
  },
  "not-ready": async () => {
    await until("it says so", async () => !(await connect(worker).machineStatus()).ready);
    expect((await connect(worker).machineStatus()).stage).toBe("running");
  },
  "kubelet-unhealthy": async () => {
    const services = await connect(worker).services();
    expect(services.find(({ id }) => id === "kubelet")).toMatchObject({
      state: "Running",
      health: "unhealthy",
    });
  },
  "api-server-down": async () => {
    const client = connect(controlPlane);
    const before = controlPlane.config?.text ?? "";
    controlPlane.faults.set("api-server-down");
    const image = "registry.k8s.io/kube-apiserver:v1.35.5";
    await client.applyConfiguration({
      data: setImages(before, { "kube-apiserver": image }),
      mode: "NO_REBOOT",
    });
    const pod = (): Promise<unknown> => client.apiServer();
    await until("it is not ready", async () => (await client.apiServer())?.ready === false);
    expect(await pod()).toMatchObject({
      wantedImage: image,
      image: "registry.k8s.io/kube-apiserver:v1.35.4",
    });
    controlPlane.faults.clear();
    await until("it is back", async () => (await client.apiServer())?.ready === true);
    expect(await pod()).toMatchObject({ wantedImage: image, image });
  },
  "kubelet-does-not-return": async () => {
    const image = "ghcr.io/siderolabs/kubelet:v1.35.5";
    const data = setImages(worker.config?.text ?? "", { kubelet: image });
    await connect(worker).applyConfiguration({ data, mode: "NO_REBOOT" });
    await until("it is away", async () => !(await connect(worker).machineStatus()).ready);
    const services = await connect(worker).services();
    expect(services.find(({ id }) => id === "kubelet")?.state).toBe("Stopping");
  },
  "etcd-member-unhealthy": async () => {
    controlPlane.faults.set("etcd-member-unhealthy");
    const client = connect(controlPlane);
    expect((await client.etcdStatus()).errors).not.toEqual([]);
    expect((await client.services()).find(({ id }) => id === "etcd")?.health).toBe("unhealthy");
    // Two of three are a majority, one is not.
    expect(await connect(cluster.node("cp2")).etcdMembers()).toHaveLength(3);
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    expect((await failure(connect(cluster.node("cp3")).etcdMembers(quick))).kind).toBe("timeout");
  },
  "etcd-learner": async () => {
    controlPlane.faults.set("etcd-learner");
    expect((await connect(controlPlane).etcdStatus()).learner).toBe(true);
    const members = await connect(cluster.node("cp2")).etcdMembers();
    expect(members.filter(({ learner }) => learner).map(({ hostname }) => hostname)).toEqual(["cp1"]);
  },
  "etcd-alarm-nospace": async () => {
    controlPlane.faults.set("etcd-alarm-nospace");
    const alarms = await connect(cluster.node("cp2")).etcdAlarms();
    expect(alarms).toEqual([{ memberId: controlPlane.disk.etcd?.memberId, alarm: "NOSPACE" }]);
  },
  "etcd-alarm-corrupt": async () => {
    controlPlane.faults.set("etcd-alarm-corrupt");
    const alarms = await connect(cluster.node("cp2")).etcdAlarms();
    expect(alarms).toEqual([{ memberId: controlPlane.disk.etcd?.memberId, alarm: "CORRUPT" }]);
  },
  "etcd-member-not-started": async () => {
    controlPlane.faults.set("etcd-member-not-started");
    const members = await connect(cluster.node("cp2")).etcdMembers();
    expect(members.map(({ hostname }) => hostname)).toEqual(["cp1", "cp2", "cp3", ""]);
  },
};

/** Makes sure that the worker runs an image with iscsi-tools. */
async function withIscsi(): Promise<void> {
  if (worker.boot?.image.schematic === iscsiSchematicId) return;
  const { active } = worker.disk;
  const faults = worker.faults.active();
  worker.faults.clear();
  const client = connect(worker);
  expect(await pullAndInstall(client, "v1.13.9")).toBe(0);
  expect(worker.disk.active).not.toBe(active);
  await rebooted(worker, client);
  for (const { id } of faults) worker.faults.set(id);
}

describe("faults", () => {
  test.each(faultCatalogue.map(({ id }) => id))("%s", async (id) => {
    if (!id.startsWith("etcd-")) worker.faults.set(id);
    await symptoms[id]();
  });

  test("an unknown fault is refused, and the known ones are listed", () => {
    expect(() => worker.faults.set("no-such-fault")).toThrow(/never-returns/);
  });

  test("a one-time fault happens once", async () => {
    worker.faults.set("pull-fails", { once: true });
    const client = connect(worker);
    await failure(client.pull(cluster.image("v1.13.3"), ignore));
    await client.pull(cluster.image("v1.13.3"), ignore);
    expect(worker.faults.active()).toEqual([]);
  });
});

describe("an upgrade through the lifecycle API", () => {
  test("adds the schematic's extension with its service, file and initiator name", async () => {
    await withIscsi();
    const client = connect(worker);
    const { schematicId, installed } = await client.extensions();
    expect(schematicId).toBe(iscsiSchematicId);
    expect(installed).toContainEqual({ name: "iscsi-tools", version: "v0.2.0" });
    expect((await client.services()).find(({ id }) => id === "ext-iscsid")).toMatchObject({
      state: "Running",
      health: "unknown",
    });
    expect(await client.hasFile("/usr/local/sbin/iscsiadm")).toBe(true);
    expect(await client.readText("/etc/iscsi/initiatorname.iscsi")).toMatch(
      /^InitiatorName=iqn\.2017-11\.dev\.talos:[0-9a-f]{32}\s*$/,
    );
  });

  test("installs without a pull and without a reboot", async () => {
    const client = connect(worker);
    const { bootId } = worker.snapshot();
    await expect(client.install(cluster.image("v1.13.4"), ignore)).rejects.toThrow(
      /not found in containerd store/,
    );
    expect(await pullAndInstall(client, "v1.13.9")).toBe(0);
    expect(worker.snapshot().bootId).toBe(bootId);
    await rebooted(worker, client);
  });

  test("changes the boot ID, and increments the counters", async () => {
    const client = connect(worker);
    const before = worker.snapshot();
    const bootId = await client.bootId();
    expect(await pullAndInstall(client, "v1.13.9")).toBe(0);
    await rebooted(worker, client);
    expect(await client.bootId()).not.toBe(bootId);
    expect(worker.snapshot().upgrades).toBe(before.upgrades + 1);
    expect(worker.snapshot().reboots).toBe(before.reboots + 1);
  });

  test("is refused by the installer if the host is too old or too new", () => {
    expect(preflight("v1.10.9", "v1.13.9")).toMatch(/too old/);
    expect(preflight("v1.7.7", "v1.9.0")).toMatch(/too old/);
    expect(preflight("v1.14.1", "v1.12.7")).toMatch(/too new/);
    expect(preflight("v1.12.7", "v1.13.9")).toBeUndefined();
  });
});

describe("the network", () => {
  test("a control plane forwards to another node, a worker does not", async () => {
    const through = connectActor({
      endpoint: controlPlane.address,
      node: worker.address,
      credentials: cluster.credentials,
    });
    clients.push(through);
    expect(await through.bootId()).toBe(worker.snapshot().bootId);
    const refused = connectActor({
      endpoint: worker.address,
      node: controlPlane.address,
      credentials: cluster.credentials,
    });
    clients.push(refused);
    expect((await failure(refused.version())).detail).toContain("a worker, which forwards to no other node");
  });

  test("a forwarded call to a node that is off fails, and the endpoint stays healthy", async () => {
    worker.faults.set("node-down");
    await until("it is off", () => !worker.snapshot().powered);
    const through = connectActor({
      endpoint: controlPlane.address,
      node: worker.address,
      credentials: cluster.credentials,
    });
    clients.push(through);
    expect((await failure(through.version(quick))).kind).toBe("unreachable");
    expect((await connect(controlPlane).version()).tag).toBe("v1.13.9");
  });
});

describe("older releases", () => {
  let old: SimulatedCluster;
  beforeAll(async () => {
    old = await SimulatedCluster.start({ subnet: "127.45.7", controlPlanes: 1, version: "v1.7.7" });
  });
  afterAll(async () => old.stop());

  const client = (): TalosActor => {
    const opened = connectActor({ endpoint: old.node("cp1").address, credentials: old.credentials });
    clients.push(opened);
    return opened;
  };

  test("before 1.8, a single control plane is only upgraded with preserve, and then keeps its data", async () => {
    const node = old.node("cp1");
    const image = old.image("v1.8.4");
    await expect(client().upgradeLegacy({ image, preserve: false })).rejects.toThrow(/preserve/);
    const member = node.disk.etcd?.memberId;
    await client().upgradeLegacy({ image, preserve: true });
    await until("it runs 1.8", () => node.snapshot().version === "v1.8.4" && node.snapshot().ready);
    expect(node.disk.etcd?.memberId).toBe(member);
    expect(node.snapshot()).toMatchObject({ dataWipes: 0, upgrades: 1 });
  });

  test("up to 1.9, ext-tgtd runs too, and the initiator name changes with 1.10", async () => {
    const node = old.node("cp1");
    const services = (await client().services()).map(({ id }) => id);
    expect(services).toEqual(expect.arrayContaining(["ext-iscsid", "ext-tgtd"]));
    const before = node.snapshot().initiatorName;
    await client().upgradeLegacy({ image: old.image("v1.10.9"), preserve: false });
    await until("it runs 1.10", () => node.snapshot().version === "v1.10.9" && node.snapshot().ready);
    expect((await client().services()).map(({ id }) => id)).not.toContain("ext-tgtd");
    expect(node.snapshot().initiatorName).toMatch(/^iqn\.2017-11\.dev\.talos:/);
    expect(node.snapshot().initiatorName).not.toBe(before);
  });

  test("have no lifecycle API", async () => {
    expect((await failure(client().pull(old.image("v1.12.7"), ignore))).kind).toBe("unimplemented");
  });
});

test("the legacy API refuses a control plane while etcd is unhealthy", async () => {
  cluster.node("cp2").faults.set("etcd-member-unhealthy");
  const call = connect(controlPlane).upgradeLegacy({ image: cluster.image("v1.13.8"), preserve: false });
  await expect(call).rejects.toThrow(/etcd member cp2 is not healthy/);
});
