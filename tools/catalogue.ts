import type semver from "semver";
import { parseVersion } from "./pins.ts";

/** A real program that the lab and its tests run. */
export type ToolName =
  | "pulumi"
  | "talosctl"
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-scheduler"
  | "kube-apiserver-next"
  | "kube-controller-manager-next"
  | "kube-scheduler-next"
  | "kubectl"
  | "etcd"
  | "etcd37"
  | "kwok"
  | "actionlint"
  | "pulumi-resource-kubernetes"
  | "pulumi-language-yaml"
  | "pulumi-language-codegen"
  | "csi-driver"
  | "csi-sanity"
  | "csi-provisioner"
  | "csi-attacher"
  | "csi-snapshotter"
  | "csi-resizer"
  | "snapshot-controller";

/** One Go module under tools/: it pins the version of the tools that are built from it. */
export interface ToolModule {
  /** Folder under tools/ with go.mod and go.sum. */
  readonly folder: string;
  /** The required module whose version is the version of the tools. */
  readonly source: string;
  /** Linker flags for that version. A tool that is not told its version calls itself a development build. */
  readonly ldflags: (version: string) => string;
  /** Folder inside the module with a program of ours: its files decide what is built, too. */
  readonly own?: string;
  /** Estimated share of the whole cold build, only to start the long builds first. */
  readonly weight: number;
}

export interface Tool {
  readonly name: ToolName;
  readonly module: ToolModule;
  /** The main package, an import path. */
  readonly package: string;
  /** Arguments that make the binary print its version without touching the network or a cluster. */
  readonly versionArguments: readonly string[];
  /** Finds the version in what the binary printed; the first group is the version. */
  readonly versionPattern: RegExp;
  /** File name of the built program. Default: the tool's name. */
  readonly binary?: string;
  /** Only where somebody asks for it by name: left out of a build of all tools. */
  readonly onlyByName?: true;
  /** Range of versions that may be taken from PATH in place of the pinned one. */
  readonly fitting: (pinned: semver.SemVer) => string;
  /** A provider plugin: folder of its Node SDK. The published plugin of that version, where it is installed, comes before all others. */
  readonly sdk?: string;
}

const stripped = "-s -w";

const pulumi: ToolModule = {
  folder: "pulumi",
  source: "github.com/pulumi/pulumi/pkg/v3",
  ldflags: (version) => `${stripped} -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=${version}`,
  weight: 3,
};

const talosctl: ToolModule = {
  folder: "talosctl",
  source: "github.com/siderolabs/talos",
  // No -X: the machinery module embeds its own tag (pkg/machinery/gendata/data/tag), which `version --client`
  // and the image defaults of `gen config` read; the variable is filled at start, after what -X would set.
  ldflags: () => stripped,
  weight: 4,
};

const kubernetes: ToolModule = {
  folder: "kubernetes",
  source: "k8s.io/kubernetes",
  // Both packages carry a copy (kubernetes hack/lib/version.sh): the first is what a component says of itself,
  // the second what it sends as its user agent.
  ldflags: (version) => {
    const { major, minor } = parseVersion(version);
    const fields = [
      `gitVersion=${version}`,
      `gitMajor=${major}`,
      `gitMinor=${minor}`,
      "gitTreeState=archive",
      "gitCommit=",
    ];
    const packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
    return [stripped, ...packages.flatMap((name) => fields.map((field) => `-X ${name}.${field}`))].join(" ");
  },
  weight: 5,
};

/** The next patch release: a test of the night takes a cluster from one to the other. */
const kubernetesNext: ToolModule = { ...kubernetes, folder: "kubernetesnext" };

const etcd: ToolModule = {
  folder: "etcd",
  source: "go.etcd.io/etcd/server/v3",
  ldflags: () => stripped,
  weight: 1,
};

/** The etcd of Talos 1.14: no lab runs it, a test holds what is known of etcd's versions against it. */
const etcd37: ToolModule = { ...etcd, folder: "etcd37" };

