import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { providedCredentials, requireCredentials } from "../../components/clientCredentials.ts";
import { TalosCluster, type TalosClusterArgs, type TalosClusterNode } from "../../components/talosCluster.ts";
import { parseSecretsBundle, parseTalosconfig } from "../../talos/secretsBundle.ts";
import {
  isSecret,
  ofType,
  onlyResource,
  record,
  unknown,
  valueOf,
  type Called,
  type RecordOptions,
  type Registered,
} from "./components/recorder.ts";
import { bundle, canary, leaksSecret, talosconfig } from "./settings/example.ts";

const types = {
  configuration: "talos-node:index:NodeConfiguration",
  secrets: "talos:machine/secrets:Secrets",
  bootstrap: "talos:machine/bootstrap:Bootstrap",
  kubeconfig: "talos:cluster/kubeconfig:Kubeconfig",
};
const generate = "talos:machine/getConfiguration:getConfiguration";

function node(
  name: string,
  last: number,
  role: "controlplane" | "worker",
  more: object = {},
): TalosClusterNode {
  return {
    ...{ name, address: `10.0.0.${last}`, role, talosVersion: "v1.13.9", patches: [] },
    installerImage: "factory.talos.dev/metal-installer/c9:v1.13.9",
    ...more,
  };
}

const nodes = [
  node("w1", 21, "worker"),
  node("cp1", 11, "controlplane"),
  node("cp2", 12, "controlplane"),
  node("w2", 22, "worker"),
  node("cp3", 13, "controlplane"),
];

function args(changes: Partial<TalosClusterArgs> = {}): TalosClusterArgs {
  return {
    clusterName: "dev",
    endpoint: "https://10.0.0.10:6443",
    nodes,
    initialContract: "v1.13",
    kubernetesVersion: "v1.35.4",
    exemptNamespaces: ["joviandss-csi", "synology-csi"],
    kernelModules: ["iscsi_tcp"],
    patches: { all: [], controlplane: [], worker: [] },
    protectSecrets: true,
    ...changes,
  };
}

/** A running cluster with its owner's existing secrets. */
const running: Partial<TalosClusterArgs> = {
  contract: "v1.12",
  existing: {
    machineSecrets: parseSecretsBundle(bundle),
    clientConfiguration: parseTalosconfig(talosconfig),
  },
};

const madeSecrets = {
  machineSecrets: parseSecretsBundle(bundle),
  clientConfiguration: { caCertificate: "made-ca", clientCertificate: "made-crt", clientKey: canary },
};

/** The provider's results: configurations with a secret, credentials, a kubeconfig. */
const provider: RecordOptions = {
  made: ({ type }) => {
    if (type === types.secrets) return { state: madeSecrets };
    return type === types.kubeconfig ? { state: { kubeconfigRaw: `kubeconfig ${canary}` } } : {};
  },
  answer: ({ token, inputs }) =>
    token === generate
      ? { machineConfiguration: `machine:\n  type: ${String(inputs["machineType"])}\n  token: ${canary}\n` }
      : { talosConfig: `talosconfig ${canary}` },
};

function make(changes: Partial<TalosClusterArgs> = {}, options: RecordOptions = {}) {
  return record(() => new TalosCluster("cluster", args(changes)), { ...provider, ...options });
}

/** The inputs of the calls that generate machine configurations. */
function generated(calls: Called[]): Record<string, unknown>[] {
  return calls.filter(({ token }) => token === generate).map(({ inputs }) => inputs);
}

/** The patches of one role's first node. */
function patchTexts(resources: Registered[], role: string): string[] {
  const first = ofType(resources, types.configuration).find(({ inputs }) => inputs["role"] === role);
  return (first?.inputs["patches"] as { secret: string[] }).secret;
}

/** The same as data. */
function patchesOf(resources: Registered[], role: string): Record<string, unknown>[] {
  return patchTexts(resources, role).map((text) => parse(text) as Record<string, unknown>);
}

