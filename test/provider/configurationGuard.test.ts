import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { SimulatedNode } from "../../lab/node/node.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { hasUnknown, unknownValue, unwrap, type Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { failureOf, harness, type Harness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ConfigurationGuard::guard";
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

/** What a node has, changed. */
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
    timeoutSeconds: 3,
    ...more,
  };
}

const sysctl = 'machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n';
const withSysctl = (config: Config): void => {
  config.machine["sysctls"] = { "vm.nr_hugepages": "1024" };
};

/** A guard that counts its connections. */
function counted() {
  let dials = 0;
  const own = harness(undefined, {}, (connection) => {
    dials++;
    return connectActor(connection);
  });
  return { ...own, dials: () => dials };
}

/** The guard's `check`, which tests read. */
async function check(
  { provider }: Pick<Harness, "provider">,
  olds: Properties,
  news: Properties,
): Promise<{ inputs: Properties; failures: { property: string; reason: string }[] }> {
  const checked = await provider.check(urn, olds, news);
  return { inputs: checked.inputs as Properties, failures: checked.failures ?? [] };
}

const changesOf = (inputs: Properties): unknown => unwrap(inputs).values["changes"];

describe("the preview", () => {
  it("shows what the node gains, changes and loses, and that is all", async () => {
    const { provider } = harness();
    const image = "factory.talos.dev/metal-installer/c9:v1.13.9";
    const wanted = wantedOf("w1", (config) => {
      withSysctl(config);
      (config.machine["install"] as Properties)["image"] = image;
    });
    const patches = [sysctl, `machine: { install: { image: "${image}" } }`];
    const { inputs, failures } = await check({ provider }, {}, inputsOf("w1", wanted, { patches }));
    expect(failures).toEqual([]);
    expect(changesOf(inputs)).toEqual([
      `~ machine.install.image: ghcr.io/siderolabs/installer:v1.12.7 -> ${image}`,
      "+ machine.sysctls.vm.nr_hugepages: 1024",
    ]);
  });

  it("refuses what would be dropped, by the node, the path and what to do", async () => {
    const { provider } = harness();
    const wanted = wantedOf("w1", (config) => delete config.machine["network"]);
    const { failures } = await check({ provider }, {}, inputsOf("w1", wanted));
    expect(failures).toEqual([
      {
        property: "node",
        reason: expect.stringMatching(
          /^w1 \(127\.49\.1\.21\) has what its configuration here would drop, and nothing was applied:\n {2}- machine\.network\.hostname: w1\nTake it over: .*cluster\.acceptDropped\.$/,
        ) as string,
      },
    ]);
    const accepted = inputsOf("w1", wanted, { acceptDropped: ["machine.network"] });
    expect((await check({ provider }, {}, accepted)).failures).toEqual([]);
  });

  it("does not dial where nothing changed, and keeps what it said", async () => {
    const { provider, dials } = counted();
    const wanted = wantedOf("w1", withSysctl);
    const given = inputsOf("w1", wanted, { patches: [sysctl] });
    const first = (await check({ provider }, {}, given)).inputs;
    expect(dials()).toBeGreaterThan(0);
    const before = dials();
    const second = (await check({ provider }, first, given)).inputs;
    expect(dials()).toBe(before);
    expect(second).toEqual(first);
  });

  it("takes out what it had put in itself, without asking", async () => {
    const { provider } = harness();
    const old = { ...inputsOf("w1", wantedOf("w1")), changes: [] };
    const wanted = wantedOf("w1", (config) => delete config.machine["network"]);
    const { inputs, failures } = await check({ provider }, old, inputsOf("w1", wanted));
    expect(failures).toEqual([]);
    expect(changesOf(inputs)).toEqual(["- machine.network.hostname: w1"]);
  });

  it("says in a warning that a node did not answer, and lets the preview go on", async () => {
    const { provider, warnings } = harness();
    const given = inputsOf("w1", wantedOf("w1"), { node: "127.49.1.99" });
    const { inputs, failures } = await check({ provider }, {}, given);
    expect(failures).toEqual([]);
    expect(changesOf(inputs)).toEqual(["not known: w1 (127.49.1.99) did not answer"]);
    expect(warnings.join()).toContain("could not be asked what it has");
  });

  it("waits with what only the deployment knows", async () => {
    const { provider, dials } = counted();
    const given = inputsOf("w1", unknownValue, { configuration: unknownValue });
    const { inputs, failures } = await check({ provider }, {}, given);
    expect(failures).toEqual([]);
    expect(dials()).toBe(0);
    expect(hasUnknown(unwrap(inputs).values["machineConfiguration"])).toBe(true);
  });

  it("names no secret property that is wrong, since engines print the value of one that is named", async () => {
    const own = harness();
    const wrong = { machineConfiguration: 5, patches: canary, clientConfiguration: canary };
    const { failures } = await check(own, {}, inputsOf("w1", "x", wrong));
    expect(failures.map(({ property, reason }) => [property, reason.split(" ")[0]])).toEqual([
      ["", "[clientConfiguration]"],
      ["", "[machineConfiguration]"],
      ["", "[patches]"],
    ]);
    expect(JSON.stringify(failures)).not.toContain(canary);
    const upgrade = urn.replace("ConfigurationGuard", "NodeUpgrade");
    const { failures: ofUpgrade = [] } = await own.provider.check(
      upgrade,
      {},
      { clientConfiguration: canary },
    );
    expect(
      ofUpgrade
        .filter(({ reason }) => reason.includes("clientConfiguration"))
        .map(({ property }) => property),
    ).toEqual([""]);
  });

  it("shows no secret, whatever way it takes", async () => {
    const { provider } = harness();
    const wanted = wantedOf("w1", (config) => {
      config.machine["token"] = canary;
      config.machine["env"] = { HTTPS_PROXY: `http://user:${canary}@proxy:3128` };
      config.machine["someNewApiKey"] = canary;
    });
    const { inputs, failures } = await check({ provider }, {}, inputsOf("w1", wanted));
    const { clientConfiguration, machineConfiguration, patches, ...shown } = inputs;
    for (const secret of [clientConfiguration, machineConfiguration, patches]) {
      expect(secret).toMatchObject({
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
      });
    }
    expect(JSON.stringify([shown, failures])).not.toContain(canary);
    expect(changesOf(inputs)).toHaveLength(3);
  });
});