const kwok: ToolModule = {
  folder: "kwok",
  source: "sigs.k8s.io/kwok",
  ldflags: () => stripped,
  weight: 2,
};

/** Judges the workflows under .github/; a test runs it. */
const actionlint: ToolModule = {
  folder: "actionlint",
  source: "github.com/rhysd/actionlint",
  ldflags: () => stripped,
  weight: 1,
};

const kubernetesPlugin: ToolModule = {
  folder: "kubernetesplugin",
  source: "github.com/pulumi/pulumi-kubernetes/provider/v4",
  // The module is a commit, not a release, and the engine is told so: it warns that this is not the version of the SDK.
  ldflags: (version) =>
    `${stripped} -X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=${version.slice(1)}`,
  own: ".",
  weight: 6,
};

/** Runs a program in YAML that uses the component package; no lab needs it. */
const yaml: ToolModule = {
  folder: "yaml",
  source: "github.com/pulumi/pulumi-yaml",
  ldflags: (version) => `${stripped} -X main.version=${version}`,
  own: ".",
  weight: 2,
};

/** Writes SDKs in place of the language hosts, which no registry has; a test of the night runs it. */
const codegen: ToolModule = {
  folder: "codegen",
  source: "github.com/pulumi/pulumi/pkg/v3",
  ldflags: (version) => `${stripped} -X main.version=${version}`,
  own: ".",
  weight: 1,
};

/** The programs of one module that have releases of their own: they share its folder, and Go's cache what they have in common. */
const csiModule = (source: string, weight: number, version = "main.version"): ToolModule => ({
  folder: "csi",
  source,
  ldflags: (release) => `${stripped} -X ${version}=${release}`,
  weight,
});

const provisioner = csiModule("github.com/kubernetes-csi/external-provisioner/v6", 2);
const attacher = csiModule("github.com/kubernetes-csi/external-attacher/v4", 0.2);
const snapshotter = csiModule("github.com/kubernetes-csi/external-snapshotter/v8", 0.3);
const resizer = csiModule("github.com/kubernetes-csi/external-resizer/v2", 0.2);
const sanity = csiModule("github.com/kubernetes-csi/csi-test/v5", 0.3, "main.VERSION");
/** Ours; its version is that of the CSI specification. */
const driver: ToolModule = {
  ...csiModule("github.com/container-storage-interface/spec", 0.3),
  own: "driver",
};

const sameMinor = ({ major, minor }: semver.SemVer): string =>
  `>=${major}.${minor}.0 <${major}.${minor + 1}.0`;

/** kubectl serves an API server one minor version older or newer (Kubernetes version skew policy). */
const kubectlSkew = ({ major, minor }: semver.SemVer): string =>
  `>=${major}.${minor - 1}.0 <${major}.${minor + 2}.0`;

/** The engine keeps its protocol through a major version; older than the pin was not tried with this SDK. */
const pinnedOrNewer = (pinned: semver.SemVer): string => `>=${pinned.version} <${pinned.major + 1}.0.0`;

const exactVersion = (pinned: semver.SemVer): string => pinned.version;

const kubernetesServer = (name: ToolName): Tool => ({
  name,
  module: kubernetes,
  package: `k8s.io/kubernetes/cmd/${name}`,
  versionArguments: ["--version"],
  versionPattern: /^Kubernetes (v\S+)/m,
  fitting: sameMinor,
});

const nextKubernetesServer = (binary: ToolName): Tool => ({
  ...kubernetesServer(binary),
  name: `${binary}-next` as ToolName,
  module: kubernetesNext,
  fitting: exactVersion,
  binary,
  onlyByName: true,
});

const sidecarTool = (name: ToolName, module: ToolModule): Tool => ({
  name,
  module,
  package: `${module.source}/cmd/${name}`,
  versionArguments: ["--version"],
  versionPattern: /(?:csi-[a-z]+|snapshot-controller|Version =) (v\S+)/m,
  fitting: exactVersion,
});

