import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { alignConfig } from "../../talos/alignConfig.ts";
import { configChanges, type ConfigComparison } from "../../talos/configChanges.ts";
import { canonicalText, sameMeaning } from "../../talos/configMeaning.ts";
import { configText, parseConfig } from "../../talos/configTree.ts";
import { mergeConfig, MergeError } from "../../talos/mergeConfig.ts";
import { dropKnownParts } from "../../talos/dropKnownParts.ts";
import { nodePatch } from "../../talos/nodePatch.ts";
import { modulePatch, securityPatch } from "../../talos/patches.ts";

const base = `version: v1alpha1
machine:
  type: controlplane
  network:
    hostname: cp1
    interfaces:
      - interface: eth0
        addresses: [10.0.0.11/24]
        routes: [{ network: 0.0.0.0/0, gateway: 10.0.0.1 }]
  certSANs: [a.example.com, b.example.com]
  sysctls: { vm.nr_hugepages: "1024" }
cluster:
  secret: c2VjcmV0
  apiServer:
    admissionControl:
      - name: PodSecurity
        configuration: { exemptions: { namespaces: [kube-system] } }
---
apiVersion: v1alpha1
kind: RegistryMirrorConfig
name: docker.io
endpoints: [{ url: https://mirror.example.com }]
`;

const compare = (more: Partial<ConfigComparison>) =>
  configChanges({ running: base, wanted: base, patches: [], accepted: [], ...more });

