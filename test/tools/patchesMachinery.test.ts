import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import {
  hostnamePatch,
  installImagePatch,
  modulePatch,
  securityPatch,
  subnetPatch,
} from "../../talos/patches.ts";
import { networkPatch } from "../../talos/networkPatch.ts";
import { secretsFromMachineConfig, parseSecretsBundle, SecretsError } from "../../talos/secretsBundle.ts";
import { redactMachineConfig } from "../../talos/redact.ts";
import { KNOWN_CONTRACTS, supportedKubernetesRange } from "../../talos/releases.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { askGo } from "../../tools/goProgram.ts";

// Checks our patches with Talos's own machinery: talosctl up to contract 1.13, tools/machinery114 for 1.14.

type Role = "controlplane" | "worker";
const ROLES: readonly Role[] = ["controlplane", "worker"];
const IMAGE =
  "factory.talos.dev/metal-installer/c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac:v1.13.9";

function patchesFor(role: Role, contract: string): string[] {
  return [
    installImagePatch({ image: IMAGE, disk: "/dev/vda", contract }),
    hostnamePatch({ name: "node-1", contract }),
    subnetPatch({ podSubnets: ["10.1.0.0/16"], serviceSubnets: ["10.2.0.0/16"], contract }),
    role === "controlplane"
      ? securityPatch({ namespaces: ["joviandss-csi", "synology-csi"], contract })
      : undefined,
    modulePatch({ modules: ["iscsi_tcp", "dm_multipath"], contract }),
    networkOf(role, contract),
  ].filter((patch) => patch !== undefined);
}

/** Static addresses on two links, one of them matched by a selector, name servers, and the virtual IP on control planes. */
function networkOf(role: Role, contract: string): string | undefined {
  return networkPatch({
    contract,
    interfaces: [
      {
        interface: "enp1s0",
        addresses: ["10.0.0.11/24", "fd00::11/64"],
        routes: [{ gateway: "10.0.0.1" }, { network: "10.20.0.0/16", gateway: "10.0.0.2", metric: 50 }],
        dhcp: false,
      },
      {
        deviceSelector: { hardwareAddr: "00:1a:2b:*", driver: "ice", busPath: "0000:*", pciID: "8086:*" },
        addresses: ["192.168.21.11/24"],
        routes: [],
        dhcp: true,
        mtu: 9000,
      },
    ],
    nameservers: ["10.0.0.2", "fd00::2"],
    ...(role === "controlplane" ? { vip: { address: "10.0.0.10", interface: "enp1s0" } } : {}),
  });
}

/** The install patch with a disk selector instead of a device. */
function otherPatches(contract: string): string[] {
  const disk =
    contract === "v1.14"
      ? { diskMatch: 'disk.transport == "nvme" && disk.size > 100u * GB' }
      : { diskSelector: { size: ">= 100GB", type: "nvme", model: "WDC*", busPath: "/pci0000:00/*" } };
  return [installImagePatch({ image: IMAGE, contract, ...disk })].filter((patch) => patch !== undefined);
}

type Fields = Readonly<Record<string, unknown>>;

function documentsOf(text: string): { main: Fields; of: (kind: string, name?: string) => unknown } {
  const all = parseAllDocuments(text).map((document) => document.toJS() as Fields);
  const main = all.find((document) => "machine" in document) ?? {};
  return {
    main,
    of: (kind, name) =>
      all.find((document) => document["kind"] === kind && (name === undefined || document["name"] === name)),
  };
}

