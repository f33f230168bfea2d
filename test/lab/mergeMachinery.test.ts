import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canonical, documentLabel, parseConfig } from "../../talos/configTree.ts";
import { MergeError, mergeConfig } from "../../talos/mergeConfig.ts";
import {
  hostnamePatch,
  installImagePatch,
  modulePatch,
  securityPatch,
  subnetPatch,
} from "../../talos/patches.ts";
import { resolveTools } from "../../tools/resolve.ts";

// Our merge of patches, held against Talos's own: what a node gets is made by ours, so it has to be the same.

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "talos-iscsi-merge-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const file = (...parts: string[]): string => join(folder, ...parts);
let talosctl = "";

beforeAll(async () => {
  ({ talosctl } = await resolveTools(["talosctl"]));
  await run(talosctl, ["gen", "secrets", "-o", file("secrets.yaml")]);
}, 900_000);

/** Talos's own result, or that it refuses. */
async function theirs(base: string, patches: readonly string[]): Promise<string | undefined> {
  const name = file(`m-${Math.random().toString(36).slice(2)}`);
  await writeFile(`${name}.yaml`, base);
  const flags: string[] = [];
  for (const [index, patch] of patches.entries()) {
    await writeFile(`${name}-${index}.patch`, patch);
    flags.push("--patch", `@${name}-${index}.patch`);
  }
  try {
    return (await run(talosctl, ["machineconfig", "patch", `${name}.yaml`, ...flags], { maxBuffer: 1 << 24 }))
      .stdout;
  } catch {
    return undefined;
  }
}

function ours(base: string, patches: readonly string[]): string | undefined {
  try {
    return mergeConfig(base, patches);
  } catch (error) {
    if (error instanceof MergeError) return undefined;
    throw error;
  }
}

/** Each document's meaning; a value that is not set and one that says nothing are the same to Talos. */
function meanings(text: string | undefined): Record<string, string> | undefined {
  if (text === undefined) return undefined;
  return Object.fromEntries(
    parseConfig(text).map((document) => [documentLabel(document), canonical(document)]),
  );
}

const base = (contract: string, role: string): Promise<string> =>
  readFile(file(contract, `${role}.yaml`), "utf8");

/** What people patch by hand; every list and section that Talos merges in a way of its own is among them. */
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

describe.each(["v1.6", "v1.9", "v1.11", "v1.12", "v1.13"])("contract %s", (contract) => {
  beforeAll(async () => {
    const flags = ["--with-docs=false", "--with-examples=false", "--with-secrets", file("secrets.yaml")];
    const kubernetes = contract === "v1.6" ? "1.29.0" : "1.31.0";
    await run(talosctl, [
      ...["gen", "config", "c", "https://10.0.0.10:6443", "--talos-version", contract, ...flags],
      ...["--kubernetes-version", kubernetes, "--output-dir", file(contract)],
    ]);
  }, 60_000);

  test.each(["controlplane", "worker"] as const)("our own patches on a %s", async (role) => {
    const patches = [
      installImagePatch({
        image: "factory.talos.dev/metal-installer/c9:v1.13.9",
        disk: "/dev/vda",
        contract,
      }),
      hostnamePatch({ name: "node-1", contract }),
      subnetPatch({ podSubnets: ["10.1.0.0/16"], serviceSubnets: ["10.2.0.0/16"], contract }),
      role === "controlplane" ? securityPatch({ namespaces: ["a-csi", "b-csi"], contract }) : undefined,
      modulePatch({ modules: ["iscsi_tcp", "dm_multipath"], contract }),
    ].filter((patch) => patch !== undefined);
    const text = await base(contract, role);
    const merged = await theirs(text, patches);
    expect(merged).toBeDefined();
    expect(meanings(ours(text, patches))).toEqual(meanings(merged));
  });

  test.each(["controlplane", "worker"] as const)(
    "whatever people patch on a %s, one after the other",
    async (role) => {
      const text = await base(contract, role);
      const pool = [
        ...fragments,
        ...(role === "controlplane" ? controlPlaneFragments : []),
        ...(contract === "v1.12" || contract === "v1.13" ? documents : documents.slice(0, 6)),
      ];
      let [compared, runs] = [0, 0];
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom(...pool), { minLength: 1, maxLength: 6 }),
          async (patches) => {
            const merged = meanings(await theirs(text, patches));
            runs++;
            // What Talos refuses a node refuses too, whoever merged it.
            if (merged === undefined) return;
            compared++;
            expect(meanings(ours(text, patches))).toEqual(merged);
          },
        ),
        { numRuns: 60 },
      );
      expect(compared).toBeGreaterThan(runs / 4);
    },
    300_000,
  );

  test("JSON patches", async () => {
    for (const role of ["controlplane", "worker"]) {
      const text = await base(contract, role);
      for (const patch of jsonPatches) {
        expect(meanings(ours(text, [patch])), patch).toEqual(meanings(await theirs(text, [patch])));
      }
    }
  }, 60_000);
});
