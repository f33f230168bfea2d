import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseSettings } from "../../config.ts";
import {
  adoptedSettings,
  adoptedFiles,
  bundle,
  canary,
  withValues,
  controlplane,
  leaksSecret,
  parseOutcome,
  pem,
  talosconfig,
  worker,
} from "./settings/example.ts";

/** Problems with the secrets of a running cluster. Fails the test if any of them shows a secret. */
function problemsWith(secrets: unknown, files: Record<string, string> = adoptedFiles) {
  const { problems, message } = parseOutcome(
    withValues(adoptedSettings(), { "cluster.secrets": secrets }),
    files,
  );
  expect(leaksSecret(message)).toBe(false);
  return problems;
}

describe("the secrets of a running cluster", () => {
  it.each([
    ["a bundle by its path", { bundleFile: "secrets.yaml", talosconfigFile: "talosconfig" }],
    ["a bundle by its contents", { bundle, talosconfig }],
    [
      "a machine configuration by its path",
      { controlplaneFile: "controlplane.yaml", workerFile: "worker.yaml", talosconfigFile: "talosconfig" },
    ],
    ["a machine configuration by its contents", { controlplane, worker, talosconfig }],
  ])("can be set as %s", (_, secrets) => {
    const { settings, problems } = parseOutcome(
      withValues(adoptedSettings(), { "cluster.secrets": secrets }),
      adoptedFiles,
    );
    expect(problems).toEqual([]);
    expect(settings?.cluster.secrets?.machineSecrets).toMatchObject({
      cluster: { id: `${canary}id=`, secret: `${canary}secret=` },
      secrets: { bootstrapToken: `${canary}.boot`, secretboxEncryptionSecret: `${canary}box=` },
      trustdinfo: { token: `${canary}.trustd` },
      certs: { os: { cert: pem("CERTIFICATE"), key: pem("EC PRIVATE KEY") } },
    });
    expect(settings?.cluster.secrets?.clientConfiguration).toMatchObject({
      caCertificate: pem("CERTIFICATE"),
      clientCertificate: pem("CERTIFICATE"),
      clientKey: pem("EC PRIVATE KEY"),
    });
  });

  it("require a contract and a Kubernetes release", () => {
    const { problems } = parseOutcome(
      withValues(adoptedSettings(), { talosContract: undefined, kubernetesVersion: undefined }),
      adoptedFiles,
    );
    expect(problems).toEqual([
      {
        path: "talosContract",
        reason:
          "is missing; a running cluster (cluster.secrets) needs it: the Talos minor release it was created with, such as v1.12",
      },
      {
        path: "kubernetesVersion",
        reason:
          "is missing; a running cluster (cluster.secrets) needs it: the Kubernetes release it runs now; otherwise applying the configuration would change it",
      },
    ]);
  });

  it("allow a contract older than the release without a warning", () => {
    expect(parseOutcome(adoptedSettings(), adoptedFiles).settings?.warnings).toEqual([]);
  });

  it.each([
    ["nothing at all", {}, [/^has no secrets: .*bundleFile/, /^has no talosconfig: .*talosconfigFile/]],
    ["no talosconfig", { bundleFile: "secrets.yaml" }, [/^has no talosconfig/]],
    ["no machine secrets", { talosconfigFile: "talosconfig" }, [/^has no secrets/]],
    [
      "a bundle and a machine configuration",
      { bundleFile: "secrets.yaml", controlplaneFile: "controlplane.yaml", talosconfigFile: "talosconfig" },
      [/^has both a bundle and a machine configuration; set only one of them$/],
    ],
  ])("must be complete and unambiguous: %s", (_, secrets, reasons) => {
    expect(problemsWith(secrets)).toEqual(
      reasons.map((reason) => ({
        path: "cluster.secrets",
        reason: expect.stringMatching(reason) as string,
      })),
    );
  });

  it("need no talosconfig if the program issues the credentials, as after its loss", () => {
    const lost = { "cluster.secrets": { bundle }, "cluster.renewCredentials": true };
    const { settings, problems } = parseOutcome(withValues(adoptedSettings(), lost), adoptedFiles);
    expect(problems).toEqual([]);
    expect(settings?.cluster.secrets).not.toHaveProperty("clientConfiguration");
  });

  it("must not have both a path and the contents of a file", () => {
    expect(
      problemsWith({ bundle, bundleFile: "secrets.yaml", talosconfig, talosconfigFile: "talosconfig" }),
    ).toEqual([
      {
        path: "cluster.secrets.bundleFile",
        reason: "conflicts with bundle, which sets the same thing; set only one of them",
      },
      {
        path: "cluster.secrets.talosconfigFile",
        reason: "conflicts with talosconfig, which sets the same thing; set only one of them",
      },
    ]);
  });

  it("must be in files that exist", () => {
    expect(problemsWith({ bundleFile: "nowhere.yaml", talosconfigFile: "gone" }, {})).toEqual([
      {
        path: "cluster.secrets.bundleFile",
        reason: 'is "nowhere.yaml", but there is no such file; paths are relative to the project\'s folder',
      },
      {
        path: "cluster.secrets.talosconfigFile",
        reason: 'is "gone", but there is no such file; paths are relative to the project\'s folder',
      },
    ]);
  });

  it("are not shown if contents are in the place of a path", () => {
    expect(problemsWith({ bundleFile: bundle, talosconfig })).toEqual([
      {
        path: "cluster.secrets.bundleFile",
        reason: `is not a path but a string of ${bundle.length} characters; if this is the file's content, set it under bundle`,
      },
    ]);
  });

  it.each([
    ["a list", [bundle]],
    ["a mapping", { cluster: { secret: canary } }],
    ["a number", 7],
  ])("are not shown if contents are %s", (_, value) => {
    expect(problemsWith({ bundle: value, talosconfig })).toEqual([
      { path: "cluster.secrets.bundle", reason: "must be the contents of secrets.yaml, as text" },
    ]);
  });

  it("are not shown if the whole section is a string", () => {
    expect(problemsWith(bundle)).toEqual([
      {
        path: "cluster.secrets",
        reason: expect.stringMatching(/^must be an object with the keys bundle, bundleFile/) as string,
      },
    ]);
  });

  it.each([
    ["text that is not YAML", `a: "${canary}`, /^line \d+: is not YAML/],
    [
      "an alias of an anchor that is not there",
      `a: *${canary}`,
      /^line 1: is not YAML|aliases or nesting that cannot/,
    ],
    ["a list", `- ${canary}`, /^line 1: is not a YAML mapping$/],
    ["nothing", "", /^line 1: the file is empty$/],
    ["a bundle without its keys", "cluster: { id: x }", /: is missing$/],
    [
      "a key that is no key",
      bundle.replaceAll(pem("EC PRIVATE KEY"), canary),
      /^certs\.etcd\.key: is not base64/,
    ],
    [
      "aliases without end",
      bomb(),
      /^has aliases or nesting that cannot be resolved, so talosctl did not write it$/,
    ],
    ["nesting without end", "[".repeat(50_000), /^line 1: is not YAML|^has aliases or nesting that cannot/],
  ])("in a bundle that is %s: the error says what is wrong, and shows no secret", (_, text, reason) => {
    const problems = problemsWith({ bundle: text, talosconfig });
    expect(problems.length).toBeGreaterThan(0);
    expect(problems[0]).toEqual({
      path: "cluster.secrets.bundle",
      reason: expect.stringMatching(reason) as string,
    });
    expect(problems.every(({ path }) => path === "cluster.secrets.bundle")).toBe(true);
  });

  it("cannot come from a worker's machine configuration, which lacks the CA keys", () => {
    const wrong = controlplane.replace("type: controlplane", "type: worker");
    expect(problemsWith({ controlplane: wrong, worker, talosconfig })).toEqual([
      {
        path: "cluster.secrets.controlplane",
        reason: expect.stringMatching(/^machine\.type: is worker; .*use a control plane's$/) as string,
      },
    ]);
  });

  it("need a talosconfig with a current context", () => {
    const none = talosconfig.replace("context: dev\n", "");
    expect(problemsWith({ bundle, talosconfig: none })).toEqual([
      {
        path: "cluster.secrets.talosconfig",
        reason: "context: is not set, so no context is current (available: dev)",
      },
    ]);
  });

  it("are not shown if there are other mistakes too, which are all reported", () => {
    const { problems, message } = parseOutcome(
      withValues(adoptedSettings(), {
        talosVersion: "latest",
        "cluster.endpoint": `https://admin:${canary}@10.0.0.10:6443`,
        "cluster.secrets": { bundle: bundle.replace("trustdinfo", "trustinfo"), talosconfig },
        "cluster.patches.all": `machine:\n  token: ${canary}`,
        "image.factory": `https://${canary}@factory.talos.dev`,
      }),
    );
    expect(problems.map(({ path }) => path).sort()).toEqual([
      "cluster.endpoint",
      "cluster.patches.all",
      "cluster.secrets.bundle",
      "image.factory",
      "talosVersion",
    ]);
    expect(leaksSecret(message)).toBe(false);
  });
});

describe("files with secrets", () => {
  let folder = "";
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "settings-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it("are read from the working folder by default", () => {
    const [secrets, client] = [join(folder, "secrets.yaml"), join(folder, "talosconfig")];
    writeFileSync(secrets, bundle, { mode: 0o600 });
    writeFileSync(client, talosconfig, { mode: 0o600 });
    const settings = parseSettings(
      withValues(adoptedSettings(), { "cluster.secrets": { bundleFile: secrets, talosconfigFile: client } }),
    );
    expect(settings.cluster.secrets?.machineSecrets.cluster.id).toBe(`${canary}id=`);
  });

  it("that are folders or cannot be read are named with the cause", () => {
    const unreadable = join(folder, "talosconfig");
    writeFileSync(unreadable, talosconfig);
    chmodSync(unreadable, 0);
    const root = process.getuid?.() === 0; // root can read everything.
    let message = "";
    try {
      parseSettings(
        withValues(adoptedSettings(), {
          "cluster.secrets": { bundleFile: folder, talosconfigFile: unreadable },
        }),
      );
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("cluster.secrets.bundleFile: is");
    expect(message).toContain("it cannot be read (EISDIR)");
    if (!root) expect(message).toContain("this user has no permission to read it");
    expect(message).not.toContain("    at ");
  });
});

/** Ten lines of YAML that would expand to 9^9 strings. */
function bomb(): string {
  const names = [..."abcdefghi"];
  return names
    .map((name, index) => {
      const items = Array.from({ length: 9 }, () => (index === 0 ? "x" : `*${names[index - 1]}`));
      return `${name}: &${name} [${items.join(", ")}]`;
    })
    .join("\n");
}
