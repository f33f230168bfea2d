import { createPrivateKey, generateKeyPairSync, webcrypto, X509Certificate } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { createAuthority, issueLeaf, type Authority } from "../../lab/pki.ts";
import { issueCredentials, type TalosAuthority } from "../../provider/certificates/issue.ts";
import type { Clock } from "../../provider/clock.ts";
import { realClock } from "../../provider/clock.ts";
import { unknownValue } from "../../talos/secrecy/engineValues.ts";
import { unwrap, wrap, type Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import { pemCredentials, type TalosCredentials } from "../../talos/api/credentials.ts";
import { createHarness } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// Client certificates: expiry warnings in previews, and credentials issued from the cluster's own CA.

const day = 24 * 3600 * 1000;
const now = Date.parse("2026-11-28T12:00:00Z");
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const urnOf = (type: string): string => `urn:pulumi:dev::talos-iscsi::talos-node:index:${type}::it`;

let ca: Authority;
let authority: TalosAuthority;
beforeAll(async () => {
  ca = await createAuthority("talos", "ed25519");
  authority = { cert: base64(ca.pem), key: base64(await keyOf(ca, "ED25519 PRIVATE KEY")) };
});

async function keyOf({ key }: Authority, label: string): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN ${label}-----\n${der.replace(/(.{64})/g, "$1\n").trimEnd()}\n-----END ${label}-----\n`;
}

async function goodFor(days: number, from: Authority = ca): Promise<TalosCredentials> {
  const leaf = await issueLeaf(from, {
    commonName: "admin",
    organizations: ["os:admin"],
    usages: ["client"],
    keyKind: "ed25519",
    days,
  });
  return {
    caCertificate: base64(from.pem),
    clientCertificate: base64(leaf.certificate),
    clientKey: base64(leaf.key),
  };
}

/** A provider whose calendar is `days` ahead. */
const ahead = (days: number) => {
  const clock: Clock = { ...realClock, calendar: () => Date.now() + days * day };
  return createHarness(undefined, { probeMs: 3_000 }, undefined, clock);
};

describe("issued credentials", () => {
  it("are an administrator's, signed by the cluster's CA, and valid for a year", async () => {
    const issued = await issueCredentials(authority, now);
    const certificate = new X509Certificate(pemCredentials(issued).certificate);
    expect(certificate.verify(new X509Certificate(ca.pem).publicKey)).toBe(true);
    expect(certificate.subject).toBe("O=os:admin");
    expect(certificate.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(issued.caCertificate).toBe(authority.cert);
    expect(certificate.checkPrivateKey(createPrivateKey(pemCredentials(issued).key))).toBe(true);
  });

  it("stay the same for 180 days, and are always valid for at least half a year more", async () => {
    for (let days = 0; days < 400; days += 7) {
      const at = now + days * day;
      const [one, again] = [await issueCredentials(authority, at), await issueCredentials(authority, at)];
      expect(again).toEqual(one);
      const { validFromDate, validToDate } = new X509Certificate(pemCredentials(one).certificate);
      expect(validFromDate.getTime()).toBeLessThanOrEqual(at - day + 1000);
      expect(validToDate.getTime()).toBeGreaterThan(at + 184 * day);
    }
    const all = await Promise.all([0, 180, 360].map((days) => issueCredentials(authority, now + days * day)));
    expect(new Set(all.map(({ clientKey }) => clientKey)).size).toBe(3);
  });

  it("differ for another CA", async () => {
    const other = await createAuthority("talos", "ed25519");
    const theirs = { cert: base64(other.pem), key: base64(await keyOf(other, "PRIVATE KEY")) };
    const [one, two] = [await issueCredentials(authority, now), await issueCredentials(theirs, now)];
    expect(two.clientKey).not.toBe(one.clientKey);
  });

  it("come from the plugin's function as a secret; an unusable CA is refused without being shown", async () => {
    const { provider } = createHarness();
    const token = "talos-node:index:clientCredentials";
    const result = await provider.invoke(token, wrap({ authority: { ...authority } }, ["authority"]));
    expect([...unwrap(result.outputs as Properties).secrets]).toEqual(["clientConfiguration"]);
    const rsa = await createAuthority("talos", "ecdsa");
    const other = await createAuthority("talos", "ed25519");
    for (const [given, reason] of [
      [{ cert: base64(rsa.pem), key: base64(await keyOf(rsa, "PRIVATE KEY")) }, /type ec; .*new talosconfig/],
      [{ cert: authority.cert, key: base64("CANARYc4n4ry") }, /its key .*\[renew-credentials\]/],
      [{ cert: "", key: authority.key }, /its certificate .*\[renew-credentials\]/],
      [
        { cert: base64(other.pem), key: authority.key },
        /key does not belong to its certificate.*\[renew-cred/,
      ],
    ] as const) {
      const { failures } = await provider.invoke(token, { authority: given });
      expect(failures?.[0]?.reason).toMatch(reason);
      expect(JSON.stringify(failures)).not.toMatch(/c4n4ry/i);
    }
    expect((await provider.invoke("talos-node:index:other", {})).failures).toHaveLength(1);
  });
});

describe("with a running cluster", () => {
  let cluster: SimulatedCluster;
  let own: TalosAuthority;
  beforeAll(async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.48.12", controlPlanes: 1, workers: 1 });
    const { machine } = parse(cluster.node("cp1").config?.text ?? "") as {
      machine: { ca: { crt: string; key: string } };
    };
    own = { cert: machine.ca.crt, key: machine.ca.key };
  });
  afterAll(async () => cluster?.stop());

  const readiness = (clientConfiguration: unknown): Properties => ({
    nodes: Object.fromEntries(
      ["cp1", "w1"].map((name) => {
        const { address } = cluster.node(name);
        const role = name === "w1" ? "worker" : "controlplane";
        return [name, { node: address, role, talosVersion: "v1.12.7", image: "i", onRemove: "keep" }];
      }),
    ),
    controlPlanes: [cluster.node("cp1").address],
    schematicId: "0".repeat(64),
    onRemove: "keep",
    clientConfiguration,
    drain: { enabled: false },
    timeoutSeconds: 60,
    hardware: { named: { w1: [{ path: "machine.install.disk", disk: "/dev/sdz" }] } },
  });
  const preview = async (days: number, clientConfiguration: unknown) => {
    const { provider, warnings } = ahead(days);
    const { failures = [] } = await provider.check(
      urnOf("RolloutReadiness"),
      {},
      readiness(clientConfiguration),
    );
    return { warnings, reasons: failures.map(({ reason }) => reason) };
  };

  it("the preview warns 60 days before the talosconfig expires, and after expiry fails without contacting a node", async () => {
    const year = { ...cluster.credentials };
    expect((await preview(300, year)).warnings.join()).not.toContain("expires");
    const soon = await preview(310, year);
    expect(soon.reasons).toEqual([]);
    expect(soon.warnings[0]).toMatch(
      /^the client certificate of the talosconfig expires on \d{4}-\d\d-\d\d, in 5\d days \[certificate-expires\]/,
    );
    const over = await preview(366, year);
    expect(over.reasons).toHaveLength(1);
    expect(over.reasons[0]).toMatch(/talosconfig expired on .*renewCredentials.*new talosconfig/);
    // `talosctl config new` would ask a node.
    expect(soon.warnings[0]).toContain("talosctl config new");
    expect(over.reasons[0]).toContain("talosctl gen config --with-secrets");
    expect(over.reasons[0]).not.toContain("config new");
    // No node was contacted: the hardware mismatch is not among the warnings.
    expect(over.warnings).toEqual([]);
  });

  it("the preview refuses changes with a talosconfig that may only read, and warns where nothing changes", async () => {
    const { caCertificate } = cluster.credentials;
    const limited = async (...organizations: string[]): Promise<TalosCredentials> => {
      const leaf = await issueLeaf(ca, {
        commonName: "",
        organizations,
        usages: ["client"],
        keyKind: "ed25519",
        days: 9_000,
      });
      return { caCertificate, clientCertificate: base64(leaf.certificate), clientKey: base64(leaf.key) };
    };
    const denied =
      /^the talosconfig has only the role os:reader, os:operator; changing nodes needs os:admin \[node-access-denied\]\. Provide/;
    const weak = readiness(await limited("os:reader", "os:operator"));
    const judge = async (before: Properties, inputs: Properties) => {
      const { provider, warnings } = createHarness(undefined, { probeMs: 3_000 });
      const { failures = [] } = await provider.check(urnOf("RolloutReadiness"), before, inputs);
      return { reasons: failures.map(({ reason }) => reason), warnings };
    };
    expect((await judge({}, weak)).reasons).toEqual([expect.stringMatching(denied) as string]);
    const other = { ...weak, schematicId: "1".repeat(64) };
    expect((await judge(other, weak)).reasons).toEqual([expect.stringMatching(denied) as string]);
    const unchanged = await judge(weak, weak);
    expect(unchanged.reasons.join()).not.toContain("os:admin");
    expect(unchanged.warnings[0]).toMatch(denied);
    for (const roles of [["os:admin"], ["os:reader", "os:admin"], []])
      expect(JSON.stringify(await judge({}, readiness(await limited(...roles))))).not.toContain(
        "only the role",
      );
  });

  it("the preview refuses credentials that no connection can use, even if nothing changes", async () => {
    const [good, other] = [await goodFor(9_000), await goodFor(9_000)];
    const damaged = base64("-----BEGIN CERTIFICATE-----\nCANARYc4n4ry\n-----END CERTIFICATE-----\n");
    const { privateKey } = generateKeyPairSync("ed25519", {
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    });
    for (const change of [
      { clientCertificate: damaged },
      { caCertificate: damaged },
      { clientKey: other.clientKey },
      { clientKey: base64(privateKey) },
    ]) {
      const weak = readiness({ ...good, ...change });
      const { provider } = createHarness(undefined, { probeMs: 3_000 });
      const { failures = [] } = await provider.check(urnOf("RolloutReadiness"), weak, weak);
      expect(failures.map(({ reason }) => reason)).toEqual([
        expect.stringMatching(
          /^the certificates or the key of the talosconfig cannot be used: .* \[node-certificate\]\. Copy/,
        ) as string,
      ]);
      expect(JSON.stringify(failures)).not.toMatch(/c4n4ry/i);
    }
  });

  it("nodes accept issued credentials after the talosconfig has expired", async () => {
    const issued = await issueCredentials(own, Date.now());
    const { warnings, reasons } = await preview(0, issued);
    expect(reasons).toEqual([]);
    // The node was contacted.
    expect(warnings.join()).toContain("there is no disk /dev/sdz; the node has sda 107 GB.");
    const talos = connectActor({ endpoint: cluster.node("w1").address, credentials: issued });
    try {
      expect((await talos.version()).tag).toBe("v1.12.7");
    } finally {
      talos.close();
    }
  });

  it("a wrong clock on a node is not reported as an expired talosconfig", async () => {
    cluster.node("w1").faults.set("clock-skewed");
    try {
      const { warnings, reasons } = await preview(0, { ...cluster.credentials });
      expect([...warnings, ...reasons].join()).not.toMatch(/talosconfig expire/);
    } finally {
      cluster.node("w1").faults.clear();
    }
  });
});

describe("a kubeconfig", () => {
  const membership = (kubeconfig: unknown): Properties => ({
    nodes: { cp1: { node: "127.0.0.1", role: "controlplane" } },
    onRemove: "keep",
    clientConfiguration: { caCertificate: "a", clientCertificate: "b", clientKey: "c" },
    kubeconfig,
    drain: { enabled: false, timeoutSeconds: 300 },
    timeoutSeconds: 60,
  });
  const judged = async (kubeconfig: unknown, days = 0) => {
    const { provider, warnings } = ahead(days);
    const { failures = [] } = await provider.check(urnOf("ClusterMembership"), {}, membership(kubeconfig));
    return { warnings, reasons: failures.map(({ reason }) => reason) };
  };
  const kubeconfigOf = (user: object) => stringify({ users: [{ name: "admin", user }] });

  it("is checked for expiry of its client certificate once a deployment has it", async () => {
    const { clientCertificate } = await goodFor(100);
    const kubeconfig = kubeconfigOf({ "client-certificate-data": clientCertificate });
    expect(await judged(kubeconfig)).toEqual({ warnings: [], reasons: [] });
    expect((await judged(kubeconfig, 50)).warnings.join()).toMatch(/kubeconfig expires on .*`pulumi up`/);
    expect((await judged(kubeconfig, 101)).reasons.join()).toMatch(/kubeconfig expired on/);
  });

  it.each<unknown>([unknownValue, "no: [yaml", kubeconfigOf({ token: "abc" })])(
    "is not checked when it is unknown or has no certificate: %j",
    async (kubeconfig) => {
      expect(await judged(kubeconfig, 1000)).toEqual({ warnings: [], reasons: [] });
    },
  );
});

describe("new credentials", () => {
  const credentials = (text: string): Properties => ({
    clientConfiguration: { caCertificate: text, clientCertificate: text, clientKey: text },
    kubeconfig: text,
  });
  const [old, renewed] = [credentials("old"), credentials("new")];
  const shared = { controlPlanes: ["127.0.0.1"], schematicId: "0".repeat(64), timeoutSeconds: 60 };
  const node = { node: "127.0.0.1", role: "controlplane", talosVersion: "v1.13.9", image: "i" };
  const nodes = { cp1: node };
  const { kubeconfig: _none, ...talosOnly } = renewed;

  it.each<[string, Properties]>([
    ["NodeUpgrade", { ...shared, ...node, name: "cp1" }],
    ["NodeUpgrade", { ...shared, ...node, name: "w1", role: "worker" }],
    [
      "NodeConfiguration",
      {
        ...shared,
        node: "127.0.0.1",
        name: "cp1",
        role: "worker",
        machineConfiguration: "a: b",
        patches: [],
      },
    ],
    ["RolloutPreflight", { ...shared, nodes, plan: {} }],
    ["RolloutReadiness", { ...shared, nodes, onRemove: "keep" }],
    ["ClusterMembership", { nodes, onRemove: "keep", drain: { enabled: false }, timeoutSeconds: 60 }],
  ])("cause no diff of a %s, known or not", async (type, inputs) => {
    const { provider } = createHarness();
    const before = { ...inputs, ...old };
    for (const next of [renewed, talosOnly, { clientConfiguration: unknownValue, kubeconfig: unknownValue }])
      expect(
        await provider.diff("id", urnOf(type), before, { ...before, ...next }, before),
        JSON.stringify(next),
      ).toMatchObject({ changes: false });
  });

  it("leave a configuration settled even while they are unknown", async () => {
    const { provider } = createHarness();
    const inputs: Properties = {
      ...{ name: "cp1", node: "127.0.0.1", role: "controlplane", controlPlanes: ["127.0.0.1"] },
      ...{ machineConfiguration: "a: b\n", configuration: "a: b\n", patches: [], contract: "v1.13" },
      clientConfiguration: old["clientConfiguration"],
    };
    const renewing = { ...inputs, clientConfiguration: unknownValue };
    const checked = await provider.check(urnOf("NodeConfiguration"), inputs, renewing);
    expect(unwrap(checked.inputs as Properties).values["changes"]).toBeUndefined();
  });
});
