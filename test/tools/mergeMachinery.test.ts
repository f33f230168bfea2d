import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { networkPatch } from "../../talos/networkPatch.ts";
import { dropKnownParts } from "../../talos/dropKnownParts.ts";
import type { Line } from "../../talos/mergeRules.ts";
import {
  hostnamePatch,
  installImagePatch,
  modulePatch,
  securityPatch,
  subnetPatch,
} from "../../talos/patches.ts";
import { generateRules } from "../../tools/mergeRules.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { askGo } from "../../tools/goProgram.ts";
import { describeDivergence, fuzz, mergeHere } from "./merge/fuzz.ts";
import { Judge, type Answer } from "./merge/judge.ts";

// Compares our merge of patches with Talos's own machinery of both release lines. Nodes get our result, so it must be the same, byte for byte, after
// Talos has read and written it.

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-merge-"));
const file = (...parts: string[]): string => join(folder, ...parts);
const judges = { "v1.13": new Judge("v1.13"), "v1.14": new Judge("v1.14") };
const LINES: readonly Line[] = ["v1.13", "v1.14"];
afterAll(async () => {
  for (const judge of Object.values(judges)) judge.close();
  await rm(folder, { recursive: true, force: true });
});

/** Compares Talos's answer with ours and returns it. */
async function agreed(base: string, patches: readonly string[], line: Line): Promise<Answer> {
  const merged = mergeHere({ base, patches }, line);
  const answer = await judges[line].ask({ base, patches, ours: merged.text });
  const what = describeDivergence(answer, merged, line);
  if (what !== undefined) expect({ what, ours: answer.ours, patches }).toEqual({ ours: answer.theirs });
  return answer;
}

test("the committed rules match rules newly generated from the machinery", async () => {
  for (const [path, text] of Object.entries(await generateRules()))
    expect(await readFile(join(import.meta.dirname, "..", "..", path), "utf8"), path).toBe(text);
}, 1_800_000);

const found: Record<Line, readonly number[]> = {
  "v1.13": [1603, 2511, 1_004_084, 1_012_756],
  "v1.14": [2018, 2448, 2609, 14_162, 1_015_379],
};

describe.each(LINES)("random sequences from the types of %s", (line) => {
  test("have the same result as in Talos, or are refused like in Talos", async () => {
    const { compared, divergences } = await fuzz(judges[line], line, 1, 500);
    expect(divergences).toEqual([]);
    // Seeds of sequences that once diverged.
    for (const seed of found[line]) expect((await fuzz(judges[line], line, seed, 1)).divergences).toEqual([]);
    expect(compared).toBeGreaterThan(250);
  }, 1_800_000);
});

const v1alpha1 = "version: v1alpha1\nmachine:\n";
const ETH0 = `${v1alpha1}  network: { interfaces: [{ interface: eth0, dhcp: true }, { interface: eth0, mtu: 9000 }] }\n`;
const document = (kind: string, more: string): string => `apiVersion: v1alpha1\nkind: ${kind}\n${more}`;

