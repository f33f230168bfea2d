import * as pulumi from "@pulumi/pulumi";
import { afterEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { parseSettings, SettingsError, type Settings } from "../../config.ts";
import { readStackFile } from "../../settings/stackFile.ts";
import { configChanges } from "../../talos/configChanges.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { parseSchematic, schematicId } from "../../talos/schematic.ts";
import { skeletonConfig } from "../../talos/skeleton.ts";
import { record, type RecordOptions, type Registered } from "./components/recorder.ts";
import { bundle, withValues, minimalSettings, talosconfig } from "./settings/example.ts";

/** A value set with --secret or read from the environment is secret in every resource that gets it, regardless of its name. */

const secret = {
  user: "array-Admin7",
  password: "x-Array-pw7",
  account: "dsm-User8",
  accountPassword: "x-Dsm-pw8",
  option: "x-Opt=plum9",
  note: "note-Plum10",
  sysctl: "plum-Value11",
  address: "10.77.66.55",
  name: "dns-Plum12.example.org",
  host: "own-Plum13",
  kernel: "kernel-Plum14=1",
};

const joviandss = {
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: secret.user, password: secret.password },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [{ name: "Pool-0", storageClasses: [{ name: "joviandss-sc", mountOptions: [secret.option] }] }],
};
const synology = {
  arrays: [{ host: "192.168.0.20", username: secret.account, password: secret.accountPassword }],
  snapshots: { enabled: true, description: secret.note },
  healthPort: 29900,
};
/** A patch with harmless-looking names. All of it is secret. */
const patch = `machine:\n  sysctls: { a.b: ${secret.sysctl}, net.core.somaxconn: "4711" }\n  network: { extraHostEntries: [{ ip: ${secret.address}, aliases: [${secret.name}] }] }\n`;

const usual = (): Record<string, unknown> =>
  withValues(minimalSettings(), {
    talosContract: "v1.13",
    kubernetesVersion: "v1.35.4",
    "cluster.secrets": { bundle, talosconfig },
    "cluster.patches": { all: [patch, { machine: { nodeLabels: { "example.org/x": secret.host } } }] },
    "image.schematic": {
      customization: {
        systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] },
        extraKernelArgs: [secret.kernel],
      },
    },
    snapshotController: { install: true },
    joviandss,
    synology,
  });

const providers: RecordOptions = {
  made: ({ type, inputs }) => {
    if (type === "talos:imageFactory/schematic:Schematic")
      return { id: schematicId(parseSchematic(parse(String(inputs["schematic"])))) };
    return type === "talos:cluster/kubeconfig:Kubeconfig" ? { state: { kubeconfigRaw: "kubeconfig" } } : {};
  },
  answer: ({ token, inputs }) =>
    token === "talos:machine/getConfiguration:getConfiguration"
      ? {
          machineConfiguration: skeletonConfig(
            String(inputs["talosVersion"]),
            inputs["machineType"] as "controlplane" | "worker",
          ),
        }
      : { talosConfig: "talosconfig" },
};

let run = 0;
const warned: string[] = [];