const admission = (namespaces: string[]) => ({
  cluster: {
    apiServer: {
      admissionControl: [{ name: "PodSecurity", configuration: { exemptions: { namespaces } } }],
    },
  },
});

describe("machine configurations", () => {
  it("are generated once per role, from the cluster's secrets, contract and Kubernetes release", async () => {
    const { calls } = await make(running);
    for (const inputs of generated(calls)) {
      expect(inputs).toMatchObject({
        clusterName: "dev",
        clusterEndpoint: "https://10.0.0.10:6443",
        talosVersion: "v1.12",
        kubernetesVersion: "v1.35.4",
        docs: false,
        examples: false,
      });
      expect(inputs["machineSecrets"]).toEqual(parseSecretsBundle(bundle));
    }
    expect(
      generated(calls)
        .map((inputs) => inputs["machineType"])
        .sort(),
    ).toEqual(["controlplane", "worker"]);
  });

  it("exempt the drivers' namespaces on control planes only, once, without Talos's own exemption", async () => {
    const { resources } = await make({
      ...running,
      exemptNamespaces: ["kube-system", "joviandss-csi", "joviandss-csi", "synology-csi"],
    });
    expect(patchesOf(resources, "controlplane")).toContainEqual(admission(["joviandss-csi", "synology-csi"]));
    expect(JSON.stringify(patchesOf(resources, "worker"))).not.toContain("apiServer");
  });

  it("have no security patch without a driver", async () => {
    const { resources } = await make({ ...running, exemptNamespaces: [] });
    expect(JSON.stringify(patchesOf(resources, "controlplane"))).not.toContain("apiServer");
  });

  it("of contract v1.14 are generated by this program from the same secrets, since the provider cannot", async () => {
    const { calls, resources } = await make({ contract: "v1.14", kubernetesVersion: "v1.36.1" });
    expect(generated(calls)).toEqual([]);
    const texts = ofType(resources, types.configuration).map(
      ({ inputs }) => (inputs["machineConfiguration"] as { secret: string }).secret,
    );
    expect(texts).toHaveLength(5);
    const documents = parseAllDocuments(texts.find((text) => text.includes("type: controlplane")) ?? "").map(
      (part) => part.toJS() as Record<string, unknown>,
    );
    const of = (kind: string) => documents.find((part) => part["kind"] === kind);
    expect(of("KubeAPIServerConfig")).toMatchObject({ image: "registry.k8s.io/kube-apiserver:v1.36.1" });
    expect(of("KubeClusterConfig")).toMatchObject({ clusterName: "dev", endpoint: "https://10.0.0.10:6443" });
    expect(of("KubeAdmissionControlConfig")).toMatchObject({
      configuration: { exemptions: { namespaces: ["kube-system", "joviandss-csi", "synology-csi"] } },
    });
    const { machineSecrets: secrets } = madeSecrets;
    expect(of("DiscoveryIdentityConfig")).toMatchObject({ clusterID: secrets.cluster.id });
    expect(of("KubeAPIServerCAConfig")).toMatchObject({
      issuingCA: { cert: Buffer.from(secrets.certs.k8s.cert, "base64").toString("utf8") },
    });
    expect(texts.join("")).not.toMatch(/<[\w.|]+>/);
  });

  it("of contract v1.14 have no secret in what previews compare", async () => {
    const { resources } = await make({ contract: "v1.14", kubernetesVersion: "v1.36.1" });
    const shown = JSON.stringify(
      ofType(resources, types.configuration).map(({ inputs }) => inputs["configuration"]),
    );
    expect(shown).toContain("KubeServiceAccountConfig");
    const { machineSecrets: secrets } = madeSecrets;
    for (const secret of [
      secrets.cluster.secret,
      secrets.secrets.bootstrapToken,
      secrets.secrets.secretboxEncryptionSecret,
      secrets.trustdinfo.token,
      secrets.certs.os.key,
      secrets.certs.etcd.key,
      ...[secrets.certs.k8s.key, secrets.certs.k8sAggregator.key, secrets.certs.k8sServiceaccount.key].map(
        (key) => JSON.stringify(Buffer.from(key, "base64").toString("utf8")).slice(1, -1),
      ),
    ])
      expect(shown).not.toContain(secret);
  });

  it("load the kernel module on every node", async () => {
    const { resources } = await make(running);
    for (const role of ["controlplane", "worker"]) {
      expect(patchesOf(resources, role)).toContainEqual({
        machine: { kernel: { modules: [{ name: "iscsi_tcp" }] } },
      });
    }
  });

  it("carry a kernel argument if the node's release honors it, as in the first guide", async () => {
    const { resources } = await make({
      ...running,
      contract: "v1.6",
      nodes: [node("cp1", 11, "controlplane", { talosVersion: "v1.6.7" })],
    });
    expect(patchesOf(resources, "controlplane")).toContainEqual({
      machine: {
        install: { extraKernelArgs: ["iscsi_tcp=1"] },
        kernel: { modules: [{ name: "iscsi_tcp" }] },
      },
    });
  });

  it("name the node's own installer image and disk", async () => {
    const own = {
      installerImage: "factory.talos.dev/metal-installer/ab:v1.13.7",
      installDisk: "/dev/nvme0n1",
    };
    const { resources } = await make({ ...running, nodes: [node("cp1", 11, "controlplane", own)] });
    expect(patchesOf(resources, "controlplane")[0]).toEqual({
      machine: { install: { disk: "/dev/nvme0n1", image: own.installerImage } },
    });
  });

  it("have the chosen subnets, and none by default", async () => {
    const { resources } = await make({
      ...running,
      podSubnets: ["10.1.0.0/16"],
      serviceSubnets: ["10.2.0.0/16"],
    });
    expect(patchesOf(resources, "worker")).toContainEqual({
      cluster: { network: { podSubnets: ["10.1.0.0/16"], serviceSubnets: ["10.2.0.0/16"] } },
    });
    expect(JSON.stringify(patchesOf((await make(running)).resources, "worker"))).not.toContain("Subnets");
  });

  it("end with the user's patches for all nodes, the role and the node, each once", async () => {
    const patch = (name: string) => `machine:\n  sysctls:\n    ${name}: "1"\n`;
    const { resources } = await make({
      ...running,
      patches: { all: [patch("all")], controlplane: [patch("cp")], worker: [patch("w")] },
      nodes: [node("cp1", 11, "controlplane", { patches: [patch("own")] }), node("w1", 21, "worker")],
    });
    const texts = (role: string) => patchTexts(resources, role);
    expect(texts("controlplane").slice(-3)).toEqual(["all", "cp", "own"].map(patch));
    expect(texts("worker").slice(-2)).toEqual(["all", "w"].map(patch));
    for (const role of ["controlplane", "worker"]) expect(texts(role)).toEqual([...new Set(texts(role))]);
  });
});

