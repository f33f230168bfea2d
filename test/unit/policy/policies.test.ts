import { describe, expect, test } from "vitest";
import { policySettings } from "../../../policy/configuration.ts";
import { evaluate, type Violation } from "../../../policy/evaluate.ts";
import { policies } from "../../../policy/policies.ts";
import type { StackResource } from "../../../policy/resources.ts";

// Placeholders in a policy's view of a resource, for hidden values and for unknown ones.
const secretMark = "[secret]";
const unknownMark = "[unknown]";

/** Each policy with resources that violate it and resources that comply. Secret values are invented. */

function resource(type: string, name: string, inputs: Record<string, unknown>, parents = ""): StackResource {
  return {
    type,
    name,
    urn: `urn:pulumi:prod::talos-iscsi::${parents}${type}::${name}`,
    inputs,
    outputs: inputs,
  };
}

async function found(policy: string, resources: StackResource[], config: object = {}): Promise<Violation[]> {
  const settings = policySettings(policies, JSON.stringify(config));
  return (await evaluate(policies, settings, resources)).filter((violation) => violation.policy === policy);
}

const id = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const installer = `factory.talos.dev/metal-installer/${id}:v1.13.9`;

const nodeType = "talos-node:index:NodeUpgrade";
const node = (name: string, more: Record<string, unknown> = {}) =>
  resource(nodeType, `upgrade-${name}`, {
    name,
    role: name.startsWith("cp") ? "controlplane" : "worker",
    talosVersion: "v1.13.9",
    image: installer,
    ...more,
  });
const configured = (configuration: string) =>
  resource("talos-node:index:NodeConfiguration", "cluster-config-cp1", { configuration });
const pods = (image: string, list = "containers") =>
  resource("kubernetes:apps/v1:Deployment", "app", {
    spec: { template: { spec: { [list]: [{ name: "app", image }] } } },
  });