describe("the deployment", () => {
  it("lets a configuration through while the other control planes are well", async () => {
    const { provider } = harness();
    const wanted = wantedOf("cp1", withSysctl);
    const { outs } = await provider.create(urn, inputsOf("cp1", wanted, { patches: [sysctl] }));
    expect(unwrap(outs).values["machineConfiguration"]).toBe(wanted);
  });

  it("waits for the others, and says which is not well when time is up; the change may be the node's own cure", async () => {
    const { provider, status } = harness();
    const wanted = (name: string) =>
      inputsOf(name, wantedOf(name, withSysctl), { patches: [sysctl], timeoutSeconds: 1 });
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    try {
      const failed = await failureOf(provider.create(urn, wanted("cp1")));
      expect(failed.message).toMatch(
        /^cp1 \(127\.49\.1\.11\): its configuration was not applied, since the other control planes are not well after 1 s: .*127\.49\.1\.12/,
      );
      expect(status.join("\n")).toContain("waiting: ");
      await provider.create(urn, wanted("cp2"));
      // Workers come after the control planes.
      expect((await failureOf(provider.create(urn, wanted("w1")))).message).toContain("127.49.1.12");
    } finally {
      cluster.node("cp2").faults.clear();
      await cluster.ready();
    }
  });

  it("waits for nobody where only the next installation is concerned", async () => {
    const { provider } = harness();
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
        provider.create(urn, inputsOf("cp1", wanted, { patches: [image] })),
      ).resolves.toBeDefined();
    } finally {
      cluster.node("cp2").faults.clear();
      await cluster.ready();
    }
  });

  it("goes on when they are well again", async () => {
    const { provider } = harness();
    cluster.node("cp3").faults.set("not-ready");
    const created = provider.create(
      urn,
      inputsOf("cp1", wantedOf("cp1", withSysctl), { patches: [sysctl], timeoutSeconds: 20 }),
    );
    await new Promise((resolve) => setTimeout(resolve, 800));
    cluster.node("cp3").faults.clear();
    await expect(created).resolves.toBeDefined();
  });

  it("refuses a node that does not answer, and what would be dropped since the preview", async () => {
    const { provider } = harness();
    const away = await failureOf(
      provider.create(urn, inputsOf("w1", wantedOf("w1"), { node: "127.49.1.99" })),
    );
    expect(away.message).toMatch(/its configuration was not applied, since nobody can tell what it has/);
    const dropping = inputsOf(
      "w1",
      wantedOf("w1", (config) => delete config.machine["network"]),
    );
    expect((await failureOf(provider.create(urn, dropping))).message).toContain(
      "- machine.network.hostname: w1",
    );
  });

  it("lets a machine in maintenance mode have its first configuration, whoever else is not well", async () => {
    const { provider } = harness();
    const fresh = new SimulatedNode({
      name: "new",
      address: "127.49.1.31",
      network: cluster.node("cp1").network,
      runtime: {
        configActive: async () => undefined,
        bootstrapped: async () => undefined,
        kubeletUp: async () => undefined,
        kubeletDown: async () => undefined,
        health: async () => ({ apiServer: true, nodeReady: true }),
        removed: async () => undefined,
      },
      image: `ghcr.io/siderolabs/installer:v1.12.7`,
      timings: { pullSeconds: 0.1, installSeconds: 0.1, rebootSeconds: 0.1, bootSeconds: 0.1 },
    });
    await fresh.start();
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    try {
      const given = inputsOf("cp1", wantedOf("cp1"), { name: "new", node: fresh.address });
      const { inputs, failures } = await check({ provider }, {}, given);
      expect(failures).toEqual([]);
      expect(changesOf(inputs)).toEqual(["+ everything: the machine waits for its first configuration"]);
      await provider.create(urn, given);
    } finally {
      cluster.node("cp2").faults.clear();
      await fresh.stop();
    }
  });
});

