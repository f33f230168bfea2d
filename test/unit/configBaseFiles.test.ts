import { beforeAll, describe, expect, it } from "vitest";
import { createAuthority, issueLeaf } from "../../lab/pki.ts";
import {
  adoptedSettings,
  adoptedFiles,
  bundle,
  canary,
  withValues,
  controlplane,
  leaksSecret,
  minimalSettings,
  parseOutcome,
  pem,
  talosconfig,
  worker,
} from "./settings/example.ts";

const files = {
  controlplaneFile: "controlplane.yaml",
  workerFile: "worker.yaml",
  talosconfigFile: "talosconfig",
};

function problems(values: Record<string, unknown>, more: Record<string, string> = {}) {
  const result = parseOutcome(withValues(adoptedSettings(), { "cluster.secrets": files, ...values }), {
    ...adoptedFiles,
    ...more,
  });
  expect(leaksSecret(result.message)).toBe(false);
  return result.problems;
}

const matching = (reason: RegExp): string => expect.stringMatching(reason) as string;

describe("machine configurations of a running cluster", () => {
  it("are each node's base: its own file takes precedence over its role's", () => {
    const own = worker.replace("1024", "2048");
    const { settings } = parseOutcome(
      withValues(adoptedSettings(), { "cluster.secrets": files, "cluster.nodes[4].configFile": "w2.yaml" }),
      { ...adoptedFiles, "w2.yaml": own },
    );
    expect(settings?.cluster.nodes.map(({ baseConfiguration }) => baseConfiguration)).toEqual([
      ...[controlplane, controlplane, controlplane, worker, own],
    ]);
    expect(settings?.cluster.nodes[4]).not.toHaveProperty("configFile");
  });

  it("can be set for one node beside a bundle, and the others are generated", () => {
    const { settings, problems } = parseOutcome(
      withValues(adoptedSettings(), { "cluster.nodes[3].config": worker }),
      adoptedFiles,
    );
    expect(problems).toEqual([]);
    expect(settings?.cluster.nodes.map(({ baseConfiguration }) => baseConfiguration)).toEqual([
      ...[undefined, undefined, undefined, worker, undefined],
    ]);
  });

  it("can be set for each node; the first control plane's has the secrets", () => {
    const { settings, problems } = parseOutcome(
      withValues(adoptedSettings(), {
        "cluster.secrets": { workerFile: "worker.yaml", talosconfigFile: "talosconfig" },
        "cluster.nodes[0].config": controlplane,
        "cluster.nodes[1].config": controlplane,
        "cluster.nodes[2].config": controlplane,
      }),
      adoptedFiles,
    );
    expect(problems).toEqual([]);
    expect(settings?.cluster.secrets?.machineSecrets.cluster.id).toBe(`${canary}id=`);
  });

  it("must exist for every worker", () => {
    expect(problems({ "cluster.secrets": { ...files, workerFile: undefined } })).toEqual(
      [3, 4].map((index) => ({
        path: `cluster.nodes[${index}]`,
        reason:
          "is a worker without a machine configuration; set cluster.secrets.workerFile, or the node's own configFile",
      })),
    );
  });

  it("are refused for a new cluster", () => {
    const { problems } = parseOutcome(
      withValues(minimalSettings(), { "cluster.nodes[0].config": controlplane }),
    );
    expect(problems).toEqual([
      { path: "cluster.nodes[0]", reason: matching(/but the cluster is new; .*cluster\.secrets/) },
    ]);
  });

  it.each([
    [
      "the other role",
      worker.replace("type: worker", "type: controlplane"),
      /^machine\.type: is "controlplane", but the node's role is worker$/,
    ],
    [
      "another cluster, by its id",
      worker.replace(`${canary}id=`, `${canary}other=`),
      /^cluster\.id: does not match the cluster's secrets: the file belongs to another cluster$/,
    ],
    [
      "another cluster, by its token",
      worker.replace(`${canary}.trustd`, `${canary}.other`),
      /^machine\.token: does not match/,
    ],
    [
      "another cluster, by its CA",
      worker.replace(pem("CERTIFICATE"), pem("CERTIFICATE", "other")),
      /^machine\.ca\.crt: does not match/,
    ],
    ["no configuration", "a: b", /^machine: no document with a machine section$/],
    ["no YAML", "machine: [", /^line 1: is not YAML/],
    ["no mapping", "- a", /^line 1: is not a YAML mapping/],
  ])("refuse a worker's file of %s", (_, text, reason) => {
    // One file serves two nodes, and its mistake is reported once.
    expect(problems({}, { "worker.yaml": text })).toContainEqual({
      path: "cluster.secrets.workerFile",
      reason: matching(reason),
    });
    expect(new Set(problems({}, { "worker.yaml": text }).map(({ path }) => path))).toEqual(
      new Set(["cluster.secrets.workerFile"]),
    );
  });

  it("must have the endpoint of the settings", () => {
    const other = worker.replace(
      "cluster:\n",
      "cluster:\n    controlPlane: { endpoint: https://10.9.9.9:6443 }\n",
    );
    expect(problems({}, { "worker.yaml": other })).toEqual([
      {
        path: "cluster.endpoint",
        reason: "is https://10.0.0.10:6443, but cluster.secrets.workerFile has https://10.9.9.9:6443",
      },
    ]);
  });

  it("must fit the contract of the settings", () => {
    const newer = `${worker}---\napiVersion: v1alpha1\nkind: KubeletConfig\n`;
    expect(problems({}, { "worker.yaml": newer })).toEqual([
      {
        path: "talosContract",
        reason:
          "is v1.12, but cluster.secrets.workerFile has a document KubeletConfig, which exists only since v1.14",
      },
    ]);
    // With files, nothing is generated, so contracts that the provider cannot generate are fine.
    const release = { talosContract: "v1.14", talosVersion: "v1.14.1" };
    expect(problems(release, { "worker.yaml": newer, "controlplane.yaml": controlplane })).toEqual([]);
    const old = worker.replace("    sysctls", "    install: { disk: /dev/sda }\n    sysctls");
    expect(problems(release, { "worker.yaml": old })).toEqual([
      {
        path: "talosContract",
        reason: "is v1.14, but cluster.secrets.workerFile has machine.install, which exists only up to v1.13",
      },
    ]);
  });

  it("must allow every patch to be applied", () => {
    expect(
      problems({
        "cluster.patches.worker": ["machine: { sysctls: { vm.other: { $patch: delete } } }"],
      }),
    ).toEqual([
      {
        path: "cluster.patches.worker[0]",
        reason: matching(/deletes machine\.sysctls\.vm\.other, which does not exist/),
      },
    ]);
  });
});