describe("no-plaintext-secrets", () => {
  const privateKey = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n";
  const base64 = Buffer.from(privateKey).toString("base64");
  const kubeconfig = `apiVersion: v1\nkind: Config\nusers:\n  - name: admin\n    user:\n      client-key-data: ${base64}\n`;
  const talosconfig = `context: dev\ncontexts:\n  dev:\n    endpoints: [10.0.0.11]\n    key: ${base64}\n`;
  const machineConfig = (token: string) => `version: v1alpha1\nmachine:\n  type: worker\n  token: ${token}\n`;

  test.each<[string, string, Record<string, unknown>, string]>([
    ["a private key", "x:y:Z", { text: privateKey }, "text holds a private key"],
    ["a private key in base64", "x:y:Z", { a: { list: [base64] } }, "a.list[0] holds a private key"],
    [
      "a kubeconfig",
      "pulumi:providers:kubernetes",
      { kubeconfig },
      "kubeconfig holds a configuration with a secret",
    ],
    ["a talosconfig", "x:y:Z", { content: talosconfig }, "content holds a configuration with a secret"],
    [
      "a machine configuration",
      "talos-node:index:NodeConfiguration",
      { configuration: machineConfig("s3cret.0123456789abcdef") },
      "configuration holds a configuration with a secret",
    ],
    [
      "a password",
      "x:y:Z",
      { endpoint: { password: "correct horse" } },
      "endpoint.password holds the value of password",
    ],
    ["a token", "x:y:Z", { apiToken: "abc123def" }, "apiToken holds the value of apiToken"],
    [
      "an environment variable",
      "kubernetes:apps/v1:DaemonSet",
      { spec: { containers: [{ env: [{ name: "DB_PASSWORD", value: "correct horse" }] }] } },
      "spec.containers[0].env[0].value holds the value of DB_PASSWORD",
    ],
    [
      "an argument",
      "x:y:Z",
      { args: ["--user=a", "--password=correct"] },
      "args[1] holds the value of --password",
    ],
    ["an address", "x:y:Z", { url: "https://admin:horse@10.0.0.5" }, "url holds a password in an address"],
    ["one without a scheme", "x:y:Z", { to: "admin:ho/rse@10.0.0.5" }, "to holds a password in an address"],
    [
      "a name that ends in PASS",
      "x:y:Z",
      { env: { DB_PASS: "horse" } },
      "env.DB_PASS holds the value of DB_PASS",
    ],
    ["an entry of an environment", "x:y:Z", { environment: ["GH_PAT=horse"] }, "holds the value of GH_PAT"],
    ["JSON in a text", "x:y:Z", { a: '{"password":"horse"}' }, "a holds the value of password"],
    [
      "a variable of a container",
      "kubernetes:apps/v1:DaemonSet",
      { env: [{ name: "SMB_PIN", value: "horse9" }] },
      "env[0].value holds the value of SMB_PIN",
    ],
    [
      "a section",
      "x:y:Z",
      { credentials: { user: "horse" } },
      "credentials.user holds the value of credentials",
    ],
    [
      "a web token",
      "x:y:Z",
      { a: "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl" },
      "a holds a JSON web token",
    ],
    ["a bootstrap token", "x:y:Z", { a: "abcdef.0123456789abcdef" }, "a holds a bootstrap token"],
    [
      "the data of a Secret",
      "kubernetes:core/v1:Secret",
      { data: { "cfg.yaml": "aGVsbG8=" } },
      "data.cfg.yaml holds the data of a Kubernetes Secret",
    ],
    [
      "one entry of a Secret that is not secret",
      "kubernetes:core/v1:Secret",
      { stringData: { a: secretMark, b: "hello" } },
      "stringData.b holds the data of a Kubernetes Secret",
    ],
  ])("refuses %s", async (_, type, inputs, message) => {
    const violations = await found("no-plaintext-secrets", [resource(type, "a", inputs)]);
    expect(violations).toHaveLength(1);
    expect(violations[0]).toMatchObject({ level: "mandatory", urn: expect.stringContaining(type) as string });
    expect(violations[0]?.message).toContain(`${message}`);
    expect(violations[0]?.message).not.toMatch(/horse|PRIVATE|MHcC|0123456789abcdef|aGVsbG8|abc123def/);
  });

  test.each<[string, string, Record<string, unknown>]>([
    ["secrets", "x:y:Z", { password: secretMark, kubeconfig: secretMark, clientKey: unknownMark }],
    ["a Secret whose data is one", "kubernetes:core/v1:Secret", { stringData: secretMark }],
    [
      "a redacted machine configuration",
      "talos-node:index:NodeConfiguration",
      { configuration: machineConfig("«secret 0d80b176»") },
    ],
    [
      "references to secrets",
      "kubernetes:apps/v1:DaemonSet",
      {
        volumes: [{ secret: { secretName: "jdss-controller-cfg", defaultMode: 256 } }],
        env: [{ name: "DB_PASSWORD", valueFrom: { secretKeyRef: { name: "db", key: "password" } } }],
        imagePullSecrets: [{ name: "registry" }],
        automountServiceAccountToken: false,
        projected: { sources: [{ serviceAccountToken: { path: "token", expirationSeconds: 3600 } }] },
      },
    ],
    [
      "parameters of a StorageClass",
      "kubernetes:storage.k8s.io/v1:StorageClass",
      { parameters: { "csi.storage.k8s.io/node-stage-secret-name": "smb" } },
    ],
    [
      "rights on secrets",
      "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole",
      { rules: [{ resources: ["secrets"] }] },
    ],
    [
      "a certificate",
      "x:y:Z",
      { caCertificate: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" },
    ],
    [
      "a script",
      "kubernetes:core/v1:ConfigMap",
      { data: { run: "#!/bin/sh\nTOKEN=$1\nexec run --token=$TOKEN\n" } },
    ],
    [
      "taints, selectors and topology",
      "kubernetes:apps/v1:DaemonSet",
      {
        tolerations: [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }],
        matchExpressions: [{ key: "zone", operator: "In", values: ["a"] }],
        topologyKey: "kubernetes.io/hostname",
      },
    ],
    [
      "references in arguments",
      "x:y:Z",
      { args: ["--password=$(DB_PASSWORD)", "--token-file=/run/x", "-p", "80:80"] },
    ],
    ["marks that tell nothing", "x:y:Z", { configuration: machineConfig("'[secret]'"), token: "[secret]" }],
    ["checksums and IDs", "x:y:Z", { annotations: { "talos-iscsi/checksum": id }, schematicId: id }],
    ["an image and its digest", "x:y:Z", { image: installer, other: `docker.io/a/b@sha256:${id}` }],
  ])("accepts %s", async (_, type, inputs) => {
    expect(await found("no-plaintext-secrets", [resource(type, "a", inputs)])).toEqual([]);
  });

  test("looks for configured texts, and ignores configured paths", async () => {
    const leaky = [resource("x:y:Z", "a", { note: "see canary-4711 there", password: "plain" })];
    const config = { "no-plaintext-secrets": { texts: ["canary-4711"], ignore: ["password"] } };
    const violations = await found("no-plaintext-secrets", leaky, config);
    expect(violations.map(({ message }) => message)).toEqual([
      expect.stringContaining("note holds a string that this policy is configured to look for") as string,
    ]);
  });

  test("leaves outputs to no-plaintext-outputs", async () => {
    const leaky = { ...resource("x:y:Z", "a", {}), outputs: { token: "abc123def" } };
    expect(await found("no-plaintext-outputs", [leaky])).toMatchObject([
      { urn: leaky.urn, level: "mandatory" },
    ]);
    expect(await found("no-plaintext-outputs", [{ ...leaky, outputs: { token: secretMark } }])).toEqual([]);
    expect(await found("no-plaintext-secrets", [leaky])).toEqual([]);
  });
});

