import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { matchesExpression } from "../../talos/hardware/disks.ts";
import {
  hostnamePatch,
  installImagePatch,
  modulePatch,
  PatchError,
  securityPatch,
  subnetPatch,
} from "../../talos/patches.ts";
import { KNOWN_CONTRACTS } from "../../talos/releases.ts";

const old = KNOWN_CONTRACTS.filter((contract) => contract !== "v1.14");

describe("the security patch", () => {
  test.each(old)("%s: matches JovianDSS's instructions exactly", (contract) => {
    expect(parse(securityPatch({ namespaces: ["joviandss-csi"], contract }) ?? "")).toEqual(
      parse(`
cluster:
  apiServer:
    admissionControl:
      - name: PodSecurity
        configuration:
          exemptions:
            namespaces:
              - joviandss-csi
`),
    );
  });

  test("v1.14: is the document that replaced it", () => {
    expect(parse(securityPatch({ namespaces: ["joviandss-csi"], contract: "v1.14" }) ?? "")).toEqual({
      apiVersion: "v1alpha1",
      kind: "KubeAdmissionControlConfig",
      name: "PodSecurity",
      configuration: { exemptions: { namespaces: ["joviandss-csi"] } },
    });
  });

  test("does not exist if there is nothing to exempt", () => {
    expect(securityPatch({ namespaces: [], contract: "v1.13" })).toBeUndefined();
    expect(securityPatch({ namespaces: ["kube-system", "kube-system"], contract: "v1.14" })).toBeUndefined();
  });

  const names = fc.array(fc.oneof(fc.constant("kube-system"), fc.stringMatching(/^[a-c]{1,2}(-csi)?$/)), {
    maxLength: 8,
  });
  test("has each namespace once, in order, without kube-system", () => {
    fc.assert(
      fc.property(names, fc.constantFrom(...KNOWN_CONTRACTS), (namespaces, contract) => {
        const patch = securityPatch({ namespaces, contract });
        const found = [...(patch ?? "").matchAll(/- ([a-z-]+)$/gm)].map(([, name]) => name);
        expect(found).toEqual([...new Set(namespaces)].filter((name) => name !== "kube-system"));
      }),
    );
  });

  test("refuses invalid namespaces and names them", () => {
    expect(() => securityPatch({ namespaces: ["ok", "Not_OK", ""], contract: "v1.13" })).toThrow(
      '"Not_OK", ""',
    );
  });
});

describe("the module patch", () => {
  const seed = {
    machine: { install: { extraKernelArgs: ["iscsi_tcp=1"] }, kernel: { modules: [{ name: "iscsi_tcp" }] } },
  };

  test.each(["v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11"])(
    "%s: matches JovianDSS's instructions exactly",
    (contract) => {
      expect(parse(modulePatch({ modules: ["iscsi_tcp"], contract }) ?? "")).toEqual(seed);
    },
  );

  test.each(["v1.12", "v1.13"])("%s: omits the arguments that this contract refuses", (contract) => {
    expect(parse(modulePatch({ modules: ["iscsi_tcp"], contract }) ?? "")).toEqual({
      machine: { kernel: { modules: [{ name: "iscsi_tcp" }] } },
    });
  });

  test("v1.14: is one document per module", () => {
    const patch = modulePatch({
      modules: ["iscsi_tcp", { name: "nvme_core", parameters: ["multipath=N"] }],
      contract: "v1.14",
    });
    expect(parseAllDocuments(patch ?? "").map((document) => document.toJS() as unknown)).toEqual([
      { apiVersion: "v1alpha1", kind: "KernelModuleConfig", name: "iscsi_tcp" },
      { apiVersion: "v1alpha1", kind: "KernelModuleConfig", name: "nvme_core", parameters: ["multipath=N"] },
    ]);
  });

  test("has a module once if it is named twice, with all parameters", () => {
    const modules = ["a", { name: "b", parameters: ["x=1"] }, "a", { name: "b", parameters: ["y=2", "x=1"] }];
    expect(parse(modulePatch({ modules, contract: "v1.13" }) ?? "")).toEqual({
      machine: { kernel: { modules: [{ name: "a" }, { name: "b", parameters: ["x=1", "y=2"] }] } },
    });
  });

  test("omits kernel arguments that the running release would not pass on", () => {
    const patch = modulePatch({ modules: ["iscsi_tcp"], contract: "v1.6", talosVersion: "v1.13.9" });
    expect(patch).not.toContain("extraKernelArgs");
  });

  test("refuses explicit kernel arguments that would be lost", () => {
    const wanted = { modules: [], kernelArgs: ["quiet"] };
    expect(parse(modulePatch({ ...wanted, contract: "v1.9" }) ?? "")).toEqual({
      machine: { install: { extraKernelArgs: ["quiet"] } },
    });
    expect(() => modulePatch({ ...wanted, contract: "v1.12" })).toThrow(
      /quiet .*grubUseUKICmdline.*schematic/s,
    );
    expect(() => modulePatch({ ...wanted, contract: "v1.9", talosVersion: "v1.13.0" })).toThrow(
      /LifecycleService/,
    );
  });

  test.each(KNOWN_CONTRACTS)("%s: does not exist without a module", (contract) => {
    expect(modulePatch({ modules: [], contract })).toBeUndefined();
  });
});

