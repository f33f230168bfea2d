import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments, stringify } from "yaml";
import { configChanges } from "../../talos/configChanges.ts";
import { canonicalText } from "../../talos/configMeaning.ts";
import { documentLabel, parseConfig, textOf } from "../../talos/configTree.ts";
import { documentShape } from "../../talos/mergeRules.ts";
import { mergeConfig } from "../../talos/mergeConfig.ts";
import { modulePatch, securityPatch, subnetPatch } from "../../talos/patches.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { KNOWN_CONTRACTS } from "../../talos/releases.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { askGo } from "../../tools/goProgram.ts";

// Every secret of a configuration as Talos's own machinery makes it, further ones wherever people put them, and fields that no Talos has yet: none is
// shown, whichever way a configuration is shown.

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-canary-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

const canaries: string[] = [];
/** A secret as machines make them, remembered. */
function canary(bytes = 24): string {
  const secret = randomBytes(bytes).toString("base64url");
  canaries.push(secret);
  return secret;
}
/** A secret as people make them. */
function plainWords(): string {
  const secret = `correct-horse-${canaries.length}`;
  canaries.push(secret);
  return secret;
}
const privateKey = (): string =>
  `-----BEGIN EC PRIVATE KEY-----\n${canary(48)}\n-----END EC PRIVATE KEY-----\n`;

/** Where owners put secrets, as the documents of these releases have it, and as later ones may. */
function planted(): string {
  return [
    {
      machine: {
        env: { HTTPS_PROXY: `http://user:${canary()}@proxy:3128`, AWS_SECRET_ACCESS_KEY: canary() },
        registries: {
          config: {
            "registry.example.com": {
              auth: { username: "u", password: plainWords(), identityToken: canary() },
            },
          },
          mirrors: { "docker.io": { endpoints: [`https://u:${canary()}@mirror.example.com`] } },
        },
        files: [{ path: "/var/x", permissions: 0o600, op: "create", content: `api_key = ${canary()}` }],
        systemDiskEncryption: { state: { keys: [{ slot: 0, static: { passphrase: canary() } }] } },
        network: {
          interfaces: [
            {
              interface: "wg0",
              wireguard: { privateKey: canary(32), peers: [{ presharedKey: canary(32) }] },
            },
          ],
        },
        kubelet: {
          extraArgs: { "bootstrap-token": canary() },
          credentialProviderConfig: { env: [{ name: "REGISTRY_TOKEN", value: plainWords() }] },
        },
        install: { extraKernelArgs: [`console.password=${canary()}`] },
        futureApiKey: canary(),
        futureAccess: { clientSecret: canary(), tokens: [canary(), canary()], bearer: `Bearer ${canary()}` },
        futurePem: privateKey(),
      },
      cluster: {
        inlineManifests: [
          {
            name: "s",
            contents: stringify({
              apiVersion: "v1",
              kind: "Secret",
              metadata: { name: "s" },
              stringData: { any: canary() },
            }),
          },
        ],
        externalCloudProvider: { manifests: [`https://host/path?token=${canary()}`] },
        apiServer: {
          env: { OIDC_CLIENT_SECRET: canary() },
          extraArgs: { "service-account-key-data": canary() },
        },
      },
    },
    {
      apiVersion: "v1alpha1",
      kind: "ExtensionServiceConfig",
      name: "x",
      environment: [`DB_PASSWORD=${canary()}`],
      configFiles: [{ content: canary(), mountPath: "/a" }],
    },
    {
      apiVersion: "v1alpha1",
      kind: "SideroLinkConfig",
      apiUrl: `https://siderolink.example.com?jointoken=${canary()}`,
    },
    {
      apiVersion: "v1alpha1",
      kind: "FutureVaultConfig",
      name: "v",
      vaultToken: canary(),
      nested: { signingKey: privateKey(), list: [{ password: canary() }] },
    },
  ]
    .map((document) => stringify(document))
    .join("---\n");
}

/** The secrets in a generated configuration: what stands under names of keys and tokens, in its documents of whatever shape. */
function generatedSecrets(text: string): string[] {
  const found: string[] = [];
  const walk = (value: unknown, name: string): void => {
    if (Array.isArray(value)) for (const item of value) walk(item, name);
    else if (typeof value === "object" && value !== null)
      for (const [key, inner] of Object.entries(value)) walk(inner, key);
    else if (
      typeof value === "string" &&
      /^(?:token|key|secret|privateKey|clusterSecret|\w*EncryptionSecret)$/.test(name) &&
      value.length > 8
    )
      found.push(value);
  };
  for (const document of parseAllDocuments(text)) walk(document.toJS(), "");
  return found;
}