describe("odd-control-planes", () => {
  test("refuses two and four control planes", async () => {
    const violations = await found("odd-control-planes", [node("cp1"), node("cp2"), node("w1")]);
    expect(violations).toHaveLength(1);
    expect(violations[0]?.message).toContain("2 control planes (cp1, cp2)");
    expect(violations[0]?.urn).toBeUndefined();
  });

  test("counts the control planes of each cluster of a program", async () => {
    const of = (name: string, ...controlPlanes: string[]) => node(name, { controlPlanes });
    expect(await found("odd-control-planes", [of("cp1", "10.0.0.11"), of("cp1", "10.1.0.11")])).toEqual([]);
    const [three, two] = [
      ["10.0.0.11", "10.0.0.12", "10.0.0.13"],
      ["10.1.0.11", "10.1.0.12"],
    ];
    const nodes = [
      ...["cp1", "cp2", "cp3", "w1"].map((name) => of(name, ...three)),
      of("cp8", ...two),
      of("cp9", ...two),
    ];
    expect((await found("odd-control-planes", nodes)).map(({ message }) => message)).toEqual([
      expect.stringContaining("2 control planes (cp8, cp9)") as string,
    ]);
  });

  test("counts those of each cluster where addresses are the same, behind different endpoints", async () => {
    const clusters = ["edge1", "edge2"].flatMap((name): StackResource[] => {
      const component = resource("talos-iscsi:index:IscsiCluster", name, {});
      const rollout = { ...resource("talos-iscsi:index:RollingUpgrade", name, {}), parent: component.urn };
      const member = {
        ...resource(nodeType, `${name}-upgrade-cp1`, {
          name: "cp1",
          role: "controlplane",
          controlPlanes: ["10.0.0.11"],
        }),
        parent: rollout.urn,
      };
      return [component, rollout, member];
    });
    expect(await found("odd-control-planes", clusters)).toEqual([]);
  });

  test("accepts one, three, and a stack without nodes", async () => {
    expect(await found("odd-control-planes", [node("cp1"), node("w1"), node("w2")])).toEqual([]);
    expect(await found("odd-control-planes", [node("cp1"), node("cp2"), node("cp3")])).toEqual([]);
    expect(await found("odd-control-planes", [])).toEqual([]);
  });
});