describe("patches that conflict with existing values", () => {
  it("must not exempt a namespace that the node's own configuration exempts", () => {
    const exempting = controlplane.replace(
      "cluster:\n",
      "cluster:\n    apiServer: { admissionControl: [{ name: PodSecurity, configuration: { apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, exemptions: { namespaces: [kube-system, by-hand] } } }] }\n",
    );
    const patch =
      "cluster:\n  apiServer:\n    admissionControl:\n      - name: PodSecurity\n        configuration: { exemptions: { namespaces: [by-hand, other] } }\n";
    expect(problems({ "cluster.patches.controlplane": [patch] }, { "controlplane.yaml": exempting })).toEqual(
      [
        {
          path: "cluster.patches.controlplane[0]",
          reason: matching(
            /^line 5: namespace by-hand must not be exempted again \(cluster\.secrets\.controlplaneFile exempts it\)/,
          ),
        },
      ],
    );
  });

  it("must not set an installer image other than the one in the settings, on a new cluster too", () => {
    const patch = "machine:\n  install:\n    image: ghcr.io/siderolabs/installer:v1.13.9\n";
    const { problems } = parseOutcome(withValues(minimalSettings(), { "cluster.nodes[0].patches": [patch] }));
    expect(problems).toEqual([
      {
        path: "cluster.nodes[0].patches[0]",
        reason: matching(
          /^line 3: machine\.install\.image ghcr\.io\/siderolabs\/installer:v1\.13\.9 conflicts with the installer image of the settings, factory\.talos\.dev\/metal-installer\/c9078f94\w+:v1\.13\.9; set talosVersion or image instead$/,
        ),
      },
    ]);
  });
});

describe("a talosconfig", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  let [own, ownAuthority, foreign, rotated] = ["", "", "", ""];
  beforeAll(async () => {
    const authority = await createAuthority("talos", "ed25519");
    const leaf = await issueLeaf(authority, {
      commonName: "admin",
      organizations: ["os:admin"],
      usages: ["client"],
      keyKind: "ed25519",
    });
    ownAuthority = base64(authority.pem);
    foreign = base64((await createAuthority("talos", "ed25519")).pem);
    rotated = foreign;
    own = talosconfig
      .replace(/ca: .*/, `ca: ${ownAuthority}`)
      .replace(/crt: .*/, `crt: ${base64(leaf.certificate)}`);
  });
  /** Replaces the placeholder for the machine CA in a bundle or configuration. */
  const bundleOf = (ca: string): string => bundle.replace(/(os: \{ crt: )[^,]+/, `$1${ca}`);
  const configOf = (text: string, ca: string, more = ""): string =>
    text.replace(/(machine:\n {4}type: \w+\n {4}token: .*\n {4}ca: \{ crt: )[^,]+(.*\n)/, `$1${ca}$2${more}`);

  it("of this cluster is accepted, with a bundle and with machine configurations", () => {
    expect(problems({ "cluster.secrets": { bundle: bundleOf(ownAuthority), talosconfig: own } })).toEqual([]);
    const [cp, w] = [configOf(controlplane, ownAuthority), configOf(worker, ownAuthority)];
    expect(problems({ "cluster.secrets": { controlplane: cp, worker: w, talosconfig: own } })).toEqual([]);
  });

  it("of another cluster is refused before anything is sent to a node", () => {
    expect(problems({ "cluster.secrets": { bundle: bundleOf(foreign), talosconfig: own } })).toEqual([
      {
        path: "cluster.secrets.talosconfig",
        reason:
          'its client certificate was not signed by the cluster\'s machine CA (cluster.secrets.bundle): one of the files, or the current context "dev", belongs to another cluster',
      },
    ]);
    const cp = configOf(controlplane, foreign);
    const found = problems({ "cluster.secrets": { controlplane: cp, worker, talosconfig: own } });
    expect(found).toContainEqual({
      path: "cluster.secrets.talosconfig",
      reason: matching(/was not signed by the cluster's machine CA \(cluster\.secrets\.controlplane\)/),
    });
  });

  it("of a CA that the cluster still accepts during a rotation is accepted", () => {
    const accepted = `    acceptedCAs: [{ crt: ${ownAuthority} }]\n`;
    const cp = configOf(controlplane, rotated, accepted);
    const w = configOf(worker, rotated, accepted);
    expect(problems({ "cluster.secrets": { controlplane: cp, worker: w, talosconfig: own } })).toEqual([]);
  });
});