describe("a node's own settings", () => {
  const own = {
    diskSelector: { type: "nvme", size: ">= 100GB" },
    network: {
      interfaces: [{ interface: "enp1s0", addresses: ["10.0.0.11/24"], routes: [], dhcp: false }],
      nameservers: ["10.0.0.2"],
    },
  };
  const nodesOfTwoRoles = [node("cp1", 11, "controlplane", own), node("w1", 21, "worker")];

  it("are in its configuration, and the virtual IP only in that of control planes", async () => {
    const vip = { address: "10.0.0.10", interface: "enp1s0" };
    const { resources } = await make({ ...running, nodes: nodesOfTwoRoles, vip });
    expect(patchesOf(resources, "controlplane")[0]).toMatchObject({
      machine: { install: { diskSelector: { type: "nvme", size: ">= 100GB" } } },
    });
    expect(patchesOf(resources, "controlplane")).toContainEqual({
      machine: {
        network: {
          interfaces: [
            { interface: "enp1s0", dhcp: false, addresses: ["10.0.0.11/24"], vip: { ip: "10.0.0.10" } },
          ],
          nameservers: ["10.0.0.2"],
        },
      },
    });
    expect(JSON.stringify(patchesOf(resources, "worker"))).not.toContain("10.0.0.10");
    const [cluster] = ofType(resources, "talos-iscsi:index:TalosCluster");
    expect(cluster?.inputs).toMatchObject({ vip, nodes: [{ name: "cp1", ...own }, { name: "w1" }] });
  });

  it("set the hostname on an adopted cluster only if given", async () => {
    const joins = [node("cp1", 11, "controlplane"), node("w9", 29, "worker", { hostname: "w9" })];
    const { resources } = await make({ ...running, nodes: joins });
    expect(JSON.stringify(patchesOf(resources, "controlplane"))).not.toContain("hostname");
    expect(patchesOf(resources, "worker")).toContainEqual(expect.objectContaining({ hostname: "w9" }));
  });
});

