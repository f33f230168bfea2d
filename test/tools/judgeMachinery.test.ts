import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { ownPatches, type MachineConfigPatchSpec } from "../../talos/machineConfigPatches.ts";
import { mergeConfig } from "../../talos/mergeConfig.ts";
import { dropKnownParts } from "../../talos/dropKnownParts.ts";
import { securityPatch } from "../../talos/patches.ts";
import { KNOWN_CONTRACTS, supportedKubernetesRange } from "../../talos/releases.ts";
import { parseSecretsBundle } from "../../talos/secretsBundle.ts";
import { generatedConfig, skeletonConfig } from "../../talos/skeleton.ts";
import { evaluatePatches } from "../../talos/userPatches.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { skeletonsText } from "../../tools/skeletons.ts";
import { askGo } from "../../tools/goProgram.ts";
import { admissionPlugins, apiServerRefusal } from "./admission.ts";

// Compares what the preview says about a configuration with its real consumers: talosctl up to contract v1.13, the machinery of v1.14, and a real
// kube-apiserver for the admission configuration.

type Role = "controlplane" | "worker";
const IMAGE =
  "factory.talos.dev/metal-installer/c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac:v1.13.9";
const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-judge-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

let talosctl = "";
let apiServer = "";
let secrets = "";
let count = 0;

beforeAll(async () => {
  const tools = await resolveTools(["talosctl", "kube-apiserver"]);
  [talosctl, apiServer] = [tools.talosctl, tools["kube-apiserver"]];
  await run(talosctl, ["gen", "secrets", "-o", join(folder, "secrets.yaml")]);
  secrets = await readFile(join(folder, "secrets.yaml"), "utf8");
}, 900_000);

const cluster = { clusterName: "c", endpoint: "https://127.10.0.10:6443" };
const kubernetesOf = (contract: string): string =>
  `${supportedKubernetesRange(`${contract}.0`)?.newest ?? ""}.0`;

function generated(contract: string, role: Role): string {
  const text = skeletonConfig(contract, role, {
    ...cluster,
    kubernetesVersion: kubernetesOf(contract),
    machineSecrets: parseSecretsBundle(secrets),
  });
  if (text === undefined) throw new Error(`no skeleton for ${contract}`);
  return text;
}

function spec(contract: string, role: Role, hostname?: string): MachineConfigPatchSpec {
  return {
    contract,
    role,
    hostname,
    talosVersion: contract === "v1.14" ? "v1.14.1" : "v1.13.9",
    installerImage: IMAGE,
    installDisk: "/dev/vda",
    exemptNamespaces: ["joviandss-csi", "synology-csi"],
    kernelModules: ["iscsi_tcp"],
    user: [],
  };
}

/** Why Talos or kube-apiserver would refuse it; undefined if they accept it. */
async function refusal(
  base: string,
  patches: readonly string[],
  contract: string,
  role: Role,
): Promise<string | undefined> {
  const merged =
    contract === "v1.14" ? await mergedBy114(base, patches, role) : await mergedByTalosctl(base, patches);
  if (merged.error !== undefined || merged.config === undefined) return merged.error;
  return role === "worker" ? undefined : apiServerRefusal(apiServer, merged.config);
}

async function mergedByTalosctl(
  base: string,
  patches: readonly string[],
): Promise<{ config?: string; error?: string }> {
  const file = (name: string): string => join(folder, `${count}-${name}`);
  count++;
  await writeFile(file("base.yaml"), base);
  const flags: string[] = [];
  for (const [index, patch] of patches.entries()) {
    await writeFile(file(`${index}.patch`), patch);
    flags.push("--patch", `@${file(`${index}.patch`)}`);
  }
  try {
    await run(talosctl, ["machineconfig", "patch", file("base.yaml"), ...flags, "-o", file("merged.yaml")]);
    await run(talosctl, ["validate", "--mode", "metal", "--config", file("merged.yaml")]);
    return { config: await readFile(file("merged.yaml"), "utf8") };
  } catch (error) {
    return { error: (error as { stderr?: string }).stderr ?? String(error) };
  }
}

/** The base must be the generated configuration: machinery114 accepts no other. */
async function mergedBy114(base: string, patches: readonly string[], role: Role) {
  expect(base).toBe(generated("v1.14", role));
  const question = { role, patches, secrets, ...cluster, kubernetesVersion: kubernetesOf("v1.14").slice(1) };
  const [answer] = await askGo<{ config?: string; error?: string }>("machinery114", [question]);
  return answer ?? { error: "no answer" };
}

test("the skeletons match what the machinery generates", async () => {
  const committed = await readFile(join(import.meta.dirname, "..", "..", "talos", "skeletons.json"), "utf8");
  expect(JSON.parse(committed)).toEqual(JSON.parse(await skeletonsText()));
}, 600_000);