describe("a change by hand", () => {
  const byHand = (config: Config): void => {
    config.machine["sysctls"] = { "net.core.somaxconn": "4096" };
  };

  it("is drift line by line after a refresh, no difference in how it is written is, and an update tells it", async () => {
    const { provider, warnings } = harness();
    const has = wantedOf("w1", byHand);
    const given = parse(has) as Config;
    // Written otherwise, with the same meaning.
    const same = stringify({
      cluster: given.cluster,
      version: "v1alpha1",
      machine: { ...given.machine, sysctls: { "net.core.somaxconn": 4096 }, certSANs: [] },
    });
    const node = cluster.node("w1");
    const before = node.disk.config;
    node.disk.config = has;
    try {
      const unchanged = inputsOf("w1", same);
      const read = await provider.read("guard", urn, unchanged);
      expect(unwrap(read.inputs).values["configuration"]).toBe(unchanged["configuration"]);
      const drifted = inputsOf("w1", wantedOf("w1"));
      const live = await provider.read("guard", urn, drifted);
      const text = String(unwrap(live.inputs).values["configuration"]);
      const lines = (config: string): string[] => config.split("\n").map((line) => line.trim());
      const own = new Set(lines(String(drifted["configuration"])));
      expect(lines(text).filter((line) => !own.has(line))).toEqual([
        "sysctls:",
        'net.core.somaxconn: "4096"',
      ]);
      expect(live.inputs["machineConfiguration"]).not.toBe(drifted["machineConfiguration"]);
      await provider.update("guard", urn, drifted, drifted);
      expect(warnings.join("\n")).toContain("- machine.sysctls.net.core.somaxconn: 4096");
      // A later change would overwrite it, and is refused.
      const next = wantedOf("w1", (config) => (config.machine["nodeLabels"] = { a: "b" }));
      const { failures } = await check(
        { provider },
        drifted,
        inputsOf("w1", next, { patches: ["machine: { nodeLabels: { a: b } }"] }),
      );
      expect(failures.map(({ reason }) => reason).join()).toContain(
        "- machine.sysctls.net.core.somaxconn: 4096",
      );
    } finally {
      if (before !== undefined) node.disk.config = before;
    }
  });
});
