import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { installerImage, isoUrl, installerPartsOf, pxeUrl } from "../../talos/image.ts";
import { schematicId } from "../../talos/schematic.ts";
import {
  parseSecretsBundle,
  parseTalosconfig,
  secretsFromMachineConfig,
  SecretsError,
} from "../../talos/secretsBundle.ts";

const ID = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const spec = {
  factory: "https://factory.talos.dev",
  platform: "metal",
  secureBoot: false,
  schematicId: ID,
  version: "v1.13.9",
};

describe("image references", () => {
  test.each([
    ["the first seed's", { version: "v1.6.7" }, `factory.talos.dev/installer/${ID}:v1.6.7`],
    [
      "before 1.10, SecureBoot",
      { version: "v1.9.5", secureBoot: true },
      `factory.talos.dev/installer-secureboot/${ID}:v1.9.5`,
    ],
    ["from 1.10 on", {}, `factory.talos.dev/metal-installer/${ID}:v1.13.9`],
    [
      "another platform",
      { platform: "vmware", secureBoot: true },
      `factory.talos.dev/vmware-installer-secureboot/${ID}:v1.13.9`,
    ],
    [
      "a factory of one's own",
      { factory: "http://127.10.0.2:8080/" },
      `127.10.0.2:8080/metal-installer/${ID}:v1.13.9`,
    ],
    ["a bare host", { factory: "factory.example.org" }, `factory.example.org/metal-installer/${ID}:v1.13.9`],
  ])("%s", (_, change, reference) => {
    expect(installerImage({ ...spec, ...change })).toBe(reference);
    const wanted = { ...spec, ...change };
    expect(installerPartsOf(reference)).toMatchObject({
      schematicId: ID,
      version: wanted.version,
      secureBoot: wanted.secureBoot,
    });
  });

  test("include the boot media of a new machine", () => {
    expect(isoUrl(spec)).toBe(`https://factory.talos.dev/image/${ID}/v1.13.9/metal-amd64.iso`);
    expect(isoUrl({ ...spec, secureBoot: true }, "arm64")).toBe(
      `https://factory.talos.dev/image/${ID}/v1.13.9/metal-arm64-secureboot.iso`,
    );
    expect(pxeUrl(spec)).toBe(`https://pxe.factory.talos.dev/pxe/${ID}/v1.13.9/metal-amd64`);
    expect(pxeUrl({ ...spec, factory: "http://127.10.0.2:8080" })).toBe(
      `http://127.10.0.2:8080/pxe/${ID}/v1.13.9/metal-amd64`,
    );
  });

  test("recognize other installers, and nothing else", () => {
    expect(installerPartsOf("ghcr.io/siderolabs/installer:v1.12.7")).toEqual({
      registry: "ghcr.io/siderolabs",
      secureBoot: false,
      version: "v1.12.7",
    });
    const digest = `sha256:${"0".repeat(64)}`;
    expect(installerPartsOf(`r.example:5000/a/metal-installer/${ID}@${digest}`)).toEqual({
      registry: "r.example:5000/a",
      platform: "metal",
      secureBoot: false,
      schematicId: ID,
      digest,
    });
    for (const bad of [
      "",
      "installer",
      "nginx:latest",
      `factory.talos.dev/${ID}:v1.13.9`,
      "ghcr.io/siderolabs/installer",
      "a b/installer:v1",
    ]) {
      expect(installerPartsOf(bad), bad).toBeUndefined();
    }
  });

  test("are built from valid parts only", () => {
    expect(() => installerImage({ ...spec, schematicId: "abc" })).toThrow(/64 hexadecimal digits/);
    expect(() => installerImage({ ...spec, platform: "Metal/x" })).toThrow(/not a platform/);
    expect(() => installerImage({ ...spec, factory: "ftp://x" })).toThrow(/not the address/);
    expect(() => installerImage({ ...spec, version: "1.13.9" })).toThrow(/not a Talos release/);
    // The schematic without customizations, with the public factory's ID.
    expect(schematicId({})).toBe("376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba");
  });
});

const key = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
const KEY = Buffer.from(key).toString("base64");
const CERT = Buffer.from("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").toString("base64");
const pair = { crt: CERT, key: KEY };
const bundle = {
  cluster: { id: "the-id", secret: "the-secret" },
  secrets: { bootstraptoken: "abcdef.0123456789abcdef", secretboxencryptionsecret: "box" },
  trustdinfo: { token: "ghijkl.0123456789abcdef" },
  certs: { etcd: pair, k8s: pair, k8saggregator: pair, k8sserviceaccount: { key: KEY }, os: pair },
};

