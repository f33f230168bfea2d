import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
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
  test.each(old)("%s: exactly what JovianDSS's instructions show", (contract) => {
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

  test("v1.14: the document that took its place", () => {
    expect(parse(securityPatch({ namespaces: ["joviandss-csi"], contract: "v1.14" }) ?? "")).toEqual({
      apiVersion: "v1alpha1",
      kind: "KubeAdmissionControlConfig",
      name: "PodSecurity",
      configuration: { exemptions: { namespaces: ["joviandss-csi"] } },
    });
  });

  test("nothing to exempt, nothing to patch", () => {
    expect(securityPatch({ namespaces: [], contract: "v1.13" })).toBeUndefined();
    expect(securityPatch({ namespaces: ["kube-system", "kube-system"], contract: "v1.14" })).toBeUndefined();
  });

  const names = fc.array(fc.oneof(fc.constant("kube-system"), fc.stringMatching(/^[a-c]{1,2}(-csi)?$/)), {
    maxLength: 8,
  });
  test("never kube-system, no namespace twice, none lost, in their order", () => {
    fc.assert(
      fc.property(names, fc.constantFrom(...KNOWN_CONTRACTS), (namespaces, contract) => {
        const patch = securityPatch({ namespaces, contract });
        const found = [...(patch ?? "").matchAll(/- ([a-z-]+)$/gm)].map(([, name]) => name);
        expect(found).toEqual([...new Set(namespaces)].filter((name) => name !== "kube-system"));
      }),
    );
  });

  test("what is no namespace is refused, with its name", () => {
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
    "%s: exactly what JovianDSS's instructions show",
    (contract) => {
      expect(parse(modulePatch({ modules: ["iscsi_tcp"], contract }) ?? "")).toEqual(seed);
    },
  );

  test.each(["v1.12", "v1.13"])("%s: without the arguments that its configuration refuses", (contract) => {
    expect(parse(modulePatch({ modules: ["iscsi_tcp"], contract }) ?? "")).toEqual({
      machine: { kernel: { modules: [{ name: "iscsi_tcp" }] } },
    });
  });

  test("v1.14: a document for each module", () => {
    const patch = modulePatch({
      modules: ["iscsi_tcp", { name: "nvme_core", parameters: ["multipath=N"] }],
      contract: "v1.14",
    });
    expect(parseAllDocuments(patch ?? "").map((document) => document.toJS() as unknown)).toEqual([
      { apiVersion: "v1alpha1", kind: "KernelModuleConfig", name: "iscsi_tcp" },
      { apiVersion: "v1alpha1", kind: "KernelModuleConfig", name: "nvme_core", parameters: ["multipath=N"] },
    ]);
  });

  test("a module named twice stands there once, with all parameters", () => {
    const modules = ["a", { name: "b", parameters: ["x=1"] }, "a", { name: "b", parameters: ["y=2", "x=1"] }];
    expect(parse(modulePatch({ modules, contract: "v1.13" }) ?? "")).toEqual({
      machine: { kernel: { modules: [{ name: "a" }, { name: "b", parameters: ["x=1", "y=2"] }] } },
    });
  });

  test("a running release that does not pass kernel arguments on gets none", () => {
    const patch = modulePatch({ modules: ["iscsi_tcp"], contract: "v1.6", talosVersion: "v1.13.9" });
    expect(patch).not.toContain("extraKernelArgs");
  });

  test("arguments given by name are an error where they would be lost", () => {
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

  test.each(KNOWN_CONTRACTS)("%s: no module, no patch", (contract) => {
    expect(modulePatch({ modules: [], contract })).toBeUndefined();
  });
});

describe("the other patches", () => {
  const image =
    "factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.9";

  test("the installer image and the disk", () => {
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

  test("a disk told in the other contract's form is refused", () => {
    expect(() => installImagePatch({ image, diskMatch: "disk.size > 1u", contract: "v1.13" })).toThrow(
      PatchError,
    );
    expect(() => installImagePatch({ image, diskSelector: { size: ">= 1GB" }, contract: "v1.14" })).toThrow(
      PatchError,
    );
  });

  test("the hostname switches off the automatic one that newer contracts have", () => {
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

  test("subnets", () => {
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