describe.each<Role>(["controlplane", "worker"])("contract v1.14 for a new %s", (role) => {
  test.each(["https://127.10.0.10:6443", "https://k8s.example.com:443", "https://[fd00::10]:6443"])(
    "is generated the same way as by the machinery, for %s",
    async (endpoint) => {
      const values = { clusterName: "name: with 'quotes'", endpoint, kubernetesVersion: "v1.36.1" };
      const own = ownPatches({
        ...spec("v1.14", role, "node-1"),
        kernelModules: ["iscsi_tcp", "dm_multipath"],
      });
      const ours = mergeConfig(
        generatedConfig("v1.14", role, { ...values, machineSecrets: parseSecretsBundle(secrets) }),
        own,
      );
      const question = { role, patches: own, secrets, ...values, kubernetesVersion: "1.36.1" };
      const [answer] = await askGo<{ config?: string; error?: string }>("machinery114", [question]);
      expect(answer?.error).toBeUndefined();
      const read = (text: string): unknown[] => parseAllDocuments(text).map((part) => part.toJS() as unknown);
      expect(read(ours)).toEqual(read(answer?.config ?? ""));
    },
    120_000,
  );
});

const document = (kind: string, ...lines: string[]): string =>
  [`apiVersion: v1alpha1`, `kind: ${kind}`, ...lines, ""].join("\n");
const noPodSecurity = (contract: string): string =>
  contract === "v1.14"
    ? document("KubeAdmissionControlConfig", "name: PodSecurity", "$patch: delete")
    : "cluster: { apiServer: { admissionControl: { $patch: delete } } }\n";

describe.each(KNOWN_CONTRACTS)("kube-apiserver loads the result for contract %s", (contract) => {
  test("with PodSecurity, as generated", async () => {
    const base = generated(contract, "controlplane");
    const own = ownPatches(spec(contract, "controlplane", "cp1"));
    expect(await refusal(base, own, contract, "controlplane")).toBeUndefined();
    expect(evaluatePatches([], { role: "controlplane", contract, base, own }).ofBase).toEqual([]);
  }, 120_000);

  test("without it, as its owner removed it: nothing is added", async () => {
    const base = mergeConfig(generated(contract, "controlplane"), [noPodSecurity(contract)]);
    const own = dropKnownParts(base, ownPatches(spec(contract, "controlplane"), base));
    const merged = mergeConfig(base, own);
    expect(admissionPlugins(merged)).toEqual([]);
    expect(await apiServerRefusal(apiServer, merged)).toBeUndefined();

    // Exemptions alone make kube-apiserver exit, and the preview refuses them.
    const alone = securityPatch({ namespaces: ["joviandss-csi"], contract }) ?? "";
    expect(await apiServerRefusal(apiServer, mergeConfig(base, [alone]))).toContain(
      "Object 'Kind' is missing",
    );
    const verdict = evaluatePatches([alone], { role: "controlplane", contract, base, own });
    expect(verdict.problems).toMatchObject([
      { patch: 0, reason: expect.stringContaining("kube-apiserver would not start") as string },
    ]);
  }, 120_000);
});

interface Case {
  readonly name: string;
  readonly contract: string;
  readonly role?: Role;
  /** Patches that create the base from the node's configuration file. */
  readonly file?: readonly string[];
  /** The host name in the settings. */
  readonly hostname?: string;
  readonly patches: readonly string[];
}

const exempting = (...names: string[]): string =>
  `cluster: { apiServer: { admissionControl: [{ name: PodSecurity, configuration: { exemptions: { namespaces: [${names.join(", ")}] } } }] } }\n`;
const byJsonPatch = (name: string): string =>
  `[{ op: add, path: /cluster/apiServer/admissionControl/0/configuration/exemptions/namespaces/-, value: ${name} }]`;
const args = "machine: { install: { extraKernelArgs: [net.ifnames=0] } }\n";
const oldHostname = [
  document("HostnameConfig", "$patch: delete"),
  "machine: { network: { hostname: by-hand } }\n",
];