describe("a change of the first control plane", () => {
  it("does not bootstrap the cluster again", async () => {
    const { resources } = await make();
    expect(onlyResource(resources, types.bootstrap, "cluster-bootstrap").ignoreChanges).toEqual([
      "node",
      "endpoint",
      "clientConfiguration",
    ]);
    expect(onlyResource(resources, types.kubeconfig, "cluster-kubeconfig").ignoreChanges).toEqual([]);
  });
});

describe("applying configurations", () => {
  it("goes to every node at its own address, with credentials and configuration secret", async () => {
    const { resources } = await make({ ...running, acceptDropped: ["machine.sysctls"] });
    expect(ofType(resources, types.configuration)).toHaveLength(5);
    const { caCertificate, clientCertificate, clientKey } = parseTalosconfig(talosconfig);
    for (const { name, inputs } of ofType(resources, types.configuration)) {
      const role = name.includes("-cp") ? "controlplane" : "worker";
      expect(inputs).toMatchObject({
        role,
        controlPlanes: ["10.0.0.11", "10.0.0.12", "10.0.0.13"],
        acceptDropped: ["machine.sysctls"],
        clientConfiguration: { secret: { caCertificate, clientCertificate, clientKey } },
        machineConfiguration: {
          secret: expect.stringMatching(`type: ${role}\n    token: ${canary}\n`) as string,
        },
      });
      const { secret: patches } = inputs["patches"] as { secret: string[] };
      expect(patches.join("\n")).toContain("iscsi_tcp");
    }
    expect(onlyResource(resources, types.configuration, "cluster-config-w1").inputs).toMatchObject({
      name: "w1",
      node: "10.0.0.21",
    });
  });

  it("passes the contract, which is that of the secrets for a new cluster, so a change is refused", async () => {
    const contracts = async (changes: Partial<TalosClusterArgs>) => {
      const made: RecordOptions["made"] = (resource) =>
        resource.type === types.secrets
          ? { state: { ...madeSecrets, talosVersion: "v1.12" } }
          : (provider.made?.(resource) ?? {});
      const { inputs } = onlyResource(
        (await make(changes, { made })).resources,
        types.configuration,
        "cluster-config-cp1",
      );
      return { contract: inputs["contract"], createdWith: inputs["createdWith"] };
    };
    expect(await contracts(running)).toEqual({ contract: "v1.12", createdWith: undefined });
    expect(await contracts({})).toEqual({ contract: "v1.12", createdWith: "v1.12" });
    expect(await contracts({ contract: "v1.13" })).toEqual({ contract: "v1.13", createdWith: "v1.12" });
  });

  it("continues from the guard of 0.1.0 and adopts its state", async () => {
    const { resources } = await make(running);
    for (const { name, aliases } of ofType(resources, types.configuration)) {
      expect(aliases).toEqual([
        `talos-iscsi:index:MachineConfiguration::${name} > talos-node:index:ConfigurationGuard`,
      ]);
    }
  });

  it("takes control planes one at a time and then all workers at once, regardless of their order in the settings", async () => {
    const { resources } = await make(running, {
      made: (resource) => ({
        ...provider.made?.(resource),
        ...(resource.type === types.configuration ? { takes: resource.name.endsWith("w1") ? 30 : 10 } : {}),
      }),
    });
    const spans = ofType(resources, types.configuration);
    const [cp1, cp2, cp3, w1, w2] = ["cp1", "cp2", "cp3", "w1", "w2"].map((name) =>
      spans.find((span) => span.name === `cluster-config-${name}`),
    ) as [Registered, Registered, Registered, Registered, Registered];
    for (const [before, later] of [
      [cp1, cp2],
      [cp2, cp3],
      [cp3, w1],
      [cp3, w2],
    ] as const) {
      expect(later.start, `${later.name} after ${before.name}`).toBeGreaterThan(before.end);
    }
    expect(w1.start).toBeLessThan(w2.end);
    expect(w2.start).toBeLessThan(w1.end);
  });

  it("shows each node's configuration in the preview with secrets redacted", async () => {
    const { resources, result: cluster } = await make(running, { preview: true });
    const shown = onlyResource(resources, types.configuration, "cluster-config-cp1").inputs;
    expect(shown).toMatchObject({
      node: "10.0.0.11",
      configuration: expect.stringMatching(
        /^machine:\n {2}type: controlplane\n {2}token: "\[secret\]"\n/m,
      ) as string,
    });
    const redacted = await valueOf(cluster.redactedConfigurations);
    expect(Object.keys(redacted).sort()).toEqual(["cp1", "cp2", "cp3", "w1", "w2"]);
    expect(await isSecret(cluster.redactedConfigurations)).toBe(false);
    expect(leaksSecret(JSON.stringify(redacted))).toBe(false);
  });
});

