/**
 * The patches a user brings, looked at before a node sees them: are they YAML, do they name what the role may have, do
 * they contradict what this program sets. What only Talos can judge is left to Talos.
 */
import { isMap, isScalar, isSeq, type Node } from "yaml";
import { CONTROL_PLANE_KINDS, KINDS_SINCE_1_14, KINDS_UP_TO_1_13 } from "./documentKinds.ts";
import { kindOf, nodeAt, PatchSource, type PatchDocument, type PatchProblem } from "./patchSource.ts";
import { EXEMPT_BY_TALOS } from "./patches.ts";
import { configurationForms, type ConfigurationForms } from "./features.ts";
import { contractAtLeast } from "./version.ts";

/** What the patches are for, and what this program sets itself. */
export interface UserPatchContext {
  /** Absent for patches of both roles: what only one of them refuses is passed over. */
  readonly role?: "controlplane" | "worker" | undefined;
  /** Absent where it is not known: what only some contracts refuse is passed over. */
  readonly contract?: string | undefined;
  /** The installer image that is set by settings. */
  readonly image?: string | undefined;
  /** The hostname that is set by settings. */
  readonly hostname?: string | undefined;
  /** The namespaces that are exempted by settings. */
  readonly namespaces?: readonly string[] | undefined;
}

/** Everything that is wrong with a node's patches, in their order; they are applied in this order. */
export function patchProblems(
  patches: readonly string[],
  context: UserPatchContext,
): readonly PatchProblem[] {
  const sources = patches.map((text, patch) => new PatchSource(text, patch));
  const parts = sources.flatMap((source) => source.parts());
  const set = new PatchSet(parts, context);
  return [...sources.flatMap(({ problems }) => problems), ...set.problems()].sort(
    (a, b) => a.patch - b.patch || a.line - b.line,
  );
}

type Check = (part: PatchDocument) => PatchProblem[];

class PatchSet {
  readonly #parts: readonly PatchDocument[];
  readonly #context: UserPatchContext;

  constructor(parts: readonly PatchDocument[], context: UserPatchContext) {
    this.#parts = parts;
    this.#context = context;
  }

  problems(): PatchProblem[] {
    return [...this.#parts.flatMap((part) => this.#ofPart(part)), ...this.#namespaces()];
  }

  #ofPart(part: PatchDocument): PatchProblem[] {
    const { contents } = part.root;
    if (isSeq(contents)) return this.#jsonPatch(part);
    if (!isMap(contents))
      return [part.problem(contents ?? undefined, "must be a mapping, as a machine configuration is")];
    // A document that is deleted is neither checked for what it says nor does it contradict anything.
    if (part.root.get("$patch") === "delete") return this.#document(part);
    const kind = part.root.has("kind");
    const checks: Check[] = kind
      ? [this.#document, this.#hostnameDocument, this.#imageDocument]
      : [this.#v1alpha1, ...this.#v1alpha1Checks];
    return checks.flatMap((check) => check(part));
  }

  readonly #jsonPatch: Check = (part) => {
    const { contract } = this.#context;
    return isAtLeast(contract, 12)
      ? [
          part.problem(
            undefined,
            `is a JSON patch (RFC 6902), which Talos refuses for configurations of several documents, as contract ${contract} has; write it as a strategic merge patch`,
          ),
        ]
      : [];
  };

  readonly #document: Check = (part) => {
    const { role, contract } = this.#context;
    const { kind, node } = kindOf(part);
    const say = (reason: string): PatchProblem[] => [part.problem(node, reason)];
    if (part.root.get("apiVersion") !== "v1alpha1") return say(`document ${kind} needs apiVersion: v1alpha1`);
    if (!KINDS_UP_TO_1_13.has(kind) && !KINDS_SINCE_1_14.has(kind)) {
      return say(`document kind ${kind} is not known to Talos up to v1.14`);
    }
    if (KINDS_SINCE_1_14.has(kind) && contract !== undefined && !contractAtLeast(contract, 14)) {
      return say(
        `document kind ${kind} exists from v1.14 on; contract ${contract} has its content in the v1alpha1 document`,
      );
    }
    return role === "worker" && CONTROL_PLANE_KINDS.has(kind)
      ? say(`document kind ${kind} is for control planes only`)
      : [];
  };

  readonly #hostnameDocument: Check = (part) => {
    if (kindOf(part).kind !== "HostnameConfig" || !part.root.has("hostname")) return [];
    const name = part.root.get("hostname");
    const problems = this.#otherHostname(part, ["hostname"], name);
    // `auto: off` is text here, as YAML 1.2 and Talos read it.
    if (part.root.get("auto") === "off" || !isAtLeast(this.#context.contract, 12)) return problems;
    return [
      ...problems,
      part.problem(
        nodeAt(part, ["hostname"]),
        `hostname excludes the auto: stable that contract ${this.#context.contract} generates; add auto: "off"`,
      ),
    ];
  };

  #otherHostname(part: PatchDocument, path: readonly string[], name: unknown): PatchProblem[] {
    const { hostname } = this.#context;
    if (hostname === undefined || name === hostname) return [];
    return [
      part.problem(
        nodeAt(part, path),
        `hostname ${JSON.stringify(name)} contradicts the node's own, ${hostname}`,
      ),
    ];
  }

  readonly #imageDocument: Check = (part) =>
    kindOf(part).kind === "UnattendedInstallConfig" ? this.#otherImage(part, ["installer", "image"]) : [];