describe("images-pinned and no-latest", () => {
  test.each([
    ["registry.example.com/app", "images-pinned"],
    ["not an image", "images-pinned"],
    ["registry.example.com/app:latest", "no-latest"],
  ])("refuse %s by %s only", async (image, policy) => {
    for (const list of ["containers", "initContainers"]) {
      const resources = [pods(image, list)];
      expect(await found(policy, resources)).toHaveLength(1);
      for (const other of ["images-pinned", "no-latest"].filter((name) => name !== policy))
        expect(await found(other, resources)).toEqual([]);
    }
  });

  test.each([
    "registry.example.com/app:v1",
    `registry.example.com/app@sha256:${id}`,
    `a/b:latest@sha256:${id}`,
    secretMark,
  ])("accept %s", async (image) => {
    expect(await found("images-pinned", [pods(image)])).toEqual([]);
    expect(await found("no-latest", [pods(image)])).toEqual([]);
  });

  test("check installers too, and require a digest if configured", async () => {
    const latest = installer.replace("v1.13.9", "latest");
    expect(await found("no-latest", [node("cp1", { image: latest })])).toHaveLength(1);
    expect(
      await found("no-latest", [configured(`machine:\n  install:\n    image: ${latest}\n`)]),
    ).toHaveLength(1);
    const config = { "images-pinned": { digest: true } };
    expect(await found("images-pinned", [pods("a.example.com/b:v1")], config)).toHaveLength(1);
    expect(await found("images-pinned", [pods(`a.example.com/b@sha256:${id}`), node("cp1")], config)).toEqual(
      [],
    );
  });

  test("check the image of the storage probe, whose pods the engine does not see", async () => {
    const probe = (image: string) => resource("talos-node:index:StorageProbe", "joviandss-probe", { image });
    expect(await found("images-pinned", [probe("a.example.com/busybox")])).toHaveLength(1);
    expect(await found("no-latest", [probe("a.example.com/busybox:latest")])).toHaveLength(1);
    expect(await found("images-pinned", [probe("a.example.com/busybox:1")])).toEqual([]);
  });
});

test("images-pinned accepts an installer from a factory at an IPv6 address", async () => {
  const image = `[fd00::5]:8080/metal-installer/${id}:v1.13.9`;
  expect(await found("images-pinned", [node("cp1", { image })])).toEqual([]);
});

describe("installer-from-factory", () => {
  test.each([
    ["a node's image", node("cp1", { image: "ghcr.io/siderolabs/installer:v1.13.9" })],
    [
      "a node's configuration",
      configured("machine:\n  install:\n    image: evil.example.com/installer:v1.13.9\n"),
    ],
    [
      "a document of contract v1.14",
      configured(
        "apiVersion: v1alpha1\nkind: UnattendedInstallConfig\nimage: evil.example.com/installer:v1.13.9\n",
      ),
    ],
  ])("refuses %s from another registry", async (_, made) => {
    const violations = await found("installer-from-factory", [made]);
    expect(violations).toHaveLength(1);
    expect(violations[0]?.message).toContain("does not come from the Image Factory factory.talos.dev");
  });

  test("accepts the public factory by default, and others by configuration", async () => {
    const nodes = [node("cp1"), configured(`machine:\n  install:\n    image: ${installer}\n`)];
    expect(await found("installer-from-factory", nodes)).toEqual([]);
    const config = { "installer-from-factory": { factory: "https://factory.example.com/" } };
    expect(await found("installer-from-factory", nodes, config)).toHaveLength(2);
    const own = node("cp1", { image: `factory.example.com/metal-installer/${id}:v1.13.9` });
    expect(await found("installer-from-factory", [own], config)).toEqual([]);
    for (const factory of ["https://Factory.Example.com:443", "factory.example.com"])
      expect(await found("installer-from-factory", [own], { "installer-from-factory": { factory } })).toEqual(
        [],
      );
    // A node's image from another factory than the cluster's.
    const both = { "installer-from-factory": { others: ["https://factory.example.com/"] } };
    expect(await found("installer-from-factory", [...nodes, own], both)).toEqual([]);
    const third = node("cp1", { image: `factory.example.org/metal-installer/${id}:v1.13.9` });
    expect((await found("installer-from-factory", [third], both))[0]?.message).toContain(
      "does not come from the Image Factory factory.talos.dev or factory.example.com",
    );
    expect(await found("installer-from-factory", [node("cp1", { image: unknownMark })])).toEqual([]);
  });
});