// The preview and the consumers must agree: both refuse it, or both accept it.
const cases: Case[] = [
  {
    name: "a driver's namespace by a JSON patch",
    contract: "v1.11",
    patches: [byJsonPatch("joviandss-csi")],
  },
  { name: "another namespace by a JSON patch", contract: "v1.11", patches: [byJsonPatch("mine")] },
  { name: "no name of a namespace, by a JSON patch", contract: "v1.11", patches: [byJsonPatch("My_Space")] },
  { name: "a namespace twice in one patch", contract: "v1.13", patches: [exempting("a", "a")] },
  {
    name: "a namespace that the file has twice",
    contract: "v1.13",
    file: [exempting("a"), exempting("a")],
    patches: [],
  },
  {
    name: "a user twice",
    contract: "v1.13",
    patches: [exempting("a").replace("namespaces: [a]", "usernames: [a, a]")],
  },
  {
    name: "a level that there is not",
    contract: "v1.13",
    patches: [exempting("a").replace("exemptions: { namespaces: [a] }", "defaults: { enforce: none }")],
  },
  {
    name: "a release that there is not",
    contract: "v1.13",
    patches: [exempting("a").replace("exemptions: { namespaces: [a] }", "defaults: { warn-version: v1 }")],
  },
  {
    name: "PodSecurity given whole, on a file without it",
    contract: "v1.13",
    file: [noPodSecurity("v1.13")],
    patches: [
      exempting("a").replace(
        "exemptions:",
        "apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, exemptions:",
      ),
    ],
  },
  {
    name: "the documents of v1.14: a namespace twice",
    contract: "v1.14",
    patches: [
      document(
        "KubeAdmissionControlConfig",
        "name: PodSecurity",
        "configuration: { exemptions: { namespaces: [joviandss-csi] } }",
      ),
    ],
  },
  {
    name: "a JSON patch after a document",
    contract: "v1.11",
    patches: [
      document("WatchdogTimerConfig", "device: /dev/watchdog0"),
      "[{ op: add, path: /machine/sysctls, value: { a: '1' } }]",
    ],
  },
  {
    name: "a JSON patch before a document",
    contract: "v1.11",
    patches: [
      "[{ op: add, path: /machine/sysctls, value: { a: '1' } }]",
      document("WatchdogTimerConfig", "device: /dev/watchdog0"),
    ],
  },
  {
    name: "a JSON patch of something that is not there",
    contract: "v1.11",
    patches: ["[{ op: replace, path: /machine/sysctls/a, value: '1' }]"],
  },
  {
    name: "a delete of what workers do not have",
    contract: "v1.13",
    role: "worker",
    patches: [noPodSecurity("v1.13")],
  },
  { name: "a delete of what control planes have", contract: "v1.13", patches: [noPodSecurity("v1.13")] },
  {
    name: "a host name beside the automatic one",
    contract: "v1.12",
    patches: [document("HostnameConfig", "hostname: by-hand")],
  },
  {
    name: "the host name alone, where ours switched the automatic one off",
    contract: "v1.12",
    hostname: "by-hand",
    patches: [document("HostnameConfig", "hostname: by-hand")],
  },
  {
    name: "the host name alone, on a file without the automatic one",
    contract: "v1.13",
    file: [document("HostnameConfig", "$patch: delete")],
    patches: [document("HostnameConfig", "hostname: by-hand")],
  },
  {
    name: "a HostnameConfig document beside stableHostname",
    contract: "v1.11",
    patches: [document("HostnameConfig", "hostname: by-hand")],
  },
  {
    name: "the old host name, on a file of v1.12 that has it",
    contract: "v1.12",
    file: oldHostname,
    patches: ["machine: { network: { hostname: other } }\n"],
  },
  {
    name: "the setting for the host name, on a file of v1.12 that has the old one",
    contract: "v1.12",
    file: oldHostname,
    hostname: "renamed",
    patches: [],
  },
  {
    name: "a HostnameConfig document, on a file of v1.12 that has the old host name",
    contract: "v1.12",
    file: oldHostname,
    patches: [document("HostnameConfig", "auto: off", "hostname: other")],
  },
  { name: "kernel arguments beside the image's", contract: "v1.12", patches: [args] },
  {
    name: "kernel arguments on a file that switches the image's off",
    contract: "v1.12",
    file: ["machine: { install: { grubUseUKICmdline: false } }\n"],
    patches: [args],
  },
  { name: "kernel arguments of an old contract", contract: "v1.11", patches: [args] },
  {
    name: "the image's kernel arguments beside one's own, by a JSON patch",
    contract: "v1.11",
    patches: [args, "[{ op: add, path: /machine/install/grubUseUKICmdline, value: true }]"],
  },
  {
    name: "both install sections",
    contract: "v1.14",
    patches: ["machine: { install: { disk: /dev/sda } }\n"],
  },
  {
    name: "the old install section in place of the document",
    contract: "v1.14",
    patches: [
      document("UnattendedInstallConfig", "$patch: delete"),
      `machine: { install: { disk: /dev/sda, image: "${IMAGE}", wipe: false } }\n`,
    ],
  },
  { name: "both admission forms", contract: "v1.14", patches: [exempting("a")] },
  {
    name: "a document for control planes on a worker",
    contract: "v1.14",
    role: "worker",
    patches: [document("KubeAPIServerConfig", "image: registry.k8s.io/kube-apiserver:v1.36.1")],
  },
];

describe("the preview agrees with the configuration's consumers", () => {
  test.each(cases)(
    "$contract: $name",
    async ({ contract, role = "controlplane", file, hostname, patches }) => {
      const start = generated(contract, role);
      const base = file === undefined ? undefined : mergeConfig(start, file);
      const ours = ownPatches(spec(contract, role, hostname), base);
      const own = base === undefined ? ours : dropKnownParts(base, ours);
      const { problems, ofBase } = evaluatePatches(patches, {
        role,
        contract,
        image: IMAGE,
        hostname,
        namespaces: ["joviandss-csi", "synology-csi"],
        base,
        generated: start,
        own,
      });
      const refused = await refusal(base ?? start, [...own, ...patches], contract, role);
      expect({ told: [...problems, ...ofBase].map(({ reason }) => reason), refused }).toSatisfy(
        ({ told, refused: why }: { told: string[]; refused: string | undefined }) =>
          told.length > 0 === (why !== undefined),
      );
    },
    120_000,
  );
});