describe("a secrets bundle", () => {
  test("is parsed into the provider's shape", () => {
    const both = { cert: CERT, key: KEY };
    expect(parseSecretsBundle(stringify(bundle))).toEqual({
      cluster: bundle.cluster,
      secrets: { bootstrapToken: "abcdef.0123456789abcdef", secretboxEncryptionSecret: "box" },
      trustdinfo: bundle.trustdinfo,
      certs: { etcd: both, k8s: both, k8sAggregator: both, k8sServiceaccount: { key: KEY }, os: both },
    });
  });

  test("may be from before Talos 1.3, with AES-CBC encryption", () => {
    const old = { ...bundle, secrets: { bootstraptoken: "a.b", aescbcencryptionsecret: "cbc" } };
    expect(parseSecretsBundle(stringify(old)).secrets).toEqual({
      bootstrapToken: "a.b",
      secretboxEncryptionSecret: "",
      aescbcEncryptionSecret: "cbc",
    });
  });

  test("has every problem reported by path, and never a value", () => {
    const hunter = "hunter2-hunter2";
    const bad = {
      ...bundle,
      cluster: { id: "x" },
      trustdinfo: { token: hunter },
      certs: { ...bundle.certs, os: { crt: KEY, key: hunter }, etcd: { crt: [hunter], key: CERT } },
    };
    const error = thrown(() => parseSecretsBundle(stringify(bad)));
    expect(error.problems.map(({ path }) => path)).toEqual([
      "cluster.secret",
      "trustdinfo.token",
      "certs.etcd.crt",
      "certs.etcd.key",
      "certs.os.crt",
      "certs.os.key",
    ]);
    expect(JSON.stringify([error.message, error.problems])).not.toContain(hunter);
    expect(error.message).not.toContain(KEY);
  });

  test("that is not YAML is reported by line, without quoting it", () => {
    const error = thrown(() => parseSecretsBundle('cluster:\n  id: "hunter2\n'));
    expect(error.problems[0]?.path).toMatch(/^line \d$/);
    expect(error.message).not.toContain("hunter2");
    expect(thrown(() => parseSecretsBundle("")).message).toContain("empty");
    expect(thrown(() => parseSecretsBundle("- a")).message).toContain("mapping");
  });
});

describe("a talosconfig", () => {
  const talosconfig = {
    context: "prod",
    contexts: {
      prod: { endpoints: ["127.10.0.11"], nodes: ["127.10.0.21"], ca: CERT, crt: CERT, key: KEY },
      test: { ca: CERT, crt: CERT, key: KEY },
    },
  };

  test("is read for its current context, or another one", () => {
    expect(parseTalosconfig(stringify(talosconfig))).toEqual({
      context: "prod",
      caCertificate: CERT,
      clientCertificate: CERT,
      clientKey: KEY,
      endpoints: ["127.10.0.11"],
      nodes: ["127.10.0.21"],
    });
    expect(parseTalosconfig(stringify(talosconfig), "test")).toMatchObject({
      context: "test",
      endpoints: [],
      nodes: [],
    });
  });

  test("has its problems reported", () => {
    expect(thrown(() => parseTalosconfig(stringify(talosconfig), "stage")).message).toContain(
      "available: prod, test",
    );
    expect(thrown(() => parseTalosconfig(stringify({ ...talosconfig, context: "" }))).problems[0]?.path).toBe(
      "context",
    );
    const broken = { context: "a", contexts: { a: { endpoints: "x", ca: CERT, crt: "??", key: CERT } } };
    expect(thrown(() => parseTalosconfig(stringify(broken))).problems.map(({ path }) => path)).toEqual([
      "contexts.a.crt",
      "contexts.a.key",
      "contexts.a.endpoints",
    ]);
  });
});

test("secrets cannot come from a configuration without a machine section, or from a worker's", () => {
  expect(thrown(() => secretsFromMachineConfig("cluster: {}")).problems[0]?.path).toBe("machine");
  expect(thrown(() => secretsFromMachineConfig("machine: { type: worker }")).message).toContain(
    "use a control plane's",
  );
});

function thrown(action: () => unknown): SecretsError {
  try {
    action();
  } catch (error) {
    if (error instanceof SecretsError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