describe("the changes that a configuration makes on a node", () => {
  it("are none if only the formatting differs", () => {
    const running = base.replace("addresses: [10.0.0.11/24]", "mtu: 1024");
    const other = running
      .replace("mtu: 1024", "mtu: 0x400")
      .replace('"1024"', "1024")
      .replace("[a.example.com, b.example.com]", "\n    - b.example.com\n    - 'a.example.com'")
      .replace("  certSANs", "  env: {}\n  udev: null\n  certSANs");
    expect(compare({ running, wanted: other })).toMatchObject({ lines: [], dropped: [], disturbs: false });
  });

  it("show a list in another order, which may restart what reads it, and drop nothing", () => {
    const ordered = base
      .replace(
        "  certSANs",
        "  time: { servers: [a, b, c] }\n  kubelet: { extraMounts: [{ source: /a }, { source: /b }] }\n  certSANs",
      )
      .replace(
        "[{ url: https://mirror.example.com }]",
        "[{ url: https://a.example }, { url: https://b.example }]",
      );
    const wanted = ordered
      .replace("[a, b, c]", "[c, a, b]")
      .replace("[{ source: /a }, { source: /b }]", "[{ source: /b }, { source: /a }]")
      .replace(
        "[{ url: https://a.example }, { url: https://b.example }]",
        "[{ url: https://b.example }, { url: https://a.example }]",
      );
    expect(compare({ running: ordered, wanted })).toMatchObject({
      lines: [
        "~ machine.time.servers: items in another order: 3, 1, 2",
        "~ machine.kubelet.extraMounts: items in another order: 2, 1",
        "~ RegistryMirrorConfig[docker.io].endpoints: items in another order: 2, 1",
      ],
      dropped: [],
      disturbs: true,
    });
  });

  it("distinguish an empty section from a missing one, as in disk encryption keys", () => {
    const keys = (key: string): string =>
      base.replace(
        "  certSANs",
        `  systemDiskEncryption: { state: { keys: [{ slot: 0, ${key}: {} }] } }\n  certSANs`,
      );
    const { lines, dropped } = compare({ running: keys("tpm"), wanted: keys("nodeID") });
    expect(lines).toEqual([
      "+ machine.systemDiskEncryption.state.keys[].nodeID: {}",
      "- machine.systemDiskEncryption.state.keys[].tpm: {}",
    ]);
    expect(dropped.map(({ path }) => path)).toEqual(["machine.systemDiskEncryption.state.keys[].tpm"]);
    const document = (more: string): string =>
      `${base}---\napiVersion: v1alpha1\nkind: RegistryTLSConfig\nname: a\n${more}`;
    expect(compare({ running: document("clientIdentity: {}\n"), wanted: document("") }).dropped).toHaveLength(
      1,
    );
    // A section that the table of types does not know may be of any type.
    const future = (more: string): string => `${base}---\napiVersion: v1\nkind: FutureConfig\n${more}`;
    expect(compare({ running: future("identity: {}\n"), wanted: future("") }).lines).toEqual([
      "- FutureConfig.identity: {}",
    ]);
    expect(alignConfig(keys("tpm"), keys("nodeID"))).toContain("tpm: {}");
    expect(alignConfig(keys("tpm"), keys("nodeID"))).not.toContain("nodeID");
  });

  it("show a value as it is written", () => {
    const env = (values: readonly string[]): string =>
      base.replace(
        "  certSANs",
        `  env: { ${values.map((value, i) => `V${i}: ${value}`).join(", ")} }\n  certSANs`,
      );
    const old = ["10.0.0.1", "1.13.9", "2026-11-28", "9007199254740993", "1.50", "-0", "007", "+1", "1e3"];
    const wanted = ["10.0.0.2", "1.13.10", "2026-11-29", "9007199254740995", "1.5", "0", "7", "1", "1000"];
    expect(compare({ running: env(old), wanted: env(wanted) }).lines).toEqual(
      old.map((value, i) => `~ machine.env.V${i}: ${value} -> ${wanted[i]}`),
    );
    const id = (value: string): string =>
      base.replace("mtu: 1024", "").replace("gateway: 10.0.0.1", `metric: ${value}`);
    expect(compare({ running: id("9007199254740992"), wanted: id("9007199254740993") }).lines).toEqual([
      "~ machine.network.interfaces[eth0].routes[0.0.0.0/0].metric: 9007199254740992 -> 9007199254740993",
    ]);
  });

  it("distinguish a label without a value from a missing label", () => {
    const label = 'machine:\n  nodeLabels: { node-role.kubernetes.io/storage: "" }\n';
    const running = base.replace("machine:\n", label);
    const { dropped } = compare({ running });
    expect(dropped).toEqual([
      {
        path: "machine.nodeLabels.node-role.kubernetes.io/storage",
        line: '- machine.nodeLabels.node-role.kubernetes.io/storage: ""',
      },
    ]);
    expect(compare({ running, wanted: mergeConfig(base, [label]), patches: [label] }).lines).toEqual([]);
  });

  it("show the key of a taint that a worker joins with", () => {
    const taint = nodePatch({
      role: "worker",
      taints: { "nvidia.com/gpu": "NoSchedule" },
      contract: "v1.13",
    });
    const wanted = mergeConfig(base, [taint ?? ""]);
    expect(compare({ wanted, patches: [taint ?? ""] }).lines).toEqual([
      "+ machine.kubelet.extraConfig.registerWithTaints[].key: nvidia.com/gpu",
      "+ machine.kubelet.extraConfig.registerWithTaints[].effect: NoSchedule",
    ]);
    expect(dropKnownParts(wanted, [taint ?? ""])).toEqual([]);
  });

  it("disturb nothing if only an installer reads them", () => {
    const withImage = base.replace("machine:\n", "machine:\n  install: { image: new }\n");
    expect(withImage).not.toBe(base);
    expect(compare({ wanted: withImage })).toMatchObject({ disturbs: false });
    expect(compare({ wanted: withImage.replace("hostname: cp1", "hostname: other") })).toMatchObject({
      disturbs: true,
    });
    const document = "---\napiVersion: v1alpha1\nkind: UnattendedInstallConfig\ninstaller: { image: new }\n";
    expect(compare({ wanted: `${base}${document}` })).toMatchObject({ disturbs: false });
  });

  it("have one line per added, changed and removed path", () => {
    const wanted = base
      .replace("hostname: cp1", "hostname: other")
      .replace("10.0.0.11/24", "10.0.0.12/24")
      .replace("a.example.com, ", "")
      .replace("gateway: 10.0.0.1 ", "gateway: 10.0.0.1, metric: 5 ")
      .replace(/---[\s\S]*/, "");
    expect(compare({ wanted }).lines).toEqual([
      "~ machine.network.hostname: cp1 -> other",
      "+ machine.network.interfaces[eth0].addresses[]: 10.0.0.12/24",
      "- machine.network.interfaces[eth0].addresses[]: 10.0.0.11/24",
      "+ machine.network.interfaces[eth0].routes[0.0.0.0/0].metric: 5",
      "- machine.certSANs[]: a.example.com",
      "- RegistryMirrorConfig[docker.io].apiVersion: v1alpha1",
      "- RegistryMirrorConfig[docker.io].kind: RegistryMirrorConfig",
      "- RegistryMirrorConfig[docker.io].name: docker.io",
      "- RegistryMirrorConfig[docker.io].endpoints[https://mirror.example.com].url: https://mirror.example.com",
    ]);
  });

  it("shorten a schematic ID so that engines show the line in full", () => {
    const of = (id: string): string =>
      base.replace(
        "machine:\n",
        `machine:\n  install: { image: factory.talos.dev/metal-installer/${id}:v1.13.9 }\n`,
      );
    const { lines } = compare({ running: of("ab".repeat(32)), wanted: of("c9078f94".padEnd(64, "0")) });
    expect(lines).toEqual([
      "~ machine.install.image: factory.talos.dev/metal-installer/abababab…:v1.13.9 -> factory.talos.dev/metal-installer/c9078f94…:v1.13.9",
    ]);
  });

  it("count as dropped if nobody asked for them", () => {
    const wanted = base.replace("hostname: cp1", "hostname: other").replace("a.example.com, ", "");
    const paths = (more: Partial<ConfigComparison>): string[] =>
      compare({ wanted, ...more }).dropped.map(({ path }) => path);
    expect(paths({})).toEqual(["machine.network.hostname", "machine.certSANs[]"]);
    // A patch that sets one path does not cover another.
    expect(paths({ patches: ["machine: { network: { hostname: other } }"] })).toEqual(["machine.certSANs[]"]);
    expect(paths({ patches: ["machine: { certSANs: [c.example.com] }"] })).toContain(
      "machine.network.hostname",
    );
    expect(paths({ accepted: ["machine.certSANs"] })).toEqual(["machine.network.hostname"]);
    expect(paths({ accepted: ["machine"] })).toEqual([]);
    expect(paths({ accepted: ["machine.net", "machine.certSAN", "cluster"] })).toHaveLength(2);
    // Removing what was applied before is intended. Losing what was changed on the node since is not.
    expect(paths({ before: base })).toEqual([]);
    expect(paths({ before: base.replace("hostname: cp1", "hostname: before") })).toEqual([
      "machine.network.hostname",
    ]);
    expect(paths({ patches: ["machine: { certSANs: { $patch: delete } }"] })).toEqual([
      "machine.network.hostname",
    ]);
    expect(paths({ patches: ['[{ "op": "remove", "path": "/machine/certSANs/0" }]'] })).toEqual([
      "machine.network.hostname",
    ]);
  });

  it("count a lost list item as dropped even if a patch adds another item", () => {
    const running = base.replace("[kube-system]", "[kube-system, by-hand]");
    const patches = [securityPatch({ namespaces: ["joviandss-csi"], contract: "v1.12" }) ?? ""];
    const { dropped, lines } = configChanges({
      running,
      wanted: mergeConfig(base, patches),
      patches,
      accepted: [],
    });
    expect(dropped.map(({ line }) => line)).toEqual([
      "- cluster.apiServer.admissionControl[PodSecurity].configuration.exemptions.namespaces[]: by-hand",
    ]);
    expect(lines).toContain(
      "+ cluster.apiServer.admissionControl[PodSecurity].configuration.exemptions.namespaces[]: joviandss-csi",
    );
  });

  it("show no secret: not in a value, not in a list, not in a name", () => {
    const canary = "CANARYc4n4ryCANARY0123456789";
    const wanted = mergeConfig(base, [
      stringify({
        machine: {
          token: canary,
          env: { PROXY: `http://u:${canary}@p:1` },
          files: [{ path: "/a", content: `key: ${canary}` }],
          futureSecretKeys: [canary, { wireguardPrivateKey: canary }],
        },
        cluster: {
          secretboxEncryptionSecret: canary,
          inlineManifests: [{ name: "x", contents: `kind: Secret\nstringData: { a: ${canary} }` }],
        },
      }),
    ]);
    for (const comparison of [
      { wanted },
      { running: wanted },
      { running: wanted, wanted: wanted.replaceAll(canary, `${canary}2`) },
    ]) {
      const { lines, dropped } = compare(comparison);
      expect(lines.length).toBeGreaterThan(5);
      expect(JSON.stringify([lines, dropped])).not.toContain("CANARY");
    }
  });
});