/** Regressions: the lines that have the documents, the configuration, its patches, what Talos's result contains and does not contain. */
const situations: [string, readonly Line[], string, readonly string[], RegExp, RegExp][] = [
  [
    "an item is deleted, the first one that fits, before one of its name is merged",
    LINES,
    ETH0,
    [
      "machine: { network: { interfaces: [{ interface: eth0, addresses: [10.0.0.1/24] }, { interface: eth0, $patch: delete }] } }",
    ],
    /interface: eth0\n +addresses:\n +- 10\.0\.0\.1\/24\n +mtu: 9000/,
    /dhcp/,
  ],
  [
    "a list of arguments takes the place of another one",
    LINES,
    "version: v1alpha1\ncluster: { apiServer: { extraArgs: { x: [a, b], y: c } } }\n",
    ["cluster: { apiServer: { extraArgs: { x: [d] } } }"],
    /x:\n +- d\n +['"]?y['"]?: c/,
    /- a/,
  ],
  [
    "a rule for images takes the place of the one with its pattern",
    LINES,
    document("ImageVerificationConfig", "rules: [{ image: a, skip: true }, { image: b, deny: true }]\n"),
    [document("ImageVerificationConfig", "rules: [{ image: b, skip: true }, { image: c, skip: true }]\n")],
    /image: b\n +skip: true[\s\S]*image: c/,
    /deny/,
  ],
  [
    "who may come in without a name is narrowed",
    ["v1.14"],
    document(
      "KubeAuthenticationConfig",
      "configuration: { anonymous: { enabled: true, conditions: [{ path: /livez }, { path: /metrics }] } }\n",
    ),
    [
      document(
        "KubeAuthenticationConfig",
        "configuration: { anonymous: { enabled: true, conditions: [{ path: /livez }] } }\n",
      ),
    ],
    /path: \/livez/,
    /metrics/,
  ],
  [
    "subnets, search domains and BGP neighbors take the place of others",
    ["v1.14"],
    `${document("KubeNetworkConfig", "podSubnets: [10.244.0.0/16]\nserviceSubnets: [10.96.0.0/12]\n")}---\n${document("ResolverConfig", "searchDomains: { domains: [old.example] }\n")}---\n${document("BGPInstanceConfig", "name: b\nadvertise: [old]\n")}`,
    [
      `${document("KubeNetworkConfig", "podSubnets: [10.1.0.0/16]\n")}---\n${document("ResolverConfig", "searchDomains: { domains: [new.example] }\n")}---\n${document("BGPInstanceConfig", "name: b\nadvertise: [new]\n")}`,
    ],
    /10\.1\.0\.0\/16[\s\S]*10\.96\.0\.0\/12[\s\S]*new\.example[\s\S]*- new/,
    /244|old/,
  ],
  [
    "zeros change nothing: an empty text, no number, the first word of an enumeration",
    LINES,
    `${document("BondConfig", "name: b\nlinks: [eth0]\nmtu: 9000\n")}---\n${document("NetworkDefaultActionConfig", "ingress: block\n")}`,
    [
      `${document("BondConfig", "name: b\nmtu: 0\n")}---\n${document("NetworkDefaultActionConfig", "ingress: accept\n")}`,
    ],
    /mtu: 9000[\s\S]*ingress: block/,
    /accept/,
  ],
  [
    "zeros change what may also be absent",
    LINES,
    document("BondConfig", "name: b\nbondMode: 802.3ad\nup: true\n"),
    [document("BondConfig", "name: b\nbondMode: balance-rr\nup: false\n")],
    /bondMode: balance-rr[\s\S]*up: false/,
    /802/,
  ],
  [
    "a flag that is never absent is off where a patch does not repeat it",
    ["v1.14"],
    document("ContainerConfig", "name: c\nsecurity: { machinedAccess: true, profile: a }\n"),
    [document("ContainerConfig", "name: c\nsecurity: { profile: b }\n")],
    /profile: b/,
    /machinedAccess: true/,
  ],
  [
    "a percentage does not take the place of bytes",
    LINES,
    document("UserVolumeConfig", "name: a\nprovisioning: { maxSize: 10GiB }\n"),
    [document("UserVolumeConfig", "name: a\nprovisioning: { maxSize: 50% }\n")],
    /maxSize: 10GiB/,
    /50%/,
  ],
  [
    "an endpoint's host changes and its path stays",
    LINES,
    "version: v1alpha1\ncluster: { controlPlane: { endpoint: 'https://a:6443/x' } }\n",
    ["cluster: { controlPlane: { endpoint: 'https://b:6443' } }"],
    /endpoint: https:\/\/b:6443\/x/,
    /\/\/a/,
  ],
  [
    "a key of an encrypted disk stays, however empty its section is",
    LINES,
    `${v1alpha1}  systemDiskEncryption: { state: { provider: luks2, keys: [{ slot: 0, nodeID: {} }] } }\n`,
    ["machine: { systemDiskEncryption: { state: { keys: [{ slot: 1, tpm: {} }] } } }"],
    /nodeID: \{\}\n[\s\S]*tpm: \{\}/,
    /null\n +slot/,
  ],
];

describe.each(LINES)("like Talos %s", (line) => {
  test.each(situations.filter(([, lines]) => lines.includes(line)))(
    "%s",
    async (_name, _lines, base, patches, has, hasNot) => {
      const { theirs } = await agreed(base, patches, line);
      expect(theirs).toMatch(has);
      expect(theirs).not.toMatch(hasNot);
    },
    900_000,
  );

  test("refuses what Talos refuses", async () => {
    const twoDocuments = `${ETH0}---\n${document("HostnameConfig", "auto: off\n")}`;
    for (const [base, patch] of [
      [ETH0, "machine: { network: { interfaces: [{ interface: eth9, $patch: delete }] } }"],
      [ETH0, "machine: { sysctls: { $patch: delete } }\ncluster: { network: { cni: { $patch: delete } } }"],
      [ETH0, "[{ op: remove, path: /machine/sysctls }]"],
      [twoDocuments, "[{ op: remove, path: /machine/network }]"],
      [
        "version: v1alpha1\ncluster: { scheduler: { config: { a: 1 } } }\n",
        "cluster: { scheduler: { config: { a: b } } }",
      ],
    ] as const) {
      const { refused } = mergeHere({ base, patches: [patch] }, line);
      const answer = await agreed(base, [patch], line);
      expect([answer.phase, refused !== undefined], patch).toEqual(["merge", true]);
    }
  }, 900_000);
});

/** Typical user patches, including every list and section that Talos merges in a special way. */
const fragments = [
  "machine: {network: {interfaces: [{interface: eth0, addresses: [10.0.0.1/24], routes: [{network: 0.0.0.0/0, gateway: 10.0.0.254}], vlans: [{vlanId: 5, addresses: [10.5.0.1/24]}]}]}}",
  "machine: {network: {interfaces: [{interface: eth0, mtu: 1400, addresses: [10.0.0.2/24], vlans: [{vlanId: 5, mtu: 1300}, {vlanId: 6}]}, {interface: eth1, dhcp: true}]}}",
  "machine: {network: {interfaces: [{deviceSelector: {driver: virtio, hardwareAddr: 'aa:*'}, dhcp: true}]}}",
  "machine: {network: {interfaces: [{deviceSelector: {hardwareAddr: 'aa:*', driver: virtio}, dhcp: false, mtu: 0x500}]}}",
  "machine: {network: {interfaces: [{interface: eth0, $patch: delete}]}}",
  "machine: {network: {nameservers: [1.1.1.1, 8.8.8.8], extraHostEntries: [{ip: 1.2.3.4, aliases: [a, b]}]}}",
  "machine: {certSANs: [a.b, c.d]}",
  "machine: {certSANs: [c.d, e.f]}",
  "machine: {sysctls: {net.core.somaxconn: 65535, a.b: ''}}",
  "machine: {sysctls: {net.core.somaxconn: '', c: '3'}}",
  "machine: {sysctls: {$patch: delete}}",
  "machine: {registries: {mirrors: {docker.io: {endpoints: ['https://m1'], overridePath: true}}}}",
  "machine: {registries: {mirrors: {docker.io: {endpoints: ['https://m2']}, ghcr.io: {endpoints: ['https://m3']}}}}",
  'machine: {files: [{content: "a\\nb\\n", permissions: 0644, path: /var/a, op: create}]}',
  "machine: {files: [{content: c, permissions: 0o600, path: /var/a, op: create}]}",
  "machine: {kernel: {modules: [{name: a, parameters: [x=1]}, {name: b}]}}",
  "machine: {kernel: {modules: [{name: a, $patch: delete}]}}",
  "machine: {install: {wipe: true, extraKernelArgs: [a=1]}}",
  "machine: {install: {wipe: false, disk: /dev/vda, extraKernelArgs: [b=1]}}",
  "machine: {time: {servers: [a.b.c], disabled: true, bootTimeout: 5m}}",
  "machine: {kubelet: {extraMounts: [{destination: /var/a, type: bind, source: /var/a, options: [bind, rw]}], extraConfig: {featureGates: {A: true}, list: [a], text: 'yes'}, nodeIP: {validSubnets: [10.0.0.0/8]}, extraArgs: {v: '1'}}}",
  "machine: {kubelet: {extraConfig: {featureGates: {B: false}, list: [b, a], text: on}, nodeIP: {validSubnets: [11.0.0.0/8]}, extraArgs: {v: '2', w: 'true'}}}",
  "machine: {nodeLabels: {a: b, c: ''}, nodeTaints: {x: 'y:NoSchedule'}, udev: {rules: ['SUBSYSTEM==\"a\"']}}",
  "machine: {nodeLabels: {$patch: delete}}",
  "cluster: {network: {podSubnets: [10.9.0.0/16, 'fd00::/64'], cni: {name: none}}}",
  "cluster: {network: {podSubnets: [10.7.0.0/16], serviceSubnets: []}}",
  "cluster: {proxy: {disabled: true, extraArgs: {a: b}}}",
  "cluster: {externalCloudProvider: {enabled: true, manifests: ['https://a.b/c.yaml']}, extraManifests: ['https://a.b/c.yaml'], inlineManifests: [{name: a, contents: \"kind: X\\n\"}]}",
  "cluster: {inlineManifests: [{name: a, contents: y}], allowSchedulingOnControlPlanes: true}",
  "cluster: {allowSchedulingOnControlPlanes: false, discovery: {enabled: false}}",
  "&x machine: &y {env: {http_proxy: 'http://a:1'}, sysfs: {a.b: 'off'}}",
];
const controlPlaneFragments = [
  "cluster: {apiServer: {certSANs: [x.y], env: {A: b}, extraArgs: {a: b}, auditPolicy: {apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None}]}}}",
  "cluster: {apiServer: {auditPolicy: {apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Request, omitStages: [RequestReceived]}]}, extraVolumes: [{hostPath: /a, mountPath: /a, readonly: true}]}}",
  "cluster: {apiServer: {admissionControl: [{name: PodSecurity, configuration: {defaults: {enforce: privileged}, exemptions: {namespaces: [a, b]}}}]}}",
  "cluster: {apiServer: {admissionControl: [{name: Other, configuration: {apiVersion: v1, kind: X}}, {name: PodSecurity, configuration: {exemptions: {usernames: [u]}}}]}}",
  "cluster: {apiServer: {admissionControl: [{name: PodSecurity, $patch: delete}]}}",
  "cluster: {etcd: {advertisedSubnets: [10.0.0.0/8], extraArgs: {a: '1'}}, scheduler: {config: {profiles: [{schedulerName: x}]}}}",
  "cluster: {scheduler: {config: {profiles: [{schedulerName: y}], z: {a: 1}}}, controllerManager: {extraArgs: {bind-address: 0.0.0.0}}}",
];
const documents = [
  "apiVersion: v1alpha1\nkind: NetworkRuleConfig\nname: r\nportSelector: {ports: [50000], protocol: tcp}\ningress: [{subnet: 10.0.0.0/8}]",
  "apiVersion: v1alpha1\nkind: NetworkRuleConfig\nname: r\nportSelector: {ports: [50001-50002], protocol: udp}\ningress: [{subnet: 11.0.0.0/8}]\n---\nmachine: {certSANs: [z]}",
  "apiVersion: v1alpha1\nkind: ExtensionServiceConfig\nname: x\nenvironment: [A=b]\nconfigFiles: [{content: a, mountPath: /a}]",
  "apiVersion: v1alpha1\nkind: ExtensionServiceConfig\nname: x\nenvironment: [A=c]\nconfigFiles: [{content: b, mountPath: /a}, {content: b, mountPath: /b}]",
  "apiVersion: v1alpha1\nkind: ExtensionServiceConfig\nname: x\n$patch: delete",
  "apiVersion: v1alpha1\nkind: UserVolumeConfig\nname: data\nprovisioning: {diskSelector: {match: 'disk.transport == \"nvme\"'}, minSize: 10GB}",
  "apiVersion: v1alpha1\nkind: HostnameConfig\nauto: off\nhostname: a",
  "apiVersion: v1alpha1\nkind: HostnameConfig\n$patch: delete\n---\nmachine: {network: {hostname: b}}",
  "apiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\naddresses: [{address: 10.0.0.1/24}]\nmtu: 1400",
  "apiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\naddresses: [{address: 10.0.0.2/24}]\nup: false",
  "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: docker.io\nendpoints: [{url: 'https://m1'}]",
  "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: docker.io\nendpoints: [{url: 'https://m2'}]\nskipFallback: true",
];
const jsonPatches = [
  '[{"op":"add","path":"/machine/sysctls","value":{"a":"1"}},{"op":"replace","path":"/machine/install/disk","value":"/dev/vdb"}]',
  "- op: add\n  path: /machine/certSANs/-\n  value: zz\n- {op: test, path: /machine/install/wipe, value: false}",
  "- {op: remove, path: /machine/install/disk}",
  "- {op: remove, path: /machine/nodeLabels/node.kubernetes.io~1exclude-from-external-load-balancers}",
  "- {op: move, from: /machine/kubelet/image, path: /machine/install/image}",
];

test.each(LINES)(
  "merges into links that a file already has, like %s",
  async (line) => {
    const files = [
      "machine: { network: { interfaces: [{ interface: eth0, dhcp: true }, { deviceSelector: { driver: ice } }] } }\n",
      `version: v1alpha1\nmachine: {}\n---\n${document("LinkConfig", "name: eth0\nup: true\n")}---\n${document("BondConfig", "name: bond0\nlinks: [eth1]\nbondMode: 802.3ad\n")}`,
    ];
    for (const base of files) {
      const patch = networkPatch({
        base,
        contract: "v1.13",
        interfaces: [
          { interface: "eth0", addresses: ["10.0.0.2/24"], routes: [{ gateway: "10.0.0.1" }], dhcp: false },
          {
            deviceSelector: { driver: "ice" },
            addresses: ["10.1.0.2/24"],
            routes: [],
            dhcp: false,
            mtu: 9000,
          },
        ],
        vip: { address: "10.0.0.10", interface: "eth0" },
      });
      const { theirs } = await agreed(base, dropKnownParts(base, [patch ?? ""]), line);
      expect(theirs?.match(/10\.0\.0\.2\/24/g)).toHaveLength(1);
      expect(theirs?.match(/(?:interface|name): eth0\n/g)).toHaveLength(1);
      expect(theirs).not.toContain("dhcp: false");
    }
  },
  900_000,
);

const CONTRACTS = ["v1.6", "v1.9", "v1.11", "v1.12", "v1.13"];

describe("generated configurations", () => {
  const bases: Record<string, string> = {};

  beforeAll(async () => {
    const { talosctl } = await resolveTools(["talosctl"]);
    await run(talosctl, ["gen", "secrets", "-o", file("secrets.yaml")]);
    const flags = ["--with-docs=false", "--with-examples=false", "--with-secrets", file("secrets.yaml")];
    for (const contract of CONTRACTS) {
      const kubernetes = contract === "v1.6" ? "1.29.0" : "1.31.0";
      await run(talosctl, [
        ...["gen", "config", "c", "https://10.0.0.10:6443", "--talos-version", contract, ...flags],
        ...["--kubernetes-version", kubernetes, "--output-dir", file(contract)],
      ]);
      for (const role of ["controlplane", "worker"])
        bases[`${contract} ${role}`] = await readFile(file(contract, `${role}.yaml`), "utf8");
    }
    const answers = await askGo<{ config: string }>("machinery114", [
      { role: "controlplane", patches: [] },
      { role: "worker", patches: [] },
    ]);
    bases["v1.14 controlplane"] = answers[0]?.config ?? "";
    bases["v1.14 worker"] = answers[1]?.config ?? "";
  }, 1_800_000);

  const linesOf = (contract: string): readonly Line[] => (contract === "v1.14" ? ["v1.14"] : LINES);

  describe.each([...CONTRACTS, "v1.14"])("contract %s", (contract) => {
    test.each(["controlplane", "worker"] as const)(
      "merges our own patches on a %s like Talos",
      async (role) => {
        const image = "factory.talos.dev/metal-installer/c9:v1.13.9";
        const patches = [
          installImagePatch({ image, ...(contract === "v1.14" ? {} : { disk: "/dev/vda" }), contract }),
          hostnamePatch({ name: "node-1", contract }),
          subnetPatch({ podSubnets: ["10.1.0.0/16"], serviceSubnets: ["10.2.0.0/16"], contract }),
          role === "controlplane" ? securityPatch({ namespaces: ["a-csi", "b-csi"], contract }) : undefined,
          modulePatch({ modules: ["iscsi_tcp", "dm_multipath"], contract }),
        ].filter((patch) => patch !== undefined);
        for (const line of linesOf(contract)) {
          const answer = await agreed(bases[`${contract} ${role}`] ?? "", patches, line);
          expect(answer.theirs).toBeDefined();
        }
      },
      900_000,
    );

    test.each(["controlplane", "worker"] as const)(
      "merges random user patches on a %s, in sequence, like Talos",
      async (role) => {
        const base = bases[`${contract} ${role}`] ?? "";
        const pool = [
          ...fragments,
          ...(role === "controlplane" ? controlPlaneFragments : []),
          ...documents,
          ...jsonPatches,
        ];
        let [compared, runs] = [0, 0];
        for (const line of linesOf(contract)) {
          await fc.assert(
            fc.asyncProperty(
              fc.array(fc.constantFrom(...pool), { minLength: 1, maxLength: 6 }),
              async (patches) => {
                runs++;
                if ((await agreed(base, patches, line)).theirs !== undefined) compared++;
              },
            ),
            { numRuns: 40 },
          );
        }
        expect(compared).toBeGreaterThan(runs / 5);
      },
      900_000,
    );

    test("applies JSON patches like Talos", async () => {
      for (const role of ["controlplane", "worker"])
        for (const patch of jsonPatches)
          for (const line of linesOf(contract))
            await agreed(bases[`${contract} ${role}`] ?? "", [patch], line);
    }, 900_000);
  });
});