/** Every tool, by name. */
export const tools: Readonly<Record<ToolName, Tool>> = {
  pulumi: {
    name: "pulumi",
    module: pulumi,
    package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    versionArguments: ["version"],
    versionPattern: /^(v\d\S*)$/m,
    fitting: pinnedOrNewer,
  },
  talosctl: {
    name: "talosctl",
    module: talosctl,
    package: "github.com/siderolabs/talos/cmd/talosctl",
    versionArguments: ["version", "--client"],
    versionPattern: /^\s*Tag:\s+(v\S+)/m,
    fitting: sameMinor,
  },
  "kube-apiserver": kubernetesServer("kube-apiserver"),
  "kube-controller-manager": kubernetesServer("kube-controller-manager"),
  "kube-scheduler": kubernetesServer("kube-scheduler"),
  "kube-apiserver-next": nextKubernetesServer("kube-apiserver"),
  "kube-controller-manager-next": nextKubernetesServer("kube-controller-manager"),
  "kube-scheduler-next": nextKubernetesServer("kube-scheduler"),
  kubectl: {
    name: "kubectl",
    module: kubernetes,
    package: "k8s.io/kubernetes/cmd/kubectl",
    versionArguments: ["version", "--client"],
    versionPattern: /^Client Version: (v\S+)/m,
    fitting: kubectlSkew,
  },
  etcd: {
    name: "etcd",
    module: etcd,
    package: "go.etcd.io/etcd/server/v3",
    versionArguments: ["--version"],
    versionPattern: /^etcd Version: (\S+)/m,
    fitting: sameMinor,
  },
  etcd37: {
    name: "etcd37",
    module: etcd37,
    package: "go.etcd.io/etcd/server/v3",
    versionArguments: ["--version"],
    versionPattern: /^etcd Version: (\S+)/m,
    fitting: sameMinor,
  },
  kwok: {
    name: "kwok",
    module: kwok,
    package: "sigs.k8s.io/kwok/cmd/kwok",
    versionArguments: ["--version"],
    versionPattern: /^kwok version (v\S+)/m,
    fitting: sameMinor,
  },
  actionlint: {
    name: "actionlint",
    module: actionlint,
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    versionArguments: ["-version"],
    versionPattern: /^(v\d\S*)/m,
    fitting: sameMinor,
  },
  "pulumi-resource-kubernetes": {
    name: "pulumi-resource-kubernetes",
    module: kubernetesPlugin,
    package: "talos-iscsi.invalid/tools/kubernetesplugin",
    versionArguments: ["--version"],
    versionPattern: /^pulumi-kubernetes (\S+)/m,
    fitting: exactVersion,
    sdk: "node_modules/@pulumi/kubernetes",
  },
  "pulumi-language-yaml": {
    name: "pulumi-language-yaml",
    module: yaml,
    package: "talos-iscsi.invalid/tools/yaml",
    versionArguments: ["--version"],
    versionPattern: /^pulumi-language-yaml (\S+)/m,
    fitting: exactVersion,
  },
  "pulumi-language-codegen": {
    name: "pulumi-language-codegen",
    module: codegen,
    package: "talos-iscsi.invalid/tools/codegen",
    versionArguments: ["--version"],
    versionPattern: /^pulumi-language-codegen (\S+)/m,
    fitting: exactVersion,
    onlyByName: true,
  },
  "csi-driver": { ...sidecarTool("csi-driver", driver), package: "talos-iscsi.invalid/tools/csi/driver" },
  "csi-sanity": sidecarTool("csi-sanity", sanity),
  "csi-provisioner": sidecarTool("csi-provisioner", provisioner),
  "csi-attacher": sidecarTool("csi-attacher", attacher),
  "csi-snapshotter": sidecarTool("csi-snapshotter", snapshotter),
  "csi-resizer": sidecarTool("csi-resizer", resizer),
  "snapshot-controller": sidecarTool("snapshot-controller", snapshotter),
};

/** All tool names, in the order in which they are listed to people. */
export const toolNames = Object.keys(tools) as ToolName[];

/** Those that are built where nobody names any. */
export const usualToolNames = toolNames.filter((name) => tools[name].onlyByName !== true);