/** Configurations of any shape. Names often occur in both of a pair. */
const key = fc.constantFrom("a", "b", "name", "interface", "hostname", "x.y/z");
const leaf = fc.oneof(
  fc.constantFrom("1", "true", "off", "0644", "5m", "", "text", "two\nlines\n"),
  fc.integer(),
  fc.boolean(),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("tree"), { maxLength: 3 }),
    fc.dictionary(key, tie("tree"), { maxKeys: 4 }),
  ),
}));
const config = fc
  .record({
    machine: fc.dictionary(key, tree, { maxKeys: 4 }),
    cluster: fc.dictionary(key, tree, { maxKeys: 3 }),
  })
  .map((content) => stringify({ version: "v1alpha1", ...content }));

describe("for any two configurations", () => {
  it("there are no changes exactly if both mean the same", () => {
    fc.assert(
      fc.property(config, config, (running, wanted) => {
        const { lines } = configChanges({ running, wanted, patches: [], accepted: [] });
        const same = canonicalText(parseConfig(running)[0]) === canonicalText(parseConfig(wanted)[0]);
        expect(lines.length === 0).toBe(same);
      }),
    );
  });

  it("dropped paths are among the lines; nothing is dropped if all was applied before or is accepted", () => {
    fc.assert(
      fc.property(config, config, (running, wanted) => {
        const { lines, dropped } = configChanges({ running, wanted, patches: [], accepted: [] });
        for (const { line } of dropped) expect(lines).toContain(line);
        expect(
          configChanges({ running, wanted, patches: [], accepted: [], before: running }).dropped,
        ).toEqual([]);
        const all = { running, wanted, patches: [], accepted: ["machine", "cluster"] };
        expect(configChanges(all).dropped).toEqual([]);
      }),
    );
  });

  it("aligning one with the other keeps its meaning, and its text if both are the same", () => {
    fc.assert(
      fc.property(config, config, (running, model) => {
        const aligned = alignConfig(running, model);
        expect(sameMeaning(parseConfig(aligned)[0], parseConfig(running)[0])).toBe(true);
        expect(alignConfig(model, model)).toBe(configText(parseConfig(model)));
      }),
    );
  });

  it("parsing and writing a text keeps its meaning, and is stable", () => {
    fc.assert(
      fc.property(config, (text) => {
        const once = configText(parseConfig(text));
        expect(canonicalText(parseConfig(once)[0])).toBe(canonicalText(parseConfig(text)[0]));
        expect(configText(parseConfig(once))).toBe(once);
      }),
    );
  });
});