function expectNothingShown(generated: string): void {
  const full = mergeConfig(generated, [planted()]);
  const secrets = [...canaries, ...generatedSecrets(generated)];
  expect(generatedSecrets(generated).length).toBeGreaterThan(2);
  const other = secrets.reduce(
    (text, secret) => text.replaceAll(secret, [...secret].reverse().join("")),
    full,
  );
  const ways = {
    redacted: redactMachineConfig(full),
    gained: configChanges({ running: generated, wanted: full, patches: [], accepted: [] }),
    lost: configChanges({ running: full, wanted: generated, patches: [], accepted: [] }),
    changed: configChanges({ running: full, wanted: other, patches: [], accepted: [] }),
    all: configChanges({ running: "version: v1alpha1\n", wanted: full, patches: [], accepted: [] }),
  };
  expect(ways.lost.dropped.length).toBeGreaterThan(20);
  expect(ways.changed.lines.length).toBeGreaterThan(20);
  for (const [way, shown] of Object.entries(ways)) {
    const text =
      typeof shown === "string"
        ? shown
        : [...shown.lines, ...shown.dropped.map(({ line, path }) => `${line} ${path}`)].join("\n");
    const whole = secrets.filter((secret) => text.includes(secret));
    // The body of a PEM is a secret without its frame, too.
    const inner = secrets.filter((secret) =>
      text.includes(Buffer.from(secret, "base64").toString("utf8").split("\n")[1] || secret),
    );
    const seen = [...whole, ...inner].flatMap((secret) =>
      text.split("\n").filter((line) => line.includes(secret)),
    );
    expect(seen.map((line) => `${way}: ${line}`)).toEqual([]);
  }
}

describe("no secret is shown of a configuration that talosctl made", () => {
  let talosctl = "";
  beforeAll(async () => {
    ({ talosctl } = await resolveTools(["talosctl"]));
    await run(talosctl, ["gen", "secrets", "-o", join(folder, "secrets.yaml")]);
  }, 900_000);

  test.each(KNOWN_CONTRACTS.filter((contract) => contract !== "v1.14"))(
    "for contract %s",
    async (contract) => {
      await run(talosctl, [
        ...["gen", "config", "c", "https://10.0.0.10:6443", "--talos-version", contract],
        ...["--with-secrets", join(folder, "secrets.yaml"), "--output-dir", join(folder, contract)],
      ]);
      for (const role of ["controlplane", "worker"]) {
        expectNothingShown(await readFile(join(folder, contract, `${role}.yaml`), "utf8"));
      }
    },
  );
});

describe("the machinery of 1.14", () => {
  interface Answer {
    config?: string;
    error?: string;
  }
  const contract = "v1.14";
  const patches = (role: string): string[] =>
    [
      role === "controlplane" ? securityPatch({ namespaces: ["a-csi", "b-csi"], contract }) : undefined,
      modulePatch({ modules: ["iscsi_tcp", "dm_multipath"], contract }),
      subnetPatch({ podSubnets: ["10.1.0.0/16"], serviceSubnets: ["10.2.0.0/16"], contract }),
      "machine: { certSANs: [a.example.com] }",
      "apiVersion: v1alpha1\nkind: HostnameConfig\nauto: off\nhostname: a\n",
    ].filter((patch) => patch !== undefined);
  const roles = ["controlplane", "worker"] as const;
  let answers: Answer[];
  beforeAll(async () => {
    // Secrets are made once a run, so that the two answers of a role differ by the patches alone.
    answers = await askGo<Answer>(
      "machinery114",
      roles.flatMap((role) => [
        { role, patches: [] },
        { role, patches: patches(role) },
      ]),
    );
  }, 900_000);

  test.each(roles)("shows no secret of a %s", (role) => {
    const { config, error } = answers[roles.indexOf(role) * 2] ?? {};
    expect(error).toBeUndefined();
    expectNothingShown(config ?? "");
  });

  test.each(roles)("merges what we patch into a %s as we do", (role) => {
    const [base, merged] = answers.slice(roles.indexOf(role) * 2);
    expect(merged?.error).toBeUndefined();
    const meanings = (text: string) =>
      Object.fromEntries(
        parseConfig(text).map((document) => [
          documentLabel(document),
          canonicalText(document, documentShape(textOf(document, "kind") ?? "")),
        ]),
      );
    expect(meanings(mergeConfig(base?.config ?? "", patches(role)))).toEqual(meanings(merged?.config ?? ""));
  });
});