describe("a new cluster", () => {
  it("creates protected secrets, and keeps its initial contract", async () => {
    const { resources, calls } = await make();
    const secrets = onlyResource(resources, types.secrets);
    expect(secrets.inputs).toEqual({ talosVersion: "v1.13" });
    expect(secrets.ignoreChanges).toEqual(["talosVersion"]);
    expect(secrets.protect).toBe(true);
    expect(secrets.additionalSecretOutputs).toEqual(["machineSecrets", "clientConfiguration"]);
    for (const inputs of generated(calls)) expect(inputs["talosVersion"]).toBe("v1.13");
  });

  it("uses the contract that its secrets were created with, not a newer release's", async () => {
    const { calls } = await make(
      { initialContract: "v1.13" },
      {
        // With ignoreChanges, the engine returns the contract in the state.
        made: (resource) =>
          resource.type === types.secrets
            ? { state: { ...madeSecrets, talosVersion: "v1.11" } }
            : (provider.made?.(resource) ?? {}),
      },
    );
    for (const inputs of generated(calls)) expect(inputs["talosVersion"]).toBe("v1.11");
  });

  it("uses the contract in the settings", async () => {
    const { calls, resources } = await make({ contract: "v1.12" });
    expect(onlyResource(resources, types.secrets).inputs).toEqual({ talosVersion: "v1.12" });
    for (const inputs of generated(calls)) expect(inputs["talosVersion"]).toBe("v1.12");
  });

  it("can have unprotected secrets", async () => {
    const { resources } = await make({ protectSecrets: false });
    expect(onlyResource(resources, types.secrets).protect).toBe(false);
  });

  it("gets its hostnames", async () => {
    const { resources } = await make();
    expect(patchesOf(resources, "controlplane")).toContainEqual({
      ...{ apiVersion: "v1alpha1", kind: "HostnameConfig" },
      ...{ auto: "off", hostname: "cp1" },
    });
  });

  it("is bootstrapped once, on the first control plane, after all configurations are applied", async () => {
    const { resources } = await make();
    const bootstrap = onlyResource(resources, types.bootstrap);
    expect(bootstrap.inputs).toEqual({
      clientConfiguration: { secret: madeSecrets.clientConfiguration },
      node: "10.0.0.11",
      endpoint: "10.0.0.11",
    });
    const applied = ofType(resources, types.configuration);
    expect(bootstrap.after).toEqual(expect.arrayContaining(applied.map(({ name }) => name)));
    for (const { end } of applied) expect(bootstrap.start).toBeGreaterThan(end);
  });

  it("shows all its resources in the first preview, before any secret exists", async () => {
    const update = await make();
    const preview = await make({}, { preview: true });
    const all = (resources: Registered[]) => resources.map(({ type, name }) => `${type} ${name}`).sort();
    expect(all(preview.resources)).toEqual(all(update.resources));
    expect(generated(preview.calls)).toEqual([]);
    const { inputs } = onlyResource(preview.resources, types.configuration, "cluster-config-cp1");
    expect(JSON.stringify(inputs["machineConfiguration"])).toContain(unknown);
  });
});