const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-patches-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("talosctl", () => {
  const run = promisify(execFile);
  let talosctl: (...args: string[]) => Promise<unknown>;
  let file: (...parts: string[]) => string;

  beforeAll(async () => {
    const { talosctl: program } = await resolveTools(["talosctl"]);
    talosctl = (...args) => run(program, args, { cwd: folder });
    file = (...parts) => join(folder, ...parts);
    await talosctl("gen", "secrets", "-o", file("secrets.yaml"));
  }, 900_000);

  describe.each(KNOWN_CONTRACTS.filter((contract) => contract !== "v1.14"))("contract %s", (contract) => {
    const newest = supportedKubernetesRange(`${contract}.0`)?.newest.slice(1) ?? "";

    beforeAll(async () => {
      const secrets = ["--with-secrets", file("secrets.yaml"), "--output-dir", file(contract)];
      const form = ["--with-docs=false", "--with-examples=false", "--kubernetes-version", `${newest}.0`];
      await talosctl(
        "gen",
        "config",
        "c",
        "https://127.10.0.10:6443",
        "--talos-version",
        contract,
        ...secrets,
        ...form,
      );
    });

    test.each(ROLES)("a %s with the patches passes strict validation", async (role) => {
      const flags: string[] = [];
      for (const [i, patch] of patchesFor(role, contract).entries()) {
        await writeFile(file(contract, `${role}-${i}.patch`), patch);
        flags.push("--patch", `@${file(contract, `${role}-${i}.patch`)}`);
      }
      const merged = file(contract, `${role}.merged.yaml`);
      await talosctl("machineconfig", "patch", file(contract, `${role}.yaml`), ...flags, "-o", merged);
      await talosctl("validate", "--mode", "metal", "--strict", "--config", merged);

      const { main, of } = documentsOf(await readFile(merged, "utf8"));
      const withArgs = ["v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11"].includes(contract);
      expect(main).toMatchObject({
        machine: {
          type: role,
          install: { disk: "/dev/vda", image: IMAGE },
          kernel: { modules: [{ name: "iscsi_tcp" }, { name: "dm_multipath" }] },
        },
        cluster: { network: { podSubnets: ["10.1.0.0/16"], serviceSubnets: ["10.2.0.0/16"] } },
      });
      const machine = main["machine"] as { install: Fields; network?: Fields };
      expect(machine.network).toMatchObject({
        nameservers: ["10.0.0.2", "fd00::2"],
        interfaces: [
          {
            interface: "enp1s0",
            addresses: ["10.0.0.11/24", "fd00::11/64"],
            ...(role === "controlplane" ? { vip: { ip: "10.0.0.10" } } : {}),
          },
          { deviceSelector: { driver: "ice" }, dhcp: true, mtu: 9000 },
        ],
      });
      expect(JSON.stringify(machine.network).includes("10.0.0.10")).toBe(role === "controlplane");
      expect(machine.install["extraKernelArgs"]).toEqual(withArgs ? ["iscsi_tcp=1"] : undefined);
      if (["v1.12", "v1.13"].includes(contract)) {
        expect(of("HostnameConfig")).toMatchObject({ auto: "off", hostname: "node-1" });
      } else {
        expect(machine.network).toMatchObject({ hostname: "node-1" });
      }
      const plugins = (main["cluster"] as { apiServer?: { admissionControl?: Fields[] } }).apiServer
        ?.admissionControl;
      if (role === "worker") {
        expect(plugins).toBeUndefined();
      } else {
        expect(plugins).toHaveLength(1);
        expect(plugins?.[0]).toMatchObject({
          name: "PodSecurity",
          configuration: {
            defaults: { enforce: "baseline" },
            exemptions: { namespaces: ["kube-system", "joviandss-csi", "synology-csi"] },
          },
        });
      }
    });

    test.each(ROLES)("a %s with a disk selector passes strict validation", async (role) => {
      const [patch = ""] = otherPatches(contract);
      await writeFile(file(contract, `${role}-disk.patch`), patch);
      const merged = file(contract, `${role}.disk.yaml`);
      const flag = `@${file(contract, `${role}-disk.patch`)}`;
      await talosctl("machineconfig", "patch", file(contract, `${role}.yaml`), "--patch", flag, "-o", merged);
      await talosctl("validate", "--mode", "metal", "--strict", "--config", merged);
      const { main } = documentsOf(await readFile(merged, "utf8"));
      expect(main["machine"]).toMatchObject({
        install: { diskSelector: { size: ">= 100GB", type: "nvme", model: "WDC*" } },
      });
    });

    test("the secrets read from a control plane's configuration match the bundle", async () => {
      const bundle = parseSecretsBundle(await readFile(file("secrets.yaml"), "utf8"));
      expect(secretsFromMachineConfig(await readFile(file(contract, "controlplane.yaml"), "utf8"))).toEqual(
        bundle,
      );
      const worker = await readFile(file(contract, "worker.yaml"), "utf8");
      expect(() => secretsFromMachineConfig(worker)).toThrow(SecretsError);
    });

    test.each(ROLES)("no secret of a %s is left after redaction", async (role) => {
      const bundle = parseSecretsBundle(await readFile(file("secrets.yaml"), "utf8"));
      const shown = redactMachineConfig(await readFile(file(contract, `${role}.yaml`), "utf8"));
      expect(secretStrings(bundle).filter((secret) => shown.includes(secret))).toEqual([]);
      expect(shown).toContain("«secret ");
    });
  });

  test("the module patch of contract 1.6 is refused from contract 1.12 on", async () => {
    const patch = file("seed.patch");
    await writeFile(patch, modulePatch({ modules: ["iscsi_tcp"], contract: "v1.6" }) ?? "");
    await talosctl(
      "machineconfig",
      "patch",
      file("v1.12", "worker.yaml"),
      "--patch",
      `@${patch}`,
      "-o",
      file("seed.yaml"),
    );
    await expect(talosctl("validate", "--mode", "metal", "--config", file("seed.yaml"))).rejects.toThrow(
      /grubUseUKICmdline/,
    );
  });
});

/** The secret values of a bundle: everything except certificates and the cluster ID. */
function secretStrings(bundle: unknown): string[] {
  const { cluster, certs, secrets, trustdinfo } = bundle as ReturnType<typeof parseSecretsBundle>;
  const keys = Object.values(certs).map((pair) => (pair as { key: string }).key);
  return [cluster.secret, ...Object.values(secrets), trustdinfo.token, ...keys].filter((text) => text !== "");
}

