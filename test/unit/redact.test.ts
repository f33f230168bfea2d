import { createHash, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { configRedactor, redactMachineConfig } from "../../talos/redact.ts";

const canary = (): string => randomBytes(32).toString("base64");
const pem = (label: string): string =>
  `-----BEGIN ${label}-----\n${canary()}\n${canary()}\n-----END ${label}-----\n`;
const base64 = (text: string): string => Buffer.from(text).toString("base64");

const CLUSTER_SECRET = canary();
const config = (changes: object): string =>
  stringify({
    version: "v1alpha1",
    machine: { type: "worker" },
    cluster: { secret: CLUSTER_SECRET },
    ...changes,
  });

describe("secrets in known and unusual places", () => {
  // Places where secrets are or may be some day. No value may be visible, not even partly.
  const low = "correct-horse"; // Not random, so only its path shows that it is secret.
  test.each<[string, object, string]>([
    ["a token", { machine: { token: "abcdef.0123456789abcdef" } }, "0123456789abcdef"],
    ["a key by its name alone", { machine: { ca: { crt: "", key: low } } }, low],
    ["a key as base64", { x: { y: base64(pem("EC PRIVATE KEY")) } }, "LS0tLS1CRUdJTiBF"],
    ["a key as text", { x: { y: pem("RSA PRIVATE KEY") } }, "RSA PRIVATE KEY"],
    [
      "a password",
      { machine: { registries: { config: { r: { auth: { username: "u", password: low } } } } } },
      low,
    ],
    ["registry auth", { kind: "RegistryAuthConfig", auth: base64(`u:${low}`) }, base64(`u:${low}`)],
    ["a passphrase", { encryption: { keys: [{ slot: 0, static: { passphrase: low } }] } }, low],
    ["wireguard", { peers: [{ presharedKey: low, publicKey: "pub" }], privateKey: low }, low],
    ["a number", { machine: { pinPassword: 73571113 } }, "73571113"],
    ["a field of the future, by its name", { machine: { futureFeature: { enrollmentToken: low } } }, low],
    ["a field of the future, hyphenated", { machine: { "api-key": low, client_secret: low } }, low],
    ["a section of the future", { machine: { credentials: { user: low, more: [low] } } }, low],
    ["an environment variable by its name", { env: [{ name: "API_TOKEN", value: low }] }, low],
    ["a list of them", { machine: { bearerTokens: [low] } }, low],
    ["an argument", { cluster: { apiServer: { extraArgs: { "oidc-client-secret": low } } } }, low],
    ["an argument in one piece", { args: [`--oidc-client-secret=${low}`, `token=${low}`] }, low],
    [
      "an environment variable",
      { environment: [`TS_AUTHKEY=${low}`], machine: { env: { GH_TOKEN: low } } },
      low,
    ],
    [
      "an address with a password",
      { machine: { env: { http_proxy: `http://user:${low}@proxy:3128` } } },
      low,
    ],
    ["a join token in an address", { apiUrl: `https://join.example.org/?jointoken=${low}&x=1` }, low],
    ["a kernel argument with a join token", { a: [`siderolink.api=grpc://h:8081?jointoken=${low}`] }, low],
    ["a header", { headers: `Authorization: Bearer ${low}` }, low],
    ["a file", { machine: { files: [{ path: "/var/etc/x.conf", content: `user = a\npw = ${low}` }] } }, low],
    ["an extension's file", { configFiles: [{ mountPath: "/x", content: low }] }, low],
    [
      "a Secret",
      { kind: "Secret", metadata: { name: "s" }, stringData: { a: low }, data: { b: base64(low) } },
      low,
    ],
    [
      "a Secret in a manifest in a configuration",
      {
        cluster: {
          inlineManifests: [{ name: "m", contents: stringify({ kind: "Secret", stringData: { a: low } }) }],
        },
      },
      low,
    ],
  ])("%s is not shown", (_, changes, secret) => {
    expect(redactMachineConfig(`# never ${secret}\n${config(changes)}`)).not.toContain(secret);
  });

  test("random text under a meaningless name is not shown", () => {
    // Detection of random text is probabilistic, so the samples are fixed.
    const bytes = (n: number): fc.Arbitrary<Buffer> =>
      fc.nat().map((seed) => createHash("sha512").update(String(seed)).digest().subarray(0, n));
    const random = fc.oneof(
      bytes(16).map((buffer) => buffer.toString("hex")),
      ...[24, 32, 48].map((n) => bytes(n).map((buffer) => buffer.toString("base64"))),
      ...[24, 32, 64].map((n) => bytes(n).map((buffer) => buffer.toString("base64url"))),
    );
    fc.assert(
      fc.property(random, fc.constantFrom("thing", "value", "data", "note", "x1"), (secret, name) => {
        expect(redactMachineConfig(config({ machine: { [name]: secret, list: [secret] } }))).not.toContain(
          secret,
        );
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test("no secret is shown, wherever it is in a tree of any shape", () => {
    const name = fc.constantFrom("a", "machine", "items", "spec", "kubelet");
    const secretName = fc.constantFrom("token", "key", "clientSecret", "password", "privateKey", "apiToken");
    const leaf = fc
      .tuple(secretName, fc.stringMatching(/^[A-Z][a-z]{6}-SECRET$/))
      .map(([k, v]) => ({ [k]: v }));
    const tree = fc.letrec<{ node: object }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.dictionary(name, tie("node"), { minKeys: 1, maxKeys: 3 }),
        fc.array(tie("node"), { minLength: 1, maxLength: 3 }),
      ),
    })).node;
    fc.assert(
      fc.property(tree, (value) => {
        expect(redactMachineConfig(stringify({ machine: value }))).not.toContain("-SECRET");
      }),
    );
  });
});

describe("harmless values stay readable", () => {
  test.each<[string, object]>([
    [
      "images",
      {
        image:
          "factory.talos.dev/metal-installer/c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac:v1.13.9",
      },
    ],
    ["digests", { image: `ghcr.io/x/y@sha256:${"0a1b2c3d".repeat(8)}` }],
    ["the cluster's id", { cluster: { id: canary() } }],
    ["public keys", { publicKey: canary() }],
    ["certificates", { ca: { crt: base64(pem("CERTIFICATE")) } }],
    [
      "paths and names",
      { path: "/var/lib/kubelet/plugins/csi.san.synology.com", name: "kubernetes-control-plane-node-0001" },
    ],
    [
      "switches",
      { defaultRuntimeSeccompProfileEnabled: true, tokenTTL: "24h", secretName: "csi", keyFile: "/x" },
    ],
    ["nothing", { ca: { key: "" }, token: null }],
    ["expressions", { match: 'disk.dev_path == "/dev/sda"' }],
    ["labels", { nodeLabels: { "node.kubernetes.io/exclude-from-external-load-balancers": "" } }],
  ])("%s", (_, changes) => {
    expect(parse(redactMachineConfig(stringify(changes)))).toEqual(changes);
  });

  test("a key in the middle of a text is not shown", () => {
    const shown = redactMachineConfig(stringify({ machine: { note: `before\n${pem("PRIVATE KEY")}after` } }));
    expect(shown).toContain("[secret]");
    expect(shown).not.toContain("BEGIN");
  });
});

describe("a secret's mark", () => {
  test("is the same on every node of the cluster while the secret is, and changes only with it", () => {
    const mark = (text: string): string | undefined =>
      /token: («secret [0-9a-f]{8}»)/.exec(redactMachineConfig(text))?.[1];
    const first = mark(config({ machine: { token: "one", type: "worker" } }));
    expect(first).toBeDefined();
    expect(mark(config({ machine: { token: "one", type: "controlplane", other: [1] } }))).toBe(first);
    expect(mark(config({ machine: { token: "two" } }))).not.toBe(first);
    expect(mark(config({ machine: { token: "one" }, cluster: { secret: canary() } }))).not.toBe(first);
  });

  test("changes one line per changed secret", () => {
    const before = redactMachineConfig(
      config({ machine: { token: "one", a: { key: "k" }, list: ["x", "y"] } }),
    ).split("\n");
    const after = redactMachineConfig(
      config({ machine: { token: "two", a: { key: "k" }, list: ["x", "y"] } }),
    ).split("\n");
    expect(after).toHaveLength(before.length);
    expect(after.filter((line, i) => line !== before[i])).toHaveLength(1);
  });

  test("survives a second redaction", () => {
    const text = config({
      machine: { token: "one", env: { P: "http://u:p@h" }, kubelet: { x: "--token=a b" } },
    });
    for (const key of [canary(), undefined]) {
      const once = redactMachineConfig(text, { key });
      expect(redactMachineConfig(once, { key })).toBe(once);
    }
  });

  const passwords = ["hunter2", "letmein", "correct-horse", "plum"];
  const guesses = ["", "dev", "k", "hunter2", "https://10.0.0.10:6443", ...passwords];

  test.each<[string, string]>([
    ["a patch has no secret of a cluster", "machine: { env: { DB_PASS: hunter2 } }"],
    [
      "a patch is one document among several",
      "machine: { env: { DB_PASS: hunter2 } }\n---\nkind: X\ntoken: plum",
    ],
    [
      "someone made up the cluster's secret",
      "cluster: { secret: dev }\nmachine: { env: { DB_PASS: hunter2 } }",
    ],
    [
      "the cluster's secret is itself a mark",
      "cluster: { secret: «secret 0123abcd» }\nmachine: { token: hunter2 }",
    ],
  ])("cannot be tested with a list of guesses if %s", (_, text) => {
    const shown = redactMachineConfig(text);
    expect(shown).toContain("[secret]");
    // Independent of the secret, so there is nothing to compare.
    for (const guess of passwords) {
      expect(redactMachineConfig(text.replace("hunter2", guess))).toBe(shown);
      expect(configRedactor(text).value({ text: guess, plain: true }, ["password"])).toBe("[secret]");
    }
    for (const key of guesses) expect(redactMachineConfig(text, { key })).toBe(shown);
    expect(configRedactor(text).path("a[hunter2]password=plum")).not.toMatch(/[0-9a-f]{8}/);
  });
});

test("a talosconfig and a kubeconfig are redacted", () => {
  const key = base64(pem("ED25519 PRIVATE KEY"));
  const talosconfig = stringify({
    context: "c",
    contexts: { c: { endpoints: ["127.10.0.11"], ca: base64(pem("CERTIFICATE")), key } },
  });
  expect(redactMachineConfig(talosconfig)).not.toContain(key);
  const kubeconfig = stringify({
    users: [{ name: "admin", user: { "client-key-data": key, token: "tok-en", password: "pass" } }],
  });
  const shown = redactMachineConfig(kubeconfig);
  for (const secret of [key, "tok-en", "pass\n"]) expect(shown).not.toContain(secret);
  expect(shown).toContain("name: admin");
});

test.each(["a: [", "a: *b", "\t- x: y: z", "{"])("text that is not YAML is not shown: %j", (text) => {
  expect(redactMachineConfig(`${text} hunter2`)).toBe("«not YAML, so not shown»\n");
});