  #otherImage(part: PatchDocument, path: readonly string[]): PatchProblem[] {
    const { image } = this.#context;
    const given = part.root.getIn(path);
    if (image === undefined || given === undefined || given === image) return [];
    const reason = `${path.join(".")} contradicts the installer image of the settings, ${image}; set talosVersion or image instead`;
    return [part.problem(nodeAt(part, path), reason)];
  }

  readonly #v1alpha1: Check = (part) => {
    const known = ["version", "debug", "persist", "machine", "cluster", "$patch"];
    const { contents } = part.root;
    if (!isMap(contents)) return [];
    return contents.items.flatMap(({ key }) => {
      const name = isScalar(key) ? String(key.value) : "";
      if (known.includes(name)) return [];
      return [
        part.problem(
          isScalar(key) ? key : undefined,
          `${name} is no section of a machine configuration (machine, cluster)`,
        ),
      ];
    });
  };

  readonly #v1alpha1Checks: readonly Check[] = [
    (part) => {
      const type = part.root.getIn(["machine", "type"]);
      const { role } = this.#context;
      if (type === undefined || role === undefined || type === role) return [];
      return [
        part.problem(
          nodeAt(part, ["machine", "type"]),
          `machine.type ${JSON.stringify(type)} contradicts the node's role, ${role}`,
        ),
      ];
    },
    (part) =>
      SECRETS.filter((path) => part.root.hasIn(path)).map((path) =>
        part.problem(
          nodeAt(part, path),
          `${path.join(".")} belongs to the cluster's secrets; bring them along by cluster.secrets`,
        ),
      ),
    (part) => {
      const etcd = part.root.getIn(["cluster", "etcd"]);
      if (this.#context.role !== "worker" || etcd === undefined) return [];
      return [part.problem(nodeAt(part, ["cluster", "etcd"]), "cluster.etcd is for control planes only")];
    },
    (part) => {
      const install = ["machine", "install"];
      if (!part.root.hasIn(install)) return [];
      const { contract } = this.#context;
      if (formsOf(contract).install === "v1alpha1") return this.#otherImage(part, [...install, "image"]);
      const reason = `machine.install cannot be used with the UnattendedInstallConfig document of contract ${contract}; patch that one`;
      return [part.problem(nodeAt(part, install), reason)];
    },
    (part) => {
      const path = ["machine", "install", "extraKernelArgs"];
      const { contract } = this.#context;
      const uki = ["machine", "install", "grubUseUKICmdline"];
      const released = this.#parts.some(({ root }) => isMap(root.contents) && root.getIn(uki) === false);
      if (!part.root.hasIn(path) || released || !isAtLeast(contract, 12)) return [];
      const reason =
        `machine.install.extraKernelArgs cannot be used together with grubUseUKICmdline, which contract ${contract} sets; ` +
        "put the arguments into the schematic, customization.extraKernelArgs";
      return [part.problem(nodeAt(part, path), reason)];
    },
    (part) => {
      const path = ["machine", "network", "hostname"];
      const name = part.root.getIn(path);
      if (name === undefined) return [];
      const { contract } = this.#context;
      const deleted = this.#parts.some(
        (other) => kindOf(other).kind === "HostnameConfig" && other.root.get("$patch") === "delete",
      );
      if (formsOf(contract).hostname === "v1alpha1" || deleted) return this.#otherHostname(part, path, name);
      const reason = `machine.network.hostname cannot be used with the HostnameConfig document of contract ${contract}; patch that one`;
      return [part.problem(nodeAt(part, path), reason)];
    },
    (part) => {
      const path = ["cluster", "apiServer", "admissionControl"];
      const { contract } = this.#context;
      if (!part.root.hasIn(path) || formsOf(contract).admission === "v1alpha1") return [];
      const reason =
        "cluster.apiServer.admissionControl cannot be used with the KubeAdmissionControlConfig document of contract " +
        `${contract}; patch that one`;
      return [part.problem(nodeAt(part, path), reason)];
    },
  ];

  /** Lists are appended without a look, and a namespace that stands there twice keeps kube-apiserver from starting. */
  #namespaces(): PatchProblem[] {
    const seen = new Map<string, string>([[EXEMPT_BY_TALOS, "Talos exempts it by itself"]]);
    for (const name of this.#context.namespaces ?? []) seen.set(name, "the settings exempt it");
    return this.#parts.flatMap((part) =>
      exemptions(part).flatMap((node) => {
        const name = isScalar(node) ? String(node.value) : "";
        const reason = seen.get(name);
        seen.set(name, "another patch exempts it");
        if (reason === undefined) return [];
        return [
          part.problem(
            node,
            `namespace ${name} must not be exempted again (${reason}): kube-apiserver does not start with a namespace listed twice`,
          ),
        ];
      }),
    );
  }
}

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

function isAtLeast(contract: string | undefined, minor: number): boolean {
  return contract !== undefined && contractAtLeast(contract, minor);
}

/** Without a contract the oldest forms, which exclude nothing. */
function formsOf(contract = "v1.0"): ConfigurationForms {
  return configurationForms(contract);
}

function exemptions(part: PatchDocument): Node[] {
  const { root } = part;
  if (!isMap(root.contents)) return [];
  const inPlugin = ["configuration", "exemptions", "namespaces"];
  const plugins = root.getIn(["cluster", "apiServer", "admissionControl"]);
  const lists = isSeq(plugins)
    ? plugins.items.map((plugin) => (isMap(plugin) ? plugin.getIn(inPlugin) : undefined))
    : [];
  if (kindOf(part).kind === "KubeAdmissionControlConfig") lists.push(root.getIn(inPlugin));
  return lists.filter((list) => isSeq(list)).flatMap(({ items }) => items.filter((item) => isScalar(item)));
}