describe("the machinery of 1.14", () => {
  interface Answer {
    config?: string;
    error?: string;
  }
  const contract = "v1.14";
  const oldPatch = securityPatch({ namespaces: ["joviandss-csi"], contract: "v1.13" }) ?? "";
  const document = securityPatch({ namespaces: ["joviandss-csi"], contract }) ?? "";
  const questions = [
    ...ROLES.map((role) => ({ role, patches: patchesFor(role, contract) })),
    { role: "controlplane", patches: [oldPatch] },
    { role: "worker", patches: [document] },
    { role: "worker", patches: otherPatches(contract) },
    {
      role: "worker",
      patches: ["apiVersion: v1alpha1\nkind: SecurityProfileConfig\nworkloadIsolation: false\n"],
    },
  ];
  let answers: Answer[];
  beforeAll(async () => {
    answers = await askGo<Answer>("machinery114", questions);
  }, 900_000);

  test.each(ROLES)("a %s with the patches passes strict validation", (role) => {
    const answer = answers[ROLES.indexOf(role)];
    expect(answer?.error).toBeUndefined();
    const { main, of } = documentsOf(answer?.config ?? "");
    expect(main["machine"]).not.toHaveProperty("install");
    expect(main["machine"]).not.toHaveProperty("kernel");
    expect(of("UnattendedInstallConfig")).toMatchObject({
      installer: { image: IMAGE },
      provisioning: { diskSelector: { match: 'disk.dev_path == "/dev/vda"' } },
    });
    expect(of("HostnameConfig")).toMatchObject({ auto: "off", hostname: "node-1" });
    expect(of("KubeNetworkConfig")).toMatchObject({
      podSubnets: ["10.1.0.0/16"],
      serviceSubnets: ["10.2.0.0/16"],
    });
    expect(of("KernelModuleConfig", "iscsi_tcp")).toBeDefined();
    expect(of("KernelModuleConfig", "dm_multipath")).toBeDefined();
    expect(of("LinkConfig", "enp1s0")).toMatchObject({ addresses: [{ address: "10.0.0.11/24" }, {}] });
    expect(of("LinkAliasConfig", "link-1")).toMatchObject({
      selector: { match: expect.stringContaining('glob("00:1a:2b:*", mac(link.hardware_addr))') as string },
    });
    expect(of("DHCPv4Config", "link-1")).toBeDefined();
    expect(of("Layer2VIPConfig", "10.0.0.10") !== undefined).toBe(role === "controlplane");
    const admission = of("KubeAdmissionControlConfig");
    if (role === "worker") expect(admission).toBeUndefined();
    else {
      expect(admission).toMatchObject({
        configuration: {
          defaults: { enforce: "baseline" },
          exemptions: { namespaces: ["kube-system", "joviandss-csi", "synology-csi"] },
        },
      });
    }
  });

  test("refuses the patch of older contracts, and the document on a worker", () => {
    expect(answers[2]?.error).toContain("admission control plugin config is already set");
    expect(answers[3]?.error).toContain("only allowed on control plane machines");
  });

  test("isolation is on, and a patch turns it off", () => {
    const isolation = (index: number) =>
      documentsOf(answers[index]?.config ?? "").of("SecurityProfileConfig") as Fields;
    expect(isolation(4)["workloadIsolation"]).toBe(true);
    expect(answers[5]?.error).toBeUndefined();
    expect(isolation(5)["workloadIsolation"]).toBe(false);
  });

  test("an expression names the disk", () => {
    expect(answers[4]?.error).toBeUndefined();
    expect(documentsOf(answers[4]?.config ?? "").of("UnattendedInstallConfig")).toMatchObject({
      provisioning: {
        diskSelector: { match: expect.stringContaining('disk.transport == "nvme"') as string },
      },
    });
  });

  test("the control plane's secrets can be read from its documents, and none of them is shown", () => {
    const config = answers[0]?.config ?? "";
    const secrets = secretsFromMachineConfig(config);
    expect(secrets.secrets.secretboxEncryptionSecret).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(Buffer.from(secrets.certs.k8s.key, "base64").toString("utf8")).toMatch(
      /^-----BEGIN EC PRIVATE KEY-----/,
    );
    const shown = redactMachineConfig(config);
    const plain = secretStrings(secrets).flatMap((secret) => [
      secret,
      ...Buffer.from(secret, "base64")
        .toString("utf8")
        .split("\n")
        .filter((line) => line.length > 30 && !line.startsWith("-----")),
    ]);
    expect(plain.filter((secret) => shown.includes(secret))).toEqual([]);
    expect(() => secretsFromMachineConfig(answers[1]?.config ?? "")).toThrow(SecretsError);
  });
});