describe("a running cluster", () => {
  it("keeps its secrets, hostnames and etcd: nothing is created, named or bootstrapped", async () => {
    const { resources } = await make(running);
    expect(ofType(resources, types.secrets)).toEqual([]);
    expect(ofType(resources, types.bootstrap)).toEqual([]);
    for (const role of ["controlplane", "worker"]) {
      expect(JSON.stringify(patchesOf(resources, role))).not.toMatch(/hostname/i);
    }
  });
});

describe("a running cluster with machine configuration files", () => {
  const file = (type: string) =>
    `version: v1alpha1\nmachine:\n  type: ${type}\n  token: ${canary}\n  network: { hostname: by-hand }\n  kernel:\n    modules: [{ name: iscsi_tcp, parameters: [a=1] }]\n` +
    `cluster:\n  apiServer:\n    admissionControl:\n      - name: PodSecurity\n        configuration: { exemptions: { namespaces: [kube-system, joviandss-csi] } }\n`;
  const onFile: Partial<TalosClusterArgs> = {
    ...running,
    nodes: [
      node("cp1", 11, "controlplane", { baseConfiguration: file("controlplane") }),
      node("w1", 21, "worker", {
        baseConfiguration: file("worker"),
        patches: ["machine: { sysctls: { a: b } }"],
      }),
    ],
  };
  const applied = (resources: Registered[], name: string): string => {
    const { inputs } = onlyResource(resources, types.configuration, `cluster-config-${name}`);
    return (inputs["machineConfiguration"] as { secret: string }).secret;
  };

  it("keeps them and adds patches on top, each item once, without generating anything", async () => {
    const { resources, calls } = await make(onFile);
    expect(generated(calls)).toEqual([]);
    expect(parse(applied(resources, "cp1"))).toMatchObject({
      machine: {
        network: { hostname: "by-hand" },
        install: { image: "factory.talos.dev/metal-installer/c9:v1.13.9" },
        kernel: { modules: [{ name: "iscsi_tcp", parameters: ["a=1"] }] },
      },
      cluster: {
        apiServer: {
          admissionControl: [
            {
              name: "PodSecurity",
              configuration: { exemptions: { namespaces: ["kube-system", "joviandss-csi", "synology-csi"] } },
            },
          ],
        },
      },
    });
    expect(parse(applied(resources, "w1"))).toMatchObject({
      machine: { network: { hostname: "by-hand" }, sysctls: { a: "b" } },
    });
  });

  it("is known in the first preview exactly as it will be applied", async () => {
    const preview = await make(onFile, { preview: true });
    const update = await make(onFile);
    for (const name of ["cp1", "w1"])
      expect(applied(preview.resources, name)).toBe(applied(update.resources, name));
    expect(leaksSecret(JSON.stringify(preview.resources.map(({ inputs }) => withoutSecrets(inputs))))).toBe(
      false,
    );
  });
});

