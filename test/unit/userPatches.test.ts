import { describe, expect, test } from "vitest";
import {
  hostnamePatch,
  installImagePatch,
  modulePatch,
  securityPatch,
  subnetPatch,
} from "../../talos/patches.ts";
import { evaluatePatches, type UserPatchContext } from "../../talos/userPatches.ts";
import { KNOWN_CONTRACTS } from "../../talos/releases.ts";

const cp = (contract: string, more: Partial<UserPatchContext> = {}): UserPatchContext => ({
  role: "controlplane",
  contract,
  ...more,
});
const worker = (contract: string, more: Partial<UserPatchContext> = {}): UserPatchContext => ({
  role: "worker",
  contract,
  ...more,
});
const admission = (...names: string[]): string =>
  `cluster:\n  apiServer:\n    admissionControl:\n      - name: PodSecurity\n        configuration:\n          exemptions:\n            namespaces:\n${names.map((name) => `              - ${name}\n`).join("")}`;

describe("a patch that cannot work", () => {
  // [what, the patches, the context, index of the patch, line, reason]
  test.each<[string, string[], UserPatchContext, number, number | undefined, RegExp]>([
    ["no YAML", ["machine: {}", "machine:\n  a: [1\n"], cp("v1.13"), 1, 3, /^is not YAML: /],
    ["nothing", ["# only a comment\n"], cp("v1.13"), 0, 1, /^is empty$/],
    ["text", ["hello"], cp("v1.13"), 0, 1, /must be a mapping/],
    [
      "a JSON patch",
      ["- op: add\n  path: /x\n  value: 1\n"],
      cp("v1.12"),
      0,
      undefined,
      /RFC 6902.*several documents/,
    ],
    [
      "a section that does not exist",
      ["machine: {}\nmachnie: {}\n"],
      cp("v1.13"),
      0,
      2,
      /machnie is not a section/,
    ],
    [
      "the role",
      ["machine:\n  type: worker\n"],
      cp("v1.13"),
      0,
      2,
      /"worker" conflicts with the node's role, controlplane/,
    ],
    [
      "a secret",
      ["machine:\n  token: a.b\n"],
      cp("v1.13"),
      0,
      2,
      /machine\.token is part of the cluster's secrets/,
    ],
    [
      "etcd on a worker",
      ["cluster:\n  etcd: { image: x }\n"],
      worker("v1.13"),
      0,
      2,
      /for control planes only/,
    ],
    [
      "a document for control planes on a worker",
      ["machine: {}\n---\napiVersion: v1alpha1\nkind: KubeAPIServerConfig\n"],
      worker("v1.14"),
      0,
      4,
      /KubeAPIServerConfig is for control planes only/,
    ],
    [
      "an unknown document",
      ["apiVersion: v1alpha1\nkind: KubeMagicConfig\n"],
      cp("v1.14"),
      0,
      2,
      /KubeMagicConfig does not exist/,
    ],
    [
      "a document of a later contract",
      ["apiVersion: v1alpha1\nkind: KernelModuleConfig\nname: x\n"],
      cp("v1.13"),
      0,
      2,
      /needs contract v1\.14/,
    ],
    [
      "a document without apiVersion",
      ["kind: HostnameConfig\nauto: stable\n"],
      cp("v1.13"),
      0,
      1,
      /needs apiVersion/,
    ],
    [
      "another image",
      ["machine:\n  install:\n    image: x/installer:v1.0.0\n"],
      cp("v1.13", { image: "y" }),
      0,
      3,
      /conflicts with the installer image/,
    ],
    [
      "the old install section",
      ["machine:\n  install:\n    disk: /dev/sda\n"],
      cp("v1.14"),
      0,
      3,
      /UnattendedInstallConfig/,
    ],
    [
      "arguments that conflict",
      ["machine:\n  install:\n    extraKernelArgs:\n      - quiet\n"],
      cp("v1.12"),
      0,
      4,
      /grubUseUKICmdline.*schematic/,
    ],
    ["the old hostname", ["machine:\n  network:\n    hostname: a\n"], cp("v1.12"), 0, 3, /HostnameConfig/],
    [
      "a hostname beside the automatic one",
      ["apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: a\n"],
      cp("v1.12"),
      0,
      3,
      /auto: "off"/,
    ],
    [
      "another hostname",
      ["machine:\n  network:\n    hostname: a\n"],
      cp("v1.11", { hostname: "b" }),
      0,
      3,
      /conflicts with the node's own, b/,
    ],
    ["the old admission control", [admission("x")], cp("v1.14"), 0, 4, /KubeAdmissionControlConfig/],
    ["kube-system again", [admission("x", "kube-system")], cp("v1.13"), 0, 9, /Talos already exempts it/],
    [
      "a namespace of the settings again",
      [admission("a", "b")],
      cp("v1.13", {
        namespaces: ["b"],
        own: [securityPatch({ namespaces: ["b"], contract: "v1.13" })].filter((patch) => patch !== undefined),
      }),
      0,
      9,
      /the settings already exempt it/,
    ],
    [
      "a namespace in two patches",
      [admission("a"), admission("a")],
      cp("v1.13"),
      1,
      8,
      /another patch already exempts it/,
    ],
    [
      "a namespace again, in the new form",
      [
        "apiVersion: v1alpha1\nkind: KubeAdmissionControlConfig\nname: PodSecurity\nconfiguration:\n  exemptions:\n    namespaces: [kube-system]\n",
      ],
      cp("v1.14"),
      0,
      6,
      /Talos already exempts it/,
    ],
  ])("is refused: %s", (_, patches, context, patch, line, says) => {
    const { problems } = evaluatePatches(patches, context);
    expect(problems).toMatchObject([{ patch, line }]);
    expect(problems[0]?.reason).toMatch(says);
  });

  test("is reported together with all others, in the order of the patches", () => {
    const { problems } = evaluatePatches(
      ["machine:\n  type: worker\n  token: a.b\n", "x: 1", "a: ["],
      cp("v1.13"),
    );
    expect(problems.map(({ patch, line }) => [patch, line])).toEqual([
      [0, 2],
      [0, 3],
      [1, 1],
      [2, 1],
    ]);
  });

  test("does not reveal a secret's value", () => {
    const [problem] = evaluatePatches(["machine:\n  token: hunter.two\n"], cp("v1.13")).problems;
    expect(problem?.reason).not.toContain("hunter");
  });
});