describe("the other patches", () => {
  const image =
    "factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.9";

  test("set the installer image and the disk", () => {
    expect(parse(installImagePatch({ image, disk: "/dev/vda", contract: "v1.13" }) ?? "")).toEqual({
      machine: { install: { disk: "/dev/vda", image } },
    });
    expect(parse(installImagePatch({ image, disk: "/dev/vda", contract: "v1.14" }) ?? "")).toEqual({
      apiVersion: "v1alpha1",
      kind: "UnattendedInstallConfig",
      installer: { image },
      provisioning: { diskSelector: { match: 'disk.dev_path == "/dev/vda"' } },
    });
    expect(installImagePatch({ contract: "v1.13" })).toBeUndefined();
  });

  test("find a disk that is named by one of udev's links", () => {
    const disk = "/dev/disk/by-id/ata-WDC_WD640";
    const { provisioning } = parse(installImagePatch({ disk, contract: "v1.14" }) ?? "") as {
      provisioning: { diskSelector: { match: string } };
    };
    const found = (link: string) =>
      matchesExpression(provisioning.diskSelector.match, {
        id: "sda",
        isSystemDisk: undefined,
        fields: { dev_path: "/dev/sda", symlinks: [link] },
      });
    expect(found(disk)).toBe(true);
    expect(found("/dev/disk/by-id/ata-OTHER")).toBe(false);
  });

  test("refuse a disk in another contract's form", () => {
    expect(() => installImagePatch({ image, diskMatch: "disk.size > 1u", contract: "v1.13" })).toThrow(
      PatchError,
    );
    expect(() => installImagePatch({ image, diskSelector: { size: ">= 1GB" }, contract: "v1.14" })).toThrow(
      PatchError,
    );
  });

  test("set the hostname and turn off the automatic one of newer contracts", () => {
    expect(parse(hostnamePatch({ name: "cp1", contract: "v1.11" }))).toEqual({
      machine: { network: { hostname: "cp1" } },
    });
    expect(parse(hostnamePatch({ name: "cp1.example.org", contract: "v1.12" }))).toEqual({
      apiVersion: "v1alpha1",
      kind: "HostnameConfig",
      auto: "off",
      hostname: "cp1.example.org",
    });
    for (const name of ["", "-a", "a..b", "a_b", "a".repeat(64), "a b"]) {
      expect(() => hostnamePatch({ name, contract: "v1.13" }), name).toThrow(PatchError);
    }
  });

  test("set the subnets", () => {
    expect(subnetPatch({ contract: "v1.13" })).toBeUndefined();
    expect(parse(subnetPatch({ podSubnets: ["10.1.0.0/16"], contract: "v1.13" }) ?? "")).toEqual({
      cluster: { network: { podSubnets: ["10.1.0.0/16"] } },
    });
    expect(parse(subnetPatch({ serviceSubnets: ["10.2.0.0/16"], contract: "v1.14" }) ?? "")).toEqual({
      apiVersion: "v1alpha1",
      kind: "KubeNetworkConfig",
      serviceSubnets: ["10.2.0.0/16"],
    });
  });
});