async function program(config: Record<string, unknown>, secretKeys: string[], preview: boolean) {
  const entries = Object.entries(config).map(([key, value]) => [
    `talos-iscsi:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  vi.spyOn(pulumi.log, "warn").mockImplementation(async (text) => void warned.push(text));
  return record(
    async () => {
      pulumi.runtime.setAllConfig(
        Object.fromEntries(entries) as Record<string, string>,
        secretKeys.map((key) => `talos-iscsi:${key}`),
      );
      return (await import(/* @vite-ignore */ `../../index.ts?hidden=${run++}`)) as Record<string, unknown>;
    },
    { ...providers, preview },
  );
}

afterEach(() => {
  vi.restoreAllMocks();
  warned.length = 0;
});

/** The inputs of all resources without secret values. */
function plain(resources: Registered[]): string {
  return JSON.stringify(
    resources.map(({ type, name, inputs }) => ({ type, name, inputs })),
    (_, value: unknown) =>
      typeof value === "object" && value !== null && "secret" in value && Object.keys(value).length === 1
        ? "hidden"
        : value,
  );
}

const shownOf = (text: string): string[] => Object.values(secret).filter((value) => text.includes(value));

describe("a value set as a secret", () => {
  it.each([
    ["a preview", true],
    ["an update", false],
  ])("is in no resource in plain text in %s", async (_, preview) => {
    const { resources } = await program(usual(), ["cluster", "joviandss", "synology", "image"], preview);
    expect(resources.length).toBeGreaterThan(40);
    expect(shownOf(plain(resources))).toEqual([]);
    expect(plain(resources)).not.toContain("4711"); // Short, so only its path identifies it.
    // The values do reach the resources.
    expect(shownOf(JSON.stringify(resources))).toEqual(
      expect.arrayContaining([secret.user, secret.account, secret.option, secret.note]),
    );
    expect(warned.join()).not.toMatch(/plain text/);
  });

  it("is hidden if it comes from the environment", async () => {
    vi.stubEnv("ARRAY_USER", secret.user);
    vi.stubEnv("SYSCTL", secret.sysctl);
    const config = withValues(usual(), {
      "joviandss.endpoint.user": { fromEnvironment: "ARRAY_USER" },
      "cluster.patches": {
        all: [{ machine: { sysctls: { "a.b": { fromEnvironment: "SYSCTL" }, "c.d": "stays" } } }],
      },
    });
    const { resources } = await program(config, [], false);
    expect(plain(resources)).not.toContain(secret.user);
    expect(plain(resources)).not.toContain(secret.sysctl);
    expect(plain(resources)).toContain("stays");
    vi.unstubAllEnvs();
  });

  it("does not hide other values: without secrets, nothing changes", async () => {
    const { resources } = await program(usual(), [], false);
    expect(shownOf(plain(resources))).toEqual(expect.arrayContaining([secret.user, secret.sysctl]));
    expect(plain(resources)).not.toContain(secret.password);
    expect(JSON.stringify(resources)).not.toContain('"hidden":');
  });

  it("is hidden in the changes on a node too", () => {
    const { hidden } = parsed(usual(), { secretKeys: new Set(["cluster"]), file: {} });
    const base = "version: v1alpha1\nmachine: { sysctls: { net.core.somaxconn: '4711', x: '4711' } }\n";
    const wanted = `version: v1alpha1\n${patch}`;
    const { lines, dropped } = configChanges({
      ...{ running: base, wanted, patches: [], accepted: [], hidden: hidden.configurations },
    });
    const all = [...lines, ...dropped.map(({ line }) => line)].join("\n");
    expect(shownOf(all)).toEqual([]);
    expect(all).toContain("- machine.sysctls.x: 4711"); // This value was not set as a secret.
    const text = redactMachineConfig(wanted, { hidden: hidden.configurations });
    expect(shownOf(text)).toEqual([]);
    expect(text).not.toContain("4711");
  });
});

function parsed(config: Record<string, unknown>, origin: Parameters<typeof parseSettings>[3]): Settings {
  return parseSettings(config, undefined, {}, origin);
}

function problemsOf(config: Record<string, unknown>, origin: Parameters<typeof parseSettings>[3]): string[] {
  try {
    parsed(config, origin);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.problems.map(({ path, reason }) => `${path}: ${reason}`);
    throw error;
  }
}

describe("a stack's file", () => {
  it("shows which parts of a key with a secret are plain", () => {
    const file = withValues(usual(), {
      "joviandss.endpoint.password": { secure: "v1:abc" },
      "cluster.secrets": { bundle: { secure: "v1:x" } },
    });
    const { hidden } = parsed(usual(), { secretKeys: new Set(["cluster", "joviandss"]), file });
    expect(hidden.values).toEqual([secret.password]);
    expect(hidden.configurations).toEqual([]);
  });

  it("causes a warning for each plain-text password, with its path and never its value", () => {
    const config = withValues(usual(), {
      "cluster.patches": {
        all: [
          { machine: { env: { DB_PASS: "plum15", TZ: "UTC" } } },
          "machine:\n  registries: { config: { r: { auth: { password: plum16 } } } }\n",
        ],
      },
    });
    const { warnings } = parsed(config, { secretKeys: new Set(), file: undefined });
    const plainOnes = warnings.filter(({ reason }) => reason.startsWith("is a plain-text secret"));
    expect(plainOnes.map(({ path }) => path).sort()).toEqual([
      "cluster.patches.all[0].machine.env.DB_PASS",
      "cluster.patches.all[1]",
      "cluster.secrets.bundle",
      "cluster.secrets.talosconfig",
      "joviandss.endpoint.password",
      "synology.arrays[0].password",
    ]);
    expect(JSON.stringify(warnings)).not.toMatch(/plum1[56]|x-Array-pw7/);
  });

  it("is refused for plain-text passwords with strictSecrets, with all other mistakes", () => {
    const config = withValues(usual(), { strictSecrets: true, talosContract: "wrong" });
    const found = problemsOf(config, { secretKeys: new Set(["cluster"]), file: undefined });
    expect(found.map((line) => line.split(":")[0])).toEqual(
      expect.arrayContaining(["joviandss.endpoint.password", "synology.arrays[0].password", "talosContract"]),
    );
    expect(found.join()).not.toContain("cluster.secrets");
  });

  it("passes strictSecrets with secrets that are encrypted, from the environment, or in a file", () => {
    const config = withValues(usual(), {
      strictSecrets: true,
      "joviandss.endpoint.password": { fromEnvironment: "A" },
      synology: undefined,
      snapshotController: undefined,
    });
    const settings = parseSettings(
      config,
      undefined,
      { A: "plum17" },
      { secretKeys: new Set(["cluster"]), file: undefined },
    );
    expect(settings.warnings.filter(({ reason }) => /plain text/.test(reason))).toEqual([]);
    expect(parseSettings(config, undefined, { A: "plum17" }).strictSecrets).toBe(true);
  });

  it("causes no warning if the origin of the settings is unknown", () => {
    expect(
      parseSettings(usual(), undefined, {}).warnings.filter(({ reason }) => /plain text/.test(reason)),
    ).toEqual([]);
  });
});

it("a message does not quote a value set as a secret, whether the value is valid or not", () => {
  const config = withValues(usual(), {
    "cluster.nodes[0].address": "plum-orchard",
    "cluster.endpoint": "pear-orchard",
    "joviandss.endpoint.idleTimeout": "fig-orchard",
  });
  const found = problemsOf(config, { secretKeys: new Set(["cluster", "joviandss"]), file: undefined });
  expect(found).toHaveLength(2);
  expect(found.join()).toContain("[secret]");
  expect(found.join()).not.toMatch(/orchard/);
});

it("plain text that a stack's file merges from an anchor is plain text", () => {
  const text = `config:
  talos-iscsi:joviandss:
    endpoint: &defaults { user: admin, password: plum17 }
  talos-iscsi:synology:
    arrays: [{ <<: *defaults, user: root }]
`;
  const file = readStackFile("talos-iscsi", "dev", () => text);
  expect(file?.["synology"]).toEqual({ arrays: [{ user: "root", password: "plum17" }] });
});