describe("the outputs", () => {
  it.each([
    ["new", {}, madeSecrets.clientConfiguration],
    ["running", running, pick(parseTalosconfig(talosconfig))],
  ])(
    "of a %s cluster are credentials, talosconfig and kubeconfig, all secret",
    async (_, changes, client) => {
      const { result: cluster, resources, calls } = await make(changes);
      expect(await valueOf(cluster.clientConfiguration)).toEqual(client);
      expect(await valueOf(cluster.talosconfig)).toBe(`talosconfig ${canary}`);
      expect(await valueOf(cluster.kubeconfig)).toBe(`kubeconfig ${canary}`);
      for (const output of [cluster.clientConfiguration, cluster.talosconfig, cluster.kubeconfig]) {
        expect(await isSecret(output)).toBe(true);
      }
      expect(calls.find(({ token }) => token.startsWith("talos:client/"))?.inputs).toMatchObject({
        clusterName: "dev",
        endpoints: ["10.0.0.11", "10.0.0.12", "10.0.0.13"],
        nodes: ["10.0.0.21", "10.0.0.11", "10.0.0.12", "10.0.0.22", "10.0.0.13"],
      });
      const kubeconfig = onlyResource(resources, types.kubeconfig);
      expect(kubeconfig.inputs).toMatchObject({ node: "10.0.0.11", endpoint: "10.0.0.11" });
      for (const { end } of ofType(resources, types.configuration))
        expect(kubeconfig.start).toBeGreaterThan(end);
    },
  );

  it.each<[string, string, boolean, string | undefined]>([
    ["a year", "8760h0m0s", true, "1440h"],
    ["61 days", "1464h", true, "1440h"],
    ["a day", "24h", true, "43200s"],
    ["a day", "24h", false, "43200s"],
    ["60 days", "1440h0m0s", true, "2592000s"],
    ["60 days", "1440h0m0s", false, undefined],
  ])(
    "are renewed less often than every up: a kubeconfig valid for %s",
    async (_, life, renewed, expected) => {
      const patch = `cluster:\n  adminKubeconfig:\n    certLifetime: ${life}\n`;
      const patches = { all: [], controlplane: [patch], worker: [] };
      for (const changes of [
        { ...running, patches },
        { ...running, nodes: [node("cp1", 11, "controlplane", { baseConfiguration: patch })] },
      ]) {
        const { resources } = await make({ ...changes, renewCredentials: renewed });
        const { inputs } = onlyResource(resources, types.kubeconfig);
        expect(inputs["certificateRenewalDuration"]).toBe(expected);
      }
    },
  );

  it("need the credentials of a running cluster, unless they are issued", () => {
    expect(() => requireCredentials(providedCredentials(undefined))).toThrow(
      expect.objectContaining({
        propertyPath: "existing.clientConfiguration",
        reason: expect.stringMatching(/^is missing; only renewCredentials/) as string,
      }),
    );
  });

  it("no input of any resource has a secret in plain text", async () => {
    for (const changes of [{}, running]) {
      const { resources } = await make(changes);
      const inputs = resources.map((resource) => withoutSecrets(resource.inputs));
      expect(leaksSecret(JSON.stringify(inputs))).toBe(false);
    }
  });

  it("ready includes every configuration and the bootstrap", async () => {
    expect((await make()).result.ready).toHaveLength(6);
    expect((await make(running)).result.ready).toHaveLength(5);
  });

  it("a cluster without a control plane is refused with the property's name", async () => {
    await expect(make({ nodes: [node("w1", 21, "worker")] })).rejects.toMatchObject({
      propertyPath: "nodes",
      reason: expect.stringContaining("has no control plane") as string,
    });
  });
});

function pick({ caCertificate, clientCertificate, clientKey }: ReturnType<typeof parseTalosconfig>) {
  return { caCertificate, clientCertificate, clientKey };
}

/** Inputs without everything that is marked secret. */
function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  if ("secret" in value && Object.keys(value).length === 1) return "(secret)";
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutSecrets(inner)]));
}
