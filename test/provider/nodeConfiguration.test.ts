import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import type { SimulatedNode } from "../../lab/node/node.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { hasUnknown, unwrap, type Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { TalosError } from "../../talos/api/errors.ts";
import type { TalosActor } from "../../talos/api/talosClient.ts";
import { mergeConfig } from "../../talos/mergeConfig.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { expectFailure, createHarness, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster, waitingMachine } from "./simulatedCluster.ts";

// A node's configuration: what previews show, what is applied and how, and what is refused.

const urn =
  "urn:pulumi:dev::talos-iscsi::talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration::cluster-config";
const canary = "CANARYc4n4ryCANARY";

interface Config {
  machine: Record<string, unknown>;
  cluster: Record<string, unknown>;
}

let cluster: SimulatedCluster;
beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.49.1", controlPlanes: 3, workers: 1 });
});
afterAll(async () => cluster?.stop());

/** A node's configuration with a change. */
function wantedOf(name: string, change: (config: Config) => void = () => undefined): string {
  const config = parse(cluster.node(name).config?.text ?? "") as Config;
  change(config);
  return stringify(config);
}

function inputsOf(name: string, machineConfiguration: string, more: Properties = {}): Properties {
  const node = cluster.node(name);
  return {
    name,
    node: node.address,
    role: node.identity().role,
    controlPlanes: ["cp1", "cp2", "cp3"].map((other) => cluster.node(other).address),
    clientConfiguration: { ...cluster.credentials },
    machineConfiguration,
    configuration: redactMachineConfig(machineConfiguration),
    patches: [],
    acceptDropped: [],
    contract: "v1.12",
    timeoutSeconds: 3,
    ...more,
  };
}

const sysctl = 'machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n';
const withSysctl = (config: Config): void => {
  config.machine["sysctls"] = { "vm.nr_hugepages": "1024" };
};

/** Restores a node's configuration, so tests do not see each other's changes. */
async function restoring<T>(name: string, work: () => Promise<T>): Promise<T> {
  const node = cluster.node(name);
  const { disk, boot } = node;
  const [stored, running] = [disk.config, boot?.config];
  try {
    return await work();
  } finally {
    if (stored !== undefined) disk.config = stored;
    if (boot !== undefined && running !== undefined) boot.config = running;
  }
}

/** The applies that a node received. */
const applied = (name: string): string[] =>
  cluster
    .node(name)
    .snapshot()
    .appliedConfigs.map(({ mode }) => mode);

/** A provider with a modified actor. */
function acting(change: (talos: TalosActor) => Partial<TalosActor>): Harness {
  return createHarness(undefined, {}, (connection) => {
    const talos = connectActor(connection);
    const changed = change(talos);
    return new Proxy(talos, {
      get: (target, key) => {
        const own: unknown = Reflect.get(changed, key);
        if (own !== undefined) return own;
        const value: unknown = Reflect.get(target, key);
        return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
      },
    });
  });
}

/** A provider that counts its connections. */
function counted() {
  let dials = 0;
  const own = createHarness(undefined, {}, (connection) => {
    dials++;
    return connectActor(connection);
  });
  return { ...own, dials: () => dials };
}

async function check(
  { provider }: Pick<Harness, "provider">,
  olds: Properties,
  news: Properties,
): Promise<{ inputs: Properties; failures: { property: string; reason: string }[] }> {
  const checked = await provider.check(urn, olds, news);
  return { inputs: checked.inputs as Properties, failures: checked.failures ?? [] };
}

const changesOf = (inputs: Properties): unknown => unwrap(inputs).values["changes"];
const reasons = ({ failures }: { failures: { reason: string }[] }): string =>
  failures.map(({ reason }) => reason).join("\n");

async function fresh(name: string, address: string): Promise<SimulatedNode> {
  const machine = waitingMachine(cluster, name, address);
  await machine.start();
  return machine;
}