describe("scalars", () => {
  it.each([
    ["0644", true, "420"],
    ["0o644", true, "420"],
    ["0x10", true, "16"],
    ["0644", false, "0644"],
    ["5m", true, "300s"],
    ["5m0s", false, "300s"],
    ["1h30m", false, "5400s"],
    ["~", true, ""],
    ["~", false, "~"],
    ["True", true, "true"],
    ["off", true, "off"],
  ])("%s (plain: %s) means %s", (text, plain, expected) => {
    expect((JSON.parse(canonicalText({ text, plain })) as string | null) ?? "").toBe(expected);
  });

  it("are written as they were read: octal, ambiguous text, multiple lines", () => {
    const text =
      'machine:\n  files:\n    - permissions: 0644\n      content: |\n        a: "b"\n        c\n  sysctls:\n    a: "yes"\n    b: off\n    "1": "0x10"\n';
    expect(configText(parseConfig(text))).toBe(text);
  });

  it("have anchors and merge keys resolved", () => {
    const text = "machine: &m\n  a: &x [1, 2]\ncluster:\n  <<: *m\n  b: *x\n";
    expect(configText(parseConfig(text))).toBe(
      "machine:\n  a:\n    - 1\n    - 2\ncluster:\n  b:\n    - 1\n    - 2\n  a:\n    - 1\n    - 2\n",
    );
  });
});