describe("upgrade-skew", () => {
  test.each([
    ["v1.35.9", 0],
    ["v1.36.1", 0],
    ["v1.37.0", 1],
    ["v1.34.9", 1],
  ])("checks Kubernetes %s against the releases on its nodes", async (kubernetesVersion, violations) => {
    const running = { cp1: { "kube-apiserver": "v1.35.4", kubelet: "v1.35.2" }, w1: { kubelet: "v1.35.4" } };
    const kubernetes = resource("talos-node:index:KubernetesUpgrade", "kubernetes-upgrade", {
      kubernetesVersion,
      running,
    });
    expect(await found("upgrade-skew", [kubernetes])).toHaveLength(violations);
  });

  test("accepts a Kubernetes upgrade that goes through every release in between", async () => {
    const to = (kubernetesVersion: string, through: string[]) =>
      resource("talos-node:index:KubernetesUpgrade", "kubernetes-upgrade", {
        ...{ kubernetesVersion, through },
        running: { cp1: { kubelet: "v1.33.2" } },
      });
    expect(await found("upgrade-skew", [to("v1.36.1", ["v1.34.13", "v1.35.10"])])).toEqual([]);
    expect(await found("upgrade-skew", [to("v1.36.1", ["v1.35.10"])])).toHaveLength(1);
  });

  test.each([
    ["v1.11.6", "v1.13.9", "Go through v1.12, one rollout each."],
    ["v1.13.9", "v1.10.7", "refuses to downgrade"],
  ])("refuses %s to %s", async (runningVersion, talosVersion, message) => {
    const violations = await found("upgrade-skew", [
      node("cp1", { runningVersion, talosVersion, allowSkew: true }),
    ]);
    expect(violations).toHaveLength(1);
    expect(violations[0]?.message).toContain(`cp1 runs ${runningVersion} and would run ${talosVersion}`);
    expect(violations[0]?.message).toContain(message);
  });

  test("accepts an upgrade whose preflight goes through every release in between", async () => {
    const hops = (...versions: string[]) =>
      resource("talos-node:index:RolloutPreflight", "upgrade-preflight", {
        hops: {
          ways: { default: versions.map((talosVersion) => ({ talosVersion })) },
          nodes: { cp1: { way: "default", after: [] } },
        },
      });
    const far = node("cp1", { runningVersion: "v1.10.9", talosVersion: "v1.13.9" });
    expect(await found("upgrade-skew", [hops("v1.11.6", "v1.12.11"), far])).toEqual([]);
    expect(await found("upgrade-skew", [hops("v1.11.6"), far])).toHaveLength(1);
    const other = node("cp2", { runningVersion: "v1.10.9", talosVersion: "v1.13.9" });
    expect(await found("upgrade-skew", [hops("v1.11.6", "v1.12.11"), other])).toHaveLength(1);
  });

  test("refuses nodes of one cluster more than a minor release apart", async () => {
    const violations = await found("upgrade-skew", [node("cp1"), node("w1", { talosVersion: "v1.11.6" })]);
    expect(violations.map(({ message }) => message)).toEqual([
      expect.stringContaining("cp1 would run v1.13.9 and w1 v1.11.6") as string,
    ]);
  });

  test("compares nodes, and looks for hops, within each cluster of a program", async () => {
    const [here, there] = [{ controlPlanes: ["10.0.0.11"] }, { controlPlanes: ["10.1.0.11"] }];
    const old = node("cp1", { ...there, talosVersion: "v1.10.9" });
    expect(await found("upgrade-skew", [node("cp1", here), node("w1", here), old])).toEqual([]);
    const hops = { ways: { way: [{ talosVersion: "v1.12.11" }] }, nodes: { cp1: { way: "way" } } };
    const preflight = (more: object) =>
      resource("talos-node:index:RolloutPreflight", "upgrade-preflight", { ...more });
    const far = node("cp1", { ...here, runningVersion: "v1.11.6" });
    expect(await found("upgrade-skew", [preflight({ ...here, hops }), preflight(there), far])).toEqual([]);
    expect(await found("upgrade-skew", [preflight(here), preflight({ ...there, hops }), far])).toHaveLength(
      1,
    );
  });

  test("accepts the next minor, the same release, and unknown releases", async () => {
    const nodes = [
      node("cp1", { runningVersion: "v1.12.7" }),
      node("cp2", { runningVersion: "v1.13.9" }),
      node("w1"),
      node("w2", { runningVersion: unknownMark, talosVersion: "v1.12.7" }),
    ];
    expect(await found("upgrade-skew", nodes)).toEqual([]);
  });
});