describe("the preview", () => {
  it("shows exactly what the node gains, changes and loses", async () => {
    const own = createHarness();
    const image = "factory.talos.dev/metal-installer/c9:v1.13.9";
    const wanted = wantedOf("w1", (config) => {
      withSysctl(config);
      (config.machine["install"] as Properties)["image"] = image;
    });
    const patches = [sysctl, `machine: { install: { image: "${image}" } }`];
    const { inputs, failures } = await check(own, {}, inputsOf("w1", wanted, { patches }));
    expect(failures).toEqual([]);
    expect(changesOf(inputs)).toEqual([
      `~ machine.install.image: ghcr.io/siderolabs/installer:v1.12.7 -> ${image}`,
      "+ machine.sysctls.vm.nr_hugepages: 1024",
    ]);
  });

  it("appends its lines to those of earlier applies, so the engine shows none as removed", async () => {
    const own = createHarness();
    const first = (await check(own, {}, inputsOf("w1", wantedOf("w1", withSysctl), { patches: [sysctl] })))
      .inputs;
    const label = "machine: { nodeLabels: { rack: a } }";
    const next = wantedOf("w1", (config) => {
      withSysctl(config);
      config.machine["nodeLabels"] = { rack: "a" };
    });
    const { inputs } = await check(own, first, inputsOf("w1", next, { patches: [sysctl, label] }));
    const [before, after] = [changesOf(first), changesOf(inputs)] as string[][];
    expect(after?.slice(0, before?.length)).toEqual(before);
    expect(after?.slice(before?.length)).toContain("+ machine.nodeLabels.rack: a");
  });

  it("warns that a running worker cannot change its own taints, which a control plane can", async () => {
    const warnings = async (name: string, before?: string, after?: string): Promise<string> => {
      const own = createHarness();
      const withTaint = (taint?: string): string =>
        wantedOf(name, (config) => {
          if (taint !== undefined) config.machine["nodeTaints"] = { "nvidia.com/gpu": taint };
        });
      await restoring(name, async () => {
        cluster.node(name).disk.config = withTaint(before);
        const patches = ['machine: { nodeTaints: { nvidia.com/gpu: "x:NoSchedule" } }'];
        await check(own, {}, inputsOf(name, withTaint(after), { patches }));
      });
      return own.warnings.join();
    };
    const warned = /^w1 \(127\.49\.1\.21\): a running worker cannot change its own taints .*\[node-taints\]/;
    expect(await warnings("w1", undefined, "present:NoSchedule")).toMatch(warned);
    expect(await warnings("w1", "present:NoSchedule", "NoSchedule")).toMatch(warned);
    expect(await warnings("w1", "present:NoSchedule")).toMatch(warned);
    expect(await warnings("w1", "NoSchedule", "NoSchedule")).toBe("");
    const joining = wantedOf("w1", (config) => {
      config.machine["kubelet"] = {
        ...(config.machine["kubelet"] as object),
        extraConfig: { registerWithTaints: [{ key: "nvidia.com/gpu", effect: "NoSchedule" }] },
      };
    });
    const own = createHarness();
    await check(own, {}, inputsOf("w1", joining));
    expect(own.warnings.join()).toMatch(/cannot change its own taints \(NodeRestriction\) \[node-taints\]/);
    expect(await warnings("cp1", undefined, "NoSchedule")).toBe("");
  });

  it("refuses a change that would drop something, and names the node, the path and what to do", async () => {
    const own = createHarness();
    const wanted = wantedOf("w1", (config) => delete config.machine["network"]);
    const { failures } = await check(own, {}, inputsOf("w1", wanted));
    expect(failures).toEqual([
      {
        property: "node",
        reason: expect.stringMatching(
          /^w1 \(127\.49\.1\.21\): .* \[config-drops\]\. Nothing was applied\.\n {2}- machine\.network\.hostname: w1\n.*cluster\.acceptDropped\.$/,
        ) as string,
      },
    ]);
    const accepted = inputsOf("w1", wanted, { acceptDropped: ["machine.network"] });
    expect((await check(own, {}, accepted)).failures).toEqual([]);
  });

  it("contacts no node if nothing changed, keeps its lines and causes no diff", async () => {
    const own = counted();
    const given = inputsOf("w1", wantedOf("w1", withSysctl), { patches: [sysctl] });
    const first = (await check(own, {}, given)).inputs;
    expect(own.dials()).toBeGreaterThan(0);
    const before = own.dials();
    const second = (await check(own, first, given)).inputs;
    expect(own.dials()).toBe(before);
    expect(second).toEqual(first);
    expect(await own.provider.diff("w1", urn, first, second)).toEqual({ changes: false });
  });

  it("shows nothing if patches are only written in another way, and contacts no node", async () => {
    const own = counted();
    const patch = 'machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n    net.core.somaxconn: "4096"\n';
    const inputsWith = (...patches: string[]) =>
      inputsOf("w1", mergeConfig(wantedOf("w1"), patches), { patches });
    const first = (await check(own, {}, inputsWith(patch))).inputs;
    const before = own.dials();
    const [head = "", ...keys] = patch.split("    ");
    const rewritten = `# why\n${head}${keys
      .reverse()
      .map((line) => `    ${line}`)
      .join("")}`;
    const apart = keys.map((line) => `${head}    ${line}`);
    for (const patches of [[`# why\n${patch}`], [rewritten], apart]) {
      const second = (await check(own, first, inputsWith(...patches))).inputs;
      expect(await own.provider.diff("w1", urn, first, second, first)).toEqual({ changes: false });
    }
    expect(own.dials()).toBe(before);
  });

  it("removes what it had added itself without asking", async () => {
    const own = createHarness();
    const old = inputsOf("w1", wantedOf("w1"));
    const wanted = wantedOf("w1", (config) => delete config.machine["network"]);
    const { inputs, failures } = await check(own, old, inputsOf("w1", wanted));
    expect(failures).toEqual([]);
    expect(changesOf(inputs)).toEqual(["- machine.network.hostname: w1"]);
  });

  it("refuses another role: at its next boot, a control plane would be gone without having left etcd", async () => {
    const before = inputsOf("cp3", wantedOf("cp3"));
    const worker = wantedOf("cp3", (config) => {
      config.machine["type"] = "worker";
      delete (config.machine["ca"] as Properties)["key"];
      delete (config.cluster["ca"] as Properties)["key"];
    });
    const wanted = { ...inputsOf("cp3", worker), role: "worker" };
    expect(reasons(await check(createHarness(), before, wanted))).toMatch(
      /cp3 .*is a controlplane.*\[role-change\]/,
    );
    const up = createHarness().provider.update("cp3", urn, before, wanted);
    expect((await expectFailure(up)).message).toContain("[role-change]");
    expect(applied("cp3")).toEqual([]);
  });

  it("warns of a node that did not answer, continues, and asks it again next time", async () => {
    const own = counted();
    const given = inputsOf("w1", wantedOf("w1"), { node: "127.49.1.99" });
    const { inputs, failures } = await check(own, {}, given);
    expect(failures).toEqual([]);
    expect(changesOf(inputs)).toEqual(["not known: w1 (127.49.1.99) could not be read"]);
    expect(own.warnings.join()).toContain("[config-unreadable]");
    const before = own.dials();
    await check(own, inputs, given);
    expect(own.dials()).toBeGreaterThan(before);
  });

  it("does not advise to switch on a node that refuses credentials without the role os:admin", async () => {
    const own = acting((talos) => ({
      machineConfiguration: async () => {
        throw new TalosError("denied", talos.node, "State.Get", "not authorized");
      },
    }));
    const { inputs } = await check(own, {}, inputsOf("w1", wantedOf("w1", withSysctl)));
    expect(own.warnings.join()).toMatch(/not authorized.*needs the role os:admin/);
    const { message } = await expectFailure(own.provider.create(urn, inputs));
    expect(message).toMatch(/not authorized.*\[config-unreadable\].*needs the role os:admin/);
    expect(message).not.toContain("Check that the node is on");
  });

  it("shows what only the deployment can know as unknown, and contacts no node for it", async () => {
    const own = counted();
    const given = inputsOf("w1", unknownValue, { configuration: unknownValue });
    const { inputs, failures } = await check(own, {}, given);
    expect(failures).toEqual([]);
    expect(own.dials()).toBe(0);
    expect(hasUnknown(unwrap(inputs).values["machineConfiguration"])).toBe(true);
    // If the lines were left out, the engine would refuse a saved plan once they appear.
    expect(changesOf(inputs)).toBe(unknownValue);
  });

  it("does not name a wrong secret property, since engines print a named property's value", async () => {
    const wrong = { machineConfiguration: 5, patches: canary, clientConfiguration: canary };
    const { failures } = await check(createHarness(), {}, inputsOf("w1", "x", wrong));
    expect(failures.map(({ property, reason }) => [property, reason.split(" ")[0]])).toEqual([
      ["", "[clientConfiguration]"],
      ["", "[machineConfiguration]"],
      ["", "[patches]"],
    ]);
    expect(JSON.stringify(failures)).not.toContain(canary);
  });

  it("shows no secret anywhere", async () => {
    const wanted = wantedOf("w1", (config) => {
      config.machine["token"] = canary;
      config.machine["env"] = { HTTPS_PROXY: `http://user:${canary}@proxy:3128` };
      config.machine["someNewApiKey"] = canary;
    });
    const { inputs, failures } = await check(createHarness(), {}, inputsOf("w1", wanted));
    const { clientConfiguration, machineConfiguration, patches, ...shown } = inputs;
    for (const secret of [clientConfiguration, machineConfiguration, patches]) {
      expect(secret).toMatchObject({
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
      });
    }
    expect(JSON.stringify([shown, failures])).not.toContain(canary);
    expect(changesOf(inputs)).toHaveLength(3);
  });

  it("replaces the resource if the address changes, since that is another machine", async () => {
    const [old, moved] = ["127.49.1.21", "127.49.1.31"].map((node) =>
      inputsOf("w1", wantedOf("w1"), { node }),
    );
    expect(await createHarness().provider.diff("w1", urn, old ?? {}, moved ?? {})).toEqual({
      changes: true,
      replaces: ["node"],
    });
  });
});