describe("our own patches on a configuration that was patched by hand", () => {
  const modules = (contract: string) => modulePatch({ modules: ["iscsi_tcp"], contract }) ?? "";
  const security = (contract: string) => securityPatch({ namespaces: ["a-csi", "b-csi"], contract }) ?? "";

  it("omit existing values and keep the rest", () => {
    const has = base
      .replace("[kube-system]", "[kube-system, a-csi]")
      .replace(
        "  sysctls",
        "  kernel: { modules: [{ name: iscsi_tcp, parameters: [x=1] }] }\n  install: { extraKernelArgs: [iscsi_tcp=1] }\n  sysctls",
      );
    expect(dropKnownParts(has, [modules("v1.6")])).toEqual([]);
    const [patch = "", ...more] = dropKnownParts(has, [security("v1.12")]);
    expect(more).toEqual([]);
    expect(mergeConfig(has, [patch])).toContain(
      "              - kube-system\n              - a-csi\n              - b-csi\n",
    );
    expect(dropKnownParts(mergeConfig(has, [patch]), [security("v1.12"), modules("v1.12")])).toEqual([]);
  });

  it("also recognize the documents of contract v1.14", () => {
    const has = mergeConfig(base, [security("v1.14"), modules("v1.14")]);
    expect(dropKnownParts(has, [security("v1.14"), modules("v1.14")])).toEqual([]);
    const more = dropKnownParts(has, [
      securityPatch({ namespaces: ["a-csi", "c-csi"], contract: "v1.14" }) ?? "",
    ]);
    expect(more).toEqual([
      "apiVersion: v1alpha1\nkind: KubeAdmissionControlConfig\nname: PodSecurity\nconfiguration:\n  exemptions:\n    namespaces:\n      - c-csi\n",
    ]);
  });

  it("appear once, no matter how often they are applied and what exists", () => {
    const namespaces = fc.uniqueArray(fc.constantFrom("a-csi", "b-csi", "c-csi", "d-csi"), { minLength: 1 });
    fc.assert(
      fc.property(
        namespaces,
        namespaces,
        fc.constantFrom("v1.6", "v1.12", "v1.14"),
        (there, wanted, contract) => {
          const patches = [securityPatch({ namespaces: wanted, contract }) ?? "", modules(contract)];
          const has = mergeConfig(base.replace(/cluster:[\s\S]*/, "cluster: { secret: x }\n"), [
            securityPatch({ namespaces: there, contract }) ?? "",
          ]);
          const once = mergeConfig(has, dropKnownParts(has, patches));
          expect(dropKnownParts(once, patches)).toEqual([]);
          for (const name of new Set([...there, ...wanted])) {
            expect(once.match(new RegExp(`- ${name}\\n`, "g")), name).toHaveLength(1);
          }
          expect(once.match(/name: iscsi_tcp\n/g)).toHaveLength(1);
        },
      ),
    );
  });
});

describe("a patch that cannot be applied", () => {
  it.each([
    ["[{ op: add, path: /machine/a }]", /^add \/machine\/a has no value$/],
    ["[{ op: bend, path: /machine/a }]", /^has the unknown operation "bend"/],
    [
      "machine: { certSANs: [{ $patch: delete }] }",
      /^deletes an item of machine\.certSANs without saying which/,
    ],
    [
      "machine: { udev: { rules: { $patch: delete } } }",
      /^deletes machine\.udev\.rules, which does not exist/,
    ],
    ["machine: [", /^line 1: is not YAML/],
    ["text", /^is not a mapping/],
  ])("%s is reported by its index with the reason", (patch, reason) => {
    const merge = () => mergeConfig(base.replace(/---[\s\S]*/, ""), ["machine: { env: { A: b } }", patch]);
    expect(merge).toThrow(MergeError);
    try {
      merge();
    } catch (error) {
      expect(error).toMatchObject({ patch: 1, reason: expect.stringMatching(reason) as string });
    }
  });
});
