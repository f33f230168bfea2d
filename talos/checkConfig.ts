/**
 * Rules for a node's whole machine configuration, beyond what merging rejects: checked once, on the merged result, whatever the form of its patches. Pure;
 * compared with talosctl, the machinery of 1.14 and kube-apiserver in test/tools/judgeMachinery.test.ts.
 */
import { isLeaf, isTreeList, textOf, treeAt, type Tree, type TreeMap } from "./configTree.ts";
import { sameMeaning } from "./configMeaning.ts";
import { Configuration, inMainDocument, type Finding, type Place } from "./configuration.ts";
import { CONTROL_PLANE_KINDS } from "./documentKinds.ts";
import { nodeMetadataFindings } from "./nodeMetadata.ts";
import { podSecurityFindings } from "./podSecurity.ts";

/** The purpose of the configuration, and the related settings. */
export interface ConfigExpectations {
  readonly role: "controlplane" | "worker";
  /** The installer image from the settings. */
  readonly image?: string | undefined;
  /** The host name from the settings. */
  readonly hostname?: string | undefined;
  /** What already exempts a namespace: `Talos already exempts it`. */
  readonly exempter?: ((namespace: string) => string) | undefined;
  /** The configuration before the user's patches, which must not change its secrets. */
  readonly before?: readonly TreeMap[] | undefined;
}

type Rule = (config: Configuration, judgement: ConfigExpectations) => Finding[];

/** All problems of a merged configuration. */
export function checkConfig(documents: readonly TreeMap[], judgement: ConfigExpectations): Finding[] {
  const config = new Configuration(documents);
  return RULES.flatMap((rule) => rule(config, judgement));
}

const flagAt = (config: Configuration, ...keys: string[]): boolean =>
  config.text(...keys)?.toLowerCase() === "true";

const roleRule: Rule = (config, { role: wanted }) => {
  const type = config.text("machine", "type");
  const types = wanted === "worker" ? ["worker"] : ["controlplane", "init"];
  if (type === undefined || types.includes(type)) return [];
  const reason = `machine.type ${JSON.stringify(type)} conflicts with the node's role, ${wanted}`;
  return [{ rule: "role", reason, places: [inMainDocument("machine", "type")] }];
};

const SECRETS: readonly (readonly string[])[] = [
  ["machine", "token"],
  ["machine", "ca"],
  ["cluster", "id"],
  ["cluster", "secret"],
  ["cluster", "token"],
  ["cluster", "ca"],
  ["cluster", "aggregatorCA"],
  ["cluster", "serviceAccount"],
  ["cluster", "secretboxEncryptionSecret"],
  ["cluster", "aescbcEncryptionSecret"],
  ["cluster", "etcd", "ca"],
];

// Contract v1.14 and newer: the document fields that come from the cluster's secrets.
const SECRET_DOCUMENTS: readonly Place[] = [
  { kind: "DiscoveryIdentityConfig", keys: [] },
  { kind: "KubeAPIServerCAConfig", keys: ["issuingCA"] },
  { kind: "KubeAggregatorCAConfig", keys: ["issuingCA"] },
  { kind: "KubeServiceAccountConfig", keys: ["issuer", "privateKey"] },
];

const secretsRule: Rule = (config, { before }) => {
  if (before === undefined) return [];
  const old = new Configuration(before);
  const value = (of: Configuration, { kind, keys }: Place): Tree | undefined =>
    kind === "" ? of.at(...keys) : treeAt(of.of(kind)[0], ...keys);
  return [...SECRETS.map((path) => inMainDocument(...path)), ...SECRET_DOCUMENTS]
    .filter((place) => !sameMeaning(value(old, place), value(config, place)))
    .map((place) => ({
      rule: "secrets",
      reason: `${[...(place.kind === "" ? [] : [place.kind]), ...place.keys].join(".")} is part of the cluster's secrets; set it through cluster.secrets`,
      places: [place],
    }));
};

const controlPlaneOnlyRule: Rule = (config, { role: wanted }) => {
  if (wanted !== "worker") return [];
  const kinds = config.documents.flatMap((document) => textOf(document, "kind") ?? []);
  return [
    ...(config.at("cluster", "etcd") === undefined
      ? []
      : [
          {
            rule: "etcd",
            reason: "cluster.etcd is for control planes only",
            places: [inMainDocument("cluster", "etcd")],
          },
        ]),
    ...kinds
      .filter((kind) => CONTROL_PLANE_KINDS.has(kind))
      .map((kind) => ({
        rule: "control-plane-document",
        reason: `document kind ${kind} is for control planes only`,
        places: [{ kind, keys: ["kind"] }],
      })),
  ];
};