describe("another contract", () => {
  const raised = (createdWith?: string): Properties =>
    inputsOf("cp1", wantedOf("cp1"), {
      contract: "v1.13",
      ...(createdWith === undefined ? {} : { createdWith }),
    });

  it("than at the last up is refused in the preview with the reason, and without contacting the node", async () => {
    const own = counted();
    const found = await check(own, inputsOf("cp1", wantedOf("cp1")), raised());
    expect(found.failures).toEqual([
      { property: "contract", reason: expect.stringContaining("siderolabs/talos#13885") as string },
    ]);
    expect(reasons(found)).toMatch(/from v1\.12 to v1\.13 \[contract-change\].*talosContract: v1\.12/);
    expect(own.dials()).toBe(0);
  });

  it("than that of the cluster's own secrets is refused too, even if the state has lost the node", async () => {
    expect(reasons(await check(createHarness(), {}, raised("v1.12")))).toContain("siderolabs/talos#13885");
    expect((await check(createHarness(), {}, raised("v1.13"))).failures).toEqual([]);
  });

  it("is detected by the encryption keys that it removes, if the contract was never recorded", async () => {
    const secret = (key: string) => (config: Config) => {
      config.cluster[key] = "c2VjcmV0LW9mLWEtdGVzdA==";
    };
    await restoring("cp1", async () => {
      const node = cluster.node("cp1");
      node.disk.config = wantedOf("cp1", secret("aescbcEncryptionSecret"));
      const before = inputsOf("cp1", node.disk.config);
      const next = inputsOf("cp1", wantedOf("cp1", secret("secretboxEncryptionSecret")));
      const found = await check(createHarness(), before, next);
      expect(reasons(found)).toMatch(
        /cluster\.aescbcEncryptionSecret would be replaced or removed.*siderolabs\/talos#13885/,
      );
      const both = wantedOf("cp1", (config) => {
        secret("aescbcEncryptionSecret")(config);
        secret("secretboxEncryptionSecret")(config);
      });
      expect((await check(createHarness(), before, inputsOf("cp1", both))).failures).toEqual([]);
    });
  });
});