describe("privileged-namespaces and pod-security-exemptions", () => {
  const driver = "talos-iscsi:index:JovianDssCsi$talos-iscsi:index:IscsiCsiDriver$";
  const namespace = (name: string, enforce: string, parents = "") =>
    resource(
      "kubernetes:core/v1:Namespace",
      name,
      { metadata: { name, labels: { "pod-security.kubernetes.io/enforce": enforce } } },
      parents,
    );
  const exempt = (...names: string[]) =>
    configured(
      `cluster:\n  apiServer:\n    admissionControl:\n      - name: PodSecurity\n        configuration:\n          exemptions:\n            namespaces: [${names.join(", ")}]\n`,
    );
  const exemptDocument = (...names: string[]) =>
    configured(
      `apiVersion: v1alpha1\nkind: KubeAdmissionControlConfig\nname: PodSecurity\nconfiguration:\n  exemptions:\n    namespaces: [${names.join(", ")}]\n`,
    );

  test("refuse any other privileged namespace", async () => {
    const violations = await found("privileged-namespaces", [namespace("apps", "privileged")]);
    expect(violations).toHaveLength(1);
    expect(violations[0]?.message).toContain("Namespace apps lets any pod be root on its node");
  });

  test("accept the drivers' own, a restricted one, and an allowed one", async () => {
    const fine = [namespace("joviandss-csi", "privileged", driver), namespace("apps", "restricted")];
    expect(await found("privileged-namespaces", fine)).toEqual([]);
    const named = "talos-iscsi:index:PrivilegedNamespace$";
    expect(await found("privileged-namespaces", [namespace("longhorn-system", "privileged", named)])).toEqual(
      [],
    );
    const config = { "privileged-namespaces": { allowed: ["monitoring"] } };
    expect(await found("privileged-namespaces", [namespace("monitoring", "privileged")], config)).toEqual([]);
  });

  test.each([exempt, exemptDocument])(
    "refuse exemptions of other namespaces, in either form",
    async (form) => {
      const own = namespace("joviandss-csi", "privileged", driver);
      const violations = await found("pod-security-exemptions", [
        own,
        form("kube-system", "joviandss-csi", "apps"),
      ]);
      expect(violations.map(({ message }) => message)).toEqual([
        expect.stringContaining("PodSecurity exempts the namespace apps") as string,
      ]);
      expect(await found("pod-security-exemptions", [own, form("kube-system", "joviandss-csi")])).toEqual([]);
      const config = { "pod-security-exemptions": { allowed: ["apps"] } };
      expect(await found("pod-security-exemptions", [form("apps")], config)).toEqual([]);
    },
  );
});

test("every policy has a description, advice, and a level", () => {
  for (const policy of policies) {
    expect(policy.displayName, policy.name).toBeTruthy();
    expect(policy.description, policy.name).toMatch(/\.$/);
    expect(policy.remediationSteps, policy.name).toMatch(/\.$/);
    expect(policy.enforcementLevel, policy.name).toBe("mandatory");
    expect(policy.severity, policy.name).toBeTruthy();
  }
});