const installSectionsRule: Rule = (config) =>
  config.at("machine", "install") === undefined || config.of("UnattendedInstallConfig").length === 0
    ? []
    : [
        {
          rule: "install",
          reason:
            "machine.install cannot be used with the UnattendedInstallConfig document of the configuration; patch that document instead",
          places: [inMainDocument("machine", "install"), { kind: "UnattendedInstallConfig", keys: ["kind"] }],
        },
      ];

const imageRule: Rule = (config, { image: wanted }) => {
  if (wanted === undefined) return [];
  const given: [Place, string | undefined][] = [
    [inMainDocument("machine", "install", "image"), config.text("machine", "install", "image")],
    ...config
      .of("UnattendedInstallConfig")
      .map((document): [Place, string | undefined] => [
        { kind: "UnattendedInstallConfig", keys: ["installer", "image"] },
        textOf(document, "installer", "image"),
      ]),
  ];
  return given.flatMap(([place, found]) =>
    found === undefined || found === wanted
      ? []
      : [
          {
            rule: "image",
            reason: `${place.keys.join(".")} ${found} conflicts with the installer image of the settings, ${wanted}; set talosVersion or image instead`,
            places: [place],
          },
        ],
  );
};

/** The kernel arguments of `machine.install`, and whether GRUB uses the image's instead (siderolabs/talos v1.13 grub/install.go). */
export function installKernelArguments(documents: readonly TreeMap[]): {
  args: string[];
  grubUseUKICmdline: boolean;
} {
  const config = new Configuration(documents);
  const list = config.at("machine", "install", "extraKernelArgs");
  return {
    args: isTreeList(list) ? list.flatMap((item) => (isLeaf(item) ? [item.text] : [])) : [],
    grubUseUKICmdline:
      flagAt(config, "machine", "install", "grubUseUKICmdline") ||
      // Without machine.install, the image's arguments are used (siderolabs/talos v1.14 78e378a48).
      config.of("UnattendedInstallConfig").length > 0,
  };
}

const kernelArgumentsRule: Rule = (config) => {
  const { args, grubUseUKICmdline } = installKernelArguments(config.documents);
  if (args.length === 0 || !grubUseUKICmdline) return [];
  return [
    {
      rule: "kernel-arguments",
      reason:
        "machine.install.extraKernelArgs cannot be used together with grubUseUKICmdline, which the configuration sets; " +
        "put the arguments in the schematic (customization.extraKernelArgs)",
      places: [
        inMainDocument("machine", "install", "extraKernelArgs"),
        inMainDocument("machine", "install", "grubUseUKICmdline"),
      ],
    },
  ];
};

const hostnameRule: Rule = (config, { hostname: wanted }) => {
  const old = inMainDocument("machine", "network", "hostname");
  const inDocument: Place = { kind: "HostnameConfig", keys: ["hostname"] };
  const findings: Finding[] = [];
  const say = (reason: string, ...places: Place[]): void =>
    void findings.push({ rule: "hostname", reason, places });
  const other = (name: string | undefined, place: Place): void => {
    if (wanted !== undefined && name !== undefined && name !== wanted)
      say(`hostname ${JSON.stringify(name)} conflicts with the node's own, ${wanted}`, place);
  };
  other(config.text("machine", "network", "hostname"), old);
  for (const document of config.of("HostnameConfig")) {
    const name = textOf(document, "hostname");
    const auto = textOf(document, "auto");
    other(name, inDocument);
    // Unlike YAML 1.1, Talos reads `off` as a string.
    if (name !== undefined && auto !== undefined && auto !== "off")
      say(`hostname conflicts with auto: ${auto} in the same document; add auto: "off"`, inDocument, {
        kind: "HostnameConfig",
        keys: ["auto"],
      });
    if (config.text("machine", "network", "hostname") !== undefined)
      say(
        "machine.network.hostname cannot be used with the HostnameConfig document of the configuration; patch that document instead",
        old,
        { kind: "HostnameConfig", keys: ["kind"] },
      );
    else if (flagAt(config, "machine", "features", "stableHostname"))
      say(
        "a HostnameConfig document cannot be used with machine.features.stableHostname, which the configuration sets; " +
          "patch machine.network.hostname",
        { kind: "HostnameConfig", keys: ["kind"] },
        inMainDocument("machine", "features", "stableHostname"),
      );
  }
  return findings;
};

const RULES: readonly Rule[] = [
  roleRule,
  secretsRule,
  controlPlaneOnlyRule,
  installSectionsRule,
  imageRule,
  kernelArgumentsRule,
  hostnameRule,
  nodeMetadataFindings,
  (config, { exempter }) => podSecurityFindings(config, exempter),
];