describe("the deployment", () => {
  it("asks by a dry run, then applies without a reboot", async () => {
    await restoring("w1", async () => {
      const wanted = wantedOf("w1", withSysctl);
      const before = applied("w1").length;
      const { outs } = await createHarness().provider.create(
        urn,
        inputsOf("w1", wanted, { patches: [sysctl] }),
      );
      expect(unwrap(outs).values["given"]).toMatchObject({ machineConfiguration: wanted, patches: [sysctl] });
      expect(outs["given"]).toHaveProperty("4dabf18193072939515e22adb298388d");
      expect(applied("w1").slice(before)).toEqual(["no_reboot"]);
      expect(cluster.node("w1").disk.config).toBe(wanted);
    });
  });

  it("stages what needs a reboot, and leaves the reboot to the upgrade", async () => {
    await restoring("w1", async () => {
      const own = createHarness();
      const udev = 'machine: { udev: { rules: ["x"] } }';
      const wanted = wantedOf("w1", (config) => (config.machine["udev"] = { rules: ["x"] }));
      const [before, boots] = [applied("w1").length, cluster.node("w1").snapshot().boots];
      await own.provider.create(urn, inputsOf("w1", wanted, { patches: [udev] }));
      expect(applied("w1").slice(before)).toEqual(["staged"]);
      expect(own.warnings.join()).toContain("its configuration is staged");
      expect(cluster.node("w1").snapshot().boots).toEqual(boots);
    });
  });

  it("applies nothing when the dry run gets no answer: a guess could reboot the node", async () => {
    const lost = new TalosError("timeout", "w1", "MachineService.ApplyConfiguration", "no answer within 1 s");
    const own = acting((talos) => ({
      applyConfiguration: async (request, call) =>
        request.dryRun === true ? Promise.reject(lost) : talos.applyConfiguration(request, call),
    }));
    const before = applied("w1").length;
    const failed = await expectFailure(
      own.provider.create(urn, inputsOf("w1", wantedOf("w1", withSysctl), { patches: [sysctl] })),
    );
    expect(failed.message).toMatch(/its configuration could not be applied: .*no answer within 1 s/);
    expect(applied("w1")).toHaveLength(before);
  });

  it("checks the node if the answer to an apply is lost, and does not send the same configuration again", async () => {
    await restoring("w1", async () => {
      const own = acting((talos) => ({
        applyConfiguration: async (request, call) => {
          const answer = await talos.applyConfiguration(request, call);
          if (request.dryRun === true) return answer;
          throw new TalosError("unreachable", "w1", "MachineService.ApplyConfiguration", "EOF");
        },
      }));
      const wanted = wantedOf("w1", withSysctl);
      const before = applied("w1").length;
      await own.provider.create(urn, inputsOf("w1", wanted, { patches: [sysctl] }));
      expect(applied("w1")).toHaveLength(before + 1);
    });
  });

  it("guards again after an apply that failed", async () => {
    await restoring("cp1", async () => {
      const refuse = acting(() => ({
        applyConfiguration: async (request) => {
          if (request.dryRun === true) return { mode: "NO_REBOOT", warnings: [], details: "" };
          throw new TalosError("failed", "cp1", "MachineService.ApplyConfiguration", "disk full");
        },
      }));
      const old = inputsOf("cp1", wantedOf("cp1"));
      const news = inputsOf("cp1", wantedOf("cp1", withSysctl), { patches: [sysctl], timeoutSeconds: 1 });
      const failed = await expectFailure(refuse.provider.update("cp1", urn, old, news));
      expect(failed.message).toContain("disk full");
      // The state is the old one: the next preview shows the same lines, and the next up checks the other nodes.
      expect(failed).not.toHaveProperty("properties");
      expect(changesOf((await check(createHarness(), old, news)).inputs)).toEqual([
        "+ machine.sysctls.vm.nr_hugepages: 1024",
      ]);
      cluster.node("cp2").faults.set("etcd-member-unhealthy");
      const before = applied("cp1").length;
      const again = await expectFailure(createHarness().provider.update("cp1", urn, old, news));
      expect(again.message).toMatch(/was not applied .*127\.49\.1\.12.*\[etcd-/);
      expect(applied("cp1")).toHaveLength(before);
      cluster.node("cp2").faults.clear();
      await cluster.ready();
      await createHarness().provider.update("cp1", urn, old, news);
      expect(applied("cp1").slice(before)).toEqual(["no_reboot"]);
    });
  });

  it("waits for the others, and names the unhealthy one when time is up", async () => {
    const { provider, status } = createHarness();
    const wanted = (name: string) =>
      inputsOf(name, wantedOf(name, withSysctl), { patches: [sysctl], timeoutSeconds: 1 });
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    try {
      const failed = await expectFailure(provider.create(urn, wanted("cp1")));
      expect(failed.message).toMatch(
        /^cp1 \(127\.49\.1\.11\): its configuration was not applied \(waited .*127\.49\.1\.12.*\[etcd-/,
      );
      expect(status.join("\n")).toContain("waiting: ");
      // Workers come after the control planes.
      expect((await expectFailure(provider.create(urn, wanted("w1")))).message).toContain("127.49.1.12");
    } finally {
      cluster.node("cp2").faults.clear();
      await cluster.ready();
    }
  });

  it("does not wait for other nodes if only the next installation is affected", async () => {
    await restoring("cp1", async () => {
      const image = "machine:\n  install:\n    image: factory.talos.dev/installer/of-a-test:v1.13.9\n";
      const wanted = wantedOf("cp1", (config) => {
        config.machine["install"] = {
          ...(config.machine["install"] as object),
          image: "factory.talos.dev/installer/of-a-test:v1.13.9",
        };
      });
      cluster.node("cp2").faults.set("etcd-member-unhealthy");
      try {
        await expect(
          createHarness().provider.create(urn, inputsOf("cp1", wanted, { patches: [image] })),
        ).resolves.toBeDefined();
      } finally {
        cluster.node("cp2").faults.clear();
        await cluster.ready();
      }
    });
  });

  it("refuses a node that does not answer, and what would be dropped since the preview", async () => {
    const { provider } = createHarness();
    const away = await expectFailure(
      provider.create(urn, inputsOf("w1", wantedOf("w1"), { node: "127.49.1.99" })),
    );
    expect(away.message).toMatch(/its configuration was not applied.*\[config-unreadable\]/);
    const dropping = inputsOf(
      "w1",
      wantedOf("w1", (config) => delete config.machine["network"]),
    );
    expect((await expectFailure(provider.create(urn, dropping))).message).toContain(
      "- machine.network.hostname: w1",
    );
  });
});

describe("after a rotation of the CA", () => {
  it("a node whose stack gets the new secrets has no changed line, and nothing is applied", async () => {
    const crt = Buffer.from("-----BEGIN CERTIFICATE-----\nof before\n-----END CERTIFICATE-----\n");
    const former = wantedOf("w1", (config) => {
      config.machine["ca"] = { crt: crt.toString("base64") };
    });
    const own = createHarness();
    const state = inputsOf("w1", former);
    const checked = await check(own, state, inputsOf("w1", wantedOf("w1")));
    expect(checked.failures).toEqual([]);
    expect(changesOf(checked.inputs)).toBeUndefined();
    const before = applied("w1");
    await own.provider.update("w1", urn, state, checked.inputs);
    expect(applied("w1")).toEqual(before);
  });
});

describe("a machine in maintenance mode", () => {
  it("that is new gets its first configuration once, even if another node is unhealthy or the answer is lost", async () => {
    const machine = await fresh("new", "127.49.1.31");
    const own = acting((talos) => ({
      applyFirstConfiguration: async (data, call) => {
        await talos.applyFirstConfiguration(data, call);
        throw new TalosError("unreachable", "new", "MachineService.ApplyConfiguration", "EOF");
      },
    }));
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    try {
      const given = inputsOf("cp1", wantedOf("cp1"), { name: "new", node: machine.address });
      const { inputs, failures } = await check(own, {}, given);
      expect(failures).toEqual([]);
      expect(changesOf(inputs)).toEqual(["+ everything: the machine waits for its first configuration"]);
      await own.provider.create(urn, given);
      expect(machine.snapshot().appliedConfigs).toHaveLength(1);
    } finally {
      cluster.node("cp2").faults.clear();
      await machine.stop();
      await cluster.ready();
    }
  });

  it("that is configured according to the state is sent nothing, and the preview names both ways to consent", async () => {
    const machine = await fresh("again", "127.49.1.32");
    try {
      const own = createHarness();
      const state = inputsOf("w1", wantedOf("w1"), { name: "again", node: machine.address });
      const next = { ...state, machineConfiguration: wantedOf("w1", withSysctl), patches: [sysctl] };
      const preview = await check(own, state, next);
      expect(reasons(preview)).toMatch(/answers without client authentication/);
      expect(reasons(preview)).toContain(`\`pulumi up --replace '${urn}'\``);
      expect(reasons(preview)).toMatch(/remove again from cluster\.nodes .*and add it again/);
      const up = await expectFailure(own.provider.update("again", urn, state, next));
      expect(up.message).toBe(reasons(preview));
      expect(machine.snapshot().appliedConfigs).toEqual([]);
      // Consent: the engine checks and creates a replacement as if the resource were new.
      expect((await check(own, {}, next)).failures).toEqual([]);
      await own.provider.create(urn, next);
      expect(machine.snapshot().appliedConfigs).toHaveLength(1);
    } finally {
      await machine.stop();
    }
  });

  it("that lacks named hardware gets no configuration, although it was off when all machines were checked", async () => {
    const machine = await fresh("late", "127.49.1.33");
    try {
      const wanted = wantedOf("w1", (config) => {
        config.machine["network"] = { interfaces: [{ interface: "eno9", dhcp: true }] };
      });
      const own = createHarness();
      const given = inputsOf("w1", wanted, { name: "late", node: machine.address });
      const { message } = await expectFailure(own.provider.create(urn, given));
      expect(message).toMatch(/late \(\S+\):\n {2}machine\.network\.interfaces\[0\]: there is no link eno9/);
      expect(machine.snapshot().appliedConfigs).toEqual([]);
      await own.provider.create(urn, { ...given, checkHardware: "warn" });
      expect(own.warnings.join("\n")).toContain("there is no link eno9");
      expect(machine.snapshot().appliedConfigs).toHaveLength(1);
    } finally {
      await machine.stop();
    }
  });

  it("is not compared with its hardware by checkHardware: off, which changes no configured node", async () => {
    const machine = await fresh("any", "127.49.1.34");
    try {
      const wanted = wantedOf("w1", (config) => {
        config.machine["install"] = { disk: "/dev/sdz" };
      });
      const own = createHarness();
      const plain = inputsOf("w1", wanted, { name: "any", node: machine.address });
      const given = { ...plain, checkHardware: "off" };
      await own.provider.create(urn, given);
      expect(own.warnings.join("\n")).not.toContain("hardware-missing");
      expect(machine.snapshot().appliedConfigs).toHaveLength(1);
      expect(await own.provider.diff("any", urn, plain, given, plain)).toMatchObject({ changes: false });
    } finally {
      await machine.stop();
    }
  });
});

describe("a change by hand", () => {
  const byHand = (config: Config): void => {
    config.machine["sysctls"] = { "net.core.somaxconn": "4096" };
  };

  it("is line-by-line drift after a refresh, is not reverted, and ignores mere formatting", async () => {
    await restoring("w1", async () => {
      const own = createHarness();
      const { provider, warnings } = own;
      const given = parse(wantedOf("w1", byHand)) as Config;
      // Formatted differently, with the same meaning.
      const same = stringify({
        cluster: given.cluster,
        version: "v1alpha1",
        machine: { ...given.machine, sysctls: { "net.core.somaxconn": 4096 }, certSANs: [] },
      });
      cluster.node("w1").disk.config = wantedOf("w1", byHand);
      const unchanged = inputsOf("w1", same);
      const read = await provider.read("w1", urn, unchanged);
      expect(unwrap(read.inputs).values["configuration"]).toBe(unchanged["configuration"]);
      expect(unwrap(read.inputs).values).not.toHaveProperty("changedByHand");

      const drifted = inputsOf("w1", wantedOf("w1"));
      const live = await provider.read("w1", urn, drifted);
      expect(unwrap(live.inputs).values["changedByHand"]).toEqual([
        "+ machine.sysctls.net.core.somaxconn: 4096",
      ]);
      expect(unwrap(live.inputs).values["configuration"]).toContain("net.core.somaxconn");
      // The engine compares in this direction after a refresh, and must see a difference.
      expect(await provider.diff("w1", urn, live.props, drifted)).toEqual({});

      const checked = await check(own, live.inputs, drifted);
      expect(checked.failures).toEqual([]);
      expect(unwrap(checked.inputs).values["changedByHand"]).toEqual([
        "+ machine.sysctls.net.core.somaxconn: 4096",
      ]);
      expect(warnings.join("\n")).toContain("[config-changed-by-hand]");
      const before = applied("w1").length;
      await provider.update("w1", urn, live.props, checked.inputs);
      expect(applied("w1")).toHaveLength(before);
      // Once the drift is gone, the warning is too, and that causes no diff.
      cluster.node("w1").disk.config = wantedOf("w1");
      const later = await check(own, checked.inputs, drifted);
      expect(unwrap(later.inputs).values).not.toHaveProperty("changedByHand");
      expect(await provider.diff("w1", urn, checked.inputs, later.inputs)).toEqual({ changes: false });
    });
  });

  it("to a managed value is reverted once by the up after a refresh, and the preview shows it first", async () => {
    await restoring("w1", async () => {
      const managed = (value: string) => (config: Config) => {
        config.machine["sysctls"] = { "vm.managed": value };
      };
      const patches = ['machine: { sysctls: { vm.managed: "1" } }'];
      const given = inputsOf("w1", wantedOf("w1", managed("1")), { patches });
      cluster.node("w1").disk.config = wantedOf("w1", managed("2"));
      const own = createHarness();
      // Without a refresh, nothing is detected.
      const plain = await check(own, given, given);
      expect(changesOf(plain.inputs)).toBeUndefined();

      const live = await own.provider.read("w1", urn, given);
      const checked = await check(own, live.inputs, given);
      expect(checked.failures).toEqual([]);
      expect(changesOf(checked.inputs), own.warnings.join()).toEqual([
        "~ machine.sysctls.vm.managed: 2 -> 1",
      ]);
      expect(unwrap(checked.inputs).values).not.toHaveProperty("changedByHand");
      // The engine keeps what was applied only in the inputs, and the plugin's server restores it for each call.
      const { machineConfiguration, configuration } = given;
      const served = { ...live.props, given: { machineConfiguration, configuration, patches } };
      for (const olds of [live.props, served]) {
        const shown = await own.provider.diff("w1", urn, olds, checked.inputs, live.inputs);
        expect(shown).toMatchObject({ changes: true, details: { "changes[0]": "add" } });
      }
      const before = applied("w1").length;
      const { outs } = await own.provider.update("w1", urn, live.props, checked.inputs);
      expect(applied("w1")).toHaveLength(before + 1);
      expect(cluster.node("w1").disk.config).toContain('vm.managed: "1"');
      expect((await own.provider.diff("w1", urn, outs, checked.inputs)).changes).toBe(false);
      expect(own.warnings.join()).not.toContain("changed by hand");
    });
  });

  it("that a later change would overwrite is refused", async () => {
    await restoring("w1", async () => {
      cluster.node("w1").disk.config = wantedOf("w1", byHand);
      const next = wantedOf("w1", (config) => (config.machine["nodeLabels"] = { a: "b" }));
      const found = await check(
        createHarness(),
        inputsOf("w1", wantedOf("w1")),
        inputsOf("w1", next, { patches: ["machine: { nodeLabels: { a: b } }"] }),
      );
      expect(reasons(found)).toContain("- machine.sysctls.net.core.somaxconn: 4096");
    });
  });
});

describe("state of 0.1.0", () => {
  // Taken from a state that 0.1.0 wrote. What differs per cluster comes from this test's cluster.
  const { resources } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../lab/data/state-0.1.0.json"), "utf8"),
  ) as { resources: { urn: string; type: string; inputs: Properties }[] };
  const written = resources.find(
    ({ type, urn }) => type === "talos-node:index:ConfigurationGuard" && urn.endsWith("-w1"),
  )?.inputs;
  const guard = (machineConfiguration: string, more: Properties = {}): Properties => {
    const given: Properties = inputsOf("w1", machineConfiguration, more);
    return Object.fromEntries(
      Object.entries(written ?? {}).map(([key, value]) => [key, given[key] ?? value]),
    );
  };

  it("is recognized by its missing contract", () => {
    expect(Object.keys(written ?? {})).toContain("machineConfiguration");
    expect(Object.keys(written ?? {})).not.toContain("contract");
  });

  it("migrates without an apply if the node already has its configuration", async () => {
    const own = createHarness();
    const old = guard(wantedOf("w1"), { changes: ["+ machine.kernel.modules[iscsi_tcp].name: iscsi_tcp"] });
    const before = applied("w1").length;
    const checked = await check(own, old, inputsOf("w1", wantedOf("w1")));
    expect(checked.failures).toEqual([]);
    expect(changesOf(checked.inputs)).toEqual(old["changes"]);
    const { outs } = await own.provider.update("guard", urn, old, checked.inputs);
    expect(unwrap(outs).values["contract"]).toBe("v1.12");
    expect(applied("w1")).toHaveLength(before);
    expect(own.warnings).toEqual([]);
    // After that it is settled.
    const again = counted();
    await check(again, checked.inputs, inputsOf("w1", wantedOf("w1")));
    expect(again.dials()).toBe(0);
  });

  it("leaves changes by hand alone", async () => {
    await restoring("w1", async () => {
      const own = createHarness();
      const old = guard(wantedOf("w1"), { changes: ["+ machine.kernel.modules[iscsi_tcp].name: iscsi_tcp"] });
      const given = inputsOf("w1", wantedOf("w1"));
      cluster.node("w1").disk.config = wantedOf("w1", withSysctl);
      const before = applied("w1").length;
      const checked = await check(own, old, given);
      await own.provider.update("guard", urn, old, checked.inputs);
      expect(applied("w1")).toHaveLength(before);
      expect(own.warnings.join()).toContain("was changed by hand");
    });
  });

  it("applies, after another check, what the guard allowed but nothing applied", async () => {
    await restoring("w1", async () => {
      const own = createHarness();
      const wanted = wantedOf("w1", withSysctl);
      const old = guard(wanted, { patches: [sysctl], changes: ["+ machine.sysctls.vm.nr_hugepages: 1024"] });
      const checked = await check(own, old, inputsOf("w1", wanted, { patches: [sysctl] }));
      expect(changesOf(checked.inputs)).toHaveLength(2);
      const before = applied("w1").length;
      await own.provider.update("guard", urn, old, checked.inputs);
      expect(applied("w1").slice(before)).toEqual(["no_reboot"]);
    });
  });

  it("can be updated while the node does not answer", async () => {
    const own = createHarness();
    const away = { node: "127.49.1.99" };
    const old = guard(wantedOf("w1"), away);
    const checked = await check(own, old, inputsOf("w1", wantedOf("w1"), away));
    expect(checked.failures).toEqual([]);
    const { outs } = await own.provider.update("guard", urn, old, checked.inputs);
    expect(unwrap(outs).values["contract"]).toBe("v1.12");
  });

  it("is refreshed and deleted without contacting a node", async () => {
    const own = counted();
    const type = urn.replace("NodeConfiguration", "ConfigurationGuard");
    const state = guard(wantedOf("w1"));
    expect(await own.provider.read("guard", type, state)).toEqual({
      id: "guard",
      inputs: state,
      props: state,
    });
    await own.provider.delete();
    expect(own.dials()).toBe(0);
  });
});