describe("a patch that works", () => {
  test.each<[string, string[], UserPatchContext]>([
    [
      "a JSON patch where Talos takes it",
      ["- op: add\n  path: /machine/sysctls\n  value: {}\n"],
      cp("v1.11"),
    ],
    [
      "arguments where the conflict is resolved",
      ["machine:\n  install:\n    extraKernelArgs: [quiet]\n    grubUseUKICmdline: false\n"],
      cp("v1.12"),
    ],
    ["the same image", ["machine:\n  install:\n    image: y\n    wipe: true\n"], cp("v1.13", { image: "y" })],
    ["a namespace of one's own", [admission("mine")], cp("v1.13", { namespaces: ["joviandss-csi"] })],
    [
      "the old hostname, the document deleted",
      [
        "apiVersion: v1alpha1\nkind: HostnameConfig\n$patch: delete\n",
        "machine:\n  network:\n    hostname: a\n",
      ],
      cp("v1.12"),
    ],
    [
      "documents and main part together",
      [
        "machine:\n  sysctls: { a: b }\n---\napiVersion: v1alpha1\nkind: WatchdogTimerConfig\ndevice: /dev/watchdog0\n",
      ],
      worker("v1.13"),
    ],
    ["a patch of both roles", ["machine:\n  type: worker\n"], {}],
  ])("is accepted: %s", (_, patches, context) => {
    expect(evaluatePatches(patches, context).problems).toEqual([]);
  });

  test.each(KNOWN_CONTRACTS)("may be one of our own, for contract %s", (contract) => {
    const ours = [
      installImagePatch({ image: "y", disk: "/dev/sda", contract }),
      hostnamePatch({ name: "a", contract }),
      subnetPatch({ podSubnets: ["10.1.0.0/16"], contract }),
      securityPatch({ namespaces: ["joviandss-csi"], contract }),
      modulePatch({ modules: ["iscsi_tcp"], contract }),
    ].filter((patch) => patch !== undefined);
    expect(evaluatePatches(ours, cp(contract, { image: "y", hostname: "a" })).problems).toEqual([]);
  });
});
