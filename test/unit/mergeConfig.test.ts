import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { mergeConfig, mergeGenerated } from "../../talos/mergeConfig.ts";
import { patchScope } from "../../talos/patchScope.ts";

// test/tools/mergeMachinery.test.ts checks these against the results of Talos's machinery.

const merged = (base: string, ...patches: string[]): unknown => parse(mergeConfig(base, patches));

describe("deletes", () => {
  const base =
    "machine: { network: { interfaces: [{ interface: eth0, dhcp: true }, { interface: eth0, mtu: 9000 }, { interface: eth1 }] } }\n";
  const interfaces = (...items: string[]): string =>
    `machine: { network: { interfaces: [${items.join(", ")}] } }`;

  it("come before the merge, wherever they are, and remove only the first match", () => {
    for (const items of [
      ["{ interface: eth0, $patch: delete }", "{ interface: eth0, addresses: [10.0.0.1/24] }"],
      ["{ interface: eth0, addresses: [10.0.0.1/24] }", "{ $patch: delete, interface: eth0 }"],
    ]) {
      expect(merged(base, interfaces(...items))).toEqual({
        machine: {
          network: {
            interfaces: [{ interface: "eth0", mtu: 9000, addresses: ["10.0.0.1/24"] }, { interface: "eth1" }],
          },
        },
      });
    }
  });

  it("remove sections, single values and whole documents", () => {
    expect(
      merged(
        "machine: { type: worker, sysctls: { a: '1' } }\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nauto: off\n",
        "machine: { sysctls: { $patch: delete }, type: { $patch: delete } }\n---\napiVersion: v1alpha1\nkind: HostnameConfig\n$patch: delete\n",
      ),
    ).toEqual({ machine: {} });
  });

  it.each([
    [
      interfaces("{ interface: eth9, $patch: delete }"),
      /deletes machine\.network\.interfaces\[interface: eth9\], which does not exist/,
    ],
    [interfaces("{ interface: eth0, routes: { $patch: delete } }"), /inside a list item/],
    ["cluster: { network: { $patch: delete } }", /deletes cluster\.network, which does not exist/],
    ["kind: HostnameConfig\n$patch: delete\n", /only one of apiVersion and kind/],
  ])("of missing items are refused: %s", (patch, reason) => {
    expect(() => mergeConfig(base, [patch])).toThrow(reason);
  });

  it("of a missing document are ignored for Talos 1.14, and refused for 1.13", () => {
    const patch = "apiVersion: v1alpha1\nkind: HostnameConfig\n$patch: delete\n";
    expect(mergeConfig(base, [patch])).toBe(mergeConfig(base, []));
    expect(() => mergeConfig(base, [patch], "v1.13")).toThrow(/deletes HostnameConfig, which does not exist/);
  });
});

describe("lists and zeros", () => {
  it("list-valued arguments and image rules are replaced, other lists grow", () => {
    expect(
      merged(
        "cluster: { apiServer: { extraArgs: { a: [x, y] }, certSANs: [x] } }\n",
        "cluster: { apiServer: { extraArgs: { a: [z] }, certSANs: [y] } }",
      ),
    ).toEqual({ cluster: { apiServer: { extraArgs: { a: ["z"] }, certSANs: ["x", "y"] } } });
    const rules = (text: string): string =>
      `apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules: ${text}\n`;
    expect(
      merged(rules("[{ image: a, skip: true }]"), rules("[{ image: a, deny: true }, { image: b }]")),
    ).toMatchObject({ rules: [{ image: "a", deny: true }, { image: "b" }] });
  });

  it("anonymous access is restricted by contract 1.14's document", () => {
    const document = (paths: string): string =>
      `apiVersion: v1alpha1\nkind: KubeAuthenticationConfig\nconfiguration: { anonymous: { enabled: true, conditions: [${paths}] } }\n`;
    expect(
      merged(document("{ path: /livez }, { path: /metrics }"), document("{ path: /livez }")),
    ).toMatchObject({
      configuration: { anonymous: { conditions: [{ path: "/livez" }] } },
    });
  });

  it("zero values change nothing, except in fields that distinguish zero from missing", () => {
    const bond = (more: string): string => `apiVersion: v1alpha1\nkind: BondConfig\nname: b\n${more}\n`;
    expect(merged(bond("mtu: 9000\nup: true"), bond("mtu: 0\nup: false"))).toMatchObject({
      mtu: 9000,
      up: false,
    });
  });

  it("what Talos cannot merge is refused with its path", () => {
    expect(() =>
      mergeConfig("cluster: { scheduler: { config: { a: { b: 1 } } } }\n", [
        "cluster: { scheduler: { config: { a: { b: x } } } }",
      ]),
    ).toThrow("cannot set cluster.scheduler.config.a.b: Talos does not merge a string into a int");
  });

  it("a rule that replaces another one replaces it completely", () => {
    const reach = patchScope([
      "apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules: [{ image: a, deny: true }]\n",
    ]);
    const of = (image: string) => ({
      path: `ImageVerificationConfig.rules[${image}].skip`,
      change: "lost" as const,
    });
    expect([reach(of("a")), reach(of("b"))]).toEqual([true, false]);
  });
});

it("a JSON patch applies to the original text in YAML 1.1, or to Talos's output", () => {
  const base = "machine: { sysctls: { a: on, b: 0x10 } }\n";
  const add =
    "[{ op: add, path: /machine/sysctls/c, value: yes }, { op: replace, path: /machine/token, value: t }]";
  expect(mergeConfig(base, [add])).toContain("a: true\n    b: 16\n");
  const after = parseAllDocuments(mergeConfig(base, ["machine: { type: worker }", add]))[0]?.toJS() as object;
  expect(after).toMatchObject({
    machine: { sysctls: { a: "on", b: "0x10", c: "yes" }, token: "t", certSANs: [] },
  });
});

it("writes a patched generated configuration in the form of the Talos provider, in which states have it", () => {
  const generated = `version: v1alpha1
debug: false
persist: true
machine:
    type: worker
    token: abc
    ca:
        crt: Zm9v
        key: ""
    certSANs: []
cluster: null
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: stable
`;
  const patches = [
    "apiVersion: v1alpha1\nkind: HostnameConfig\nauto: off\nhostname: w1\n",
    "machine: { nodeLabels: { b: 'true', a: x }, install: { image: i, disk: /dev/sda } }",
    'machine: { files: [{ path: /var/a, content: "x\\ny\\n", permissions: 0644 }], time: { bootTimeout: 120s } }',
    "machine: { disks: [{ device: /dev/sdb, partitions: [{ size: 100GiB, mountpoint: /var/b }, { size: 5000000 }] }] }",
  ];
  expect(mergeGenerated(generated, patches)).toBe(`version: v1alpha1
debug: false
persist: true
machine:
    type: worker
    token: abc
    ca:
        crt: Zm9v
        key: ""
    certSANs: []
    disks:
        - device: /dev/sdb
          partitions:
            - size: 107374182400
              mountpoint: /var/b
            - size: 5.0 MB
    install:
        disk: /dev/sda
        image: i
        wipe: null
    files:
        - content: |
            x
            y
          permissions: 0o644
          path: /var/a
          op: ""
    time:
        bootTimeout: 2m0s
    nodeLabels:
        a: x
        b: "true"
cluster: null
---
apiVersion: v1alpha1
kind: HostnameConfig
auto: "off"
hostname: w1
`);
});
