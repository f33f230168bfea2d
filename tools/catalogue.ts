import type semver from "semver";
import { parseVersion } from "./pins.ts";

/** A real program that the lab and the tests run. */
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

/** A Go module under tools/ that pins the version of the tools built from it. */
export interface ToolModule {
  /** Folder under tools/ with go.mod and go.sum. */
  readonly folder: string;
  /** The required module that determines the tools' version. */
  readonly source: string;
  /** Linker flags for that version. Without them, a tool reports itself as a development build. */
  readonly ldflags: (version: string) => string;
  /** Folder inside the module with our own program. Its sources are part of the build's hash. */
  readonly own?: string;
  /** Estimated share of a full cold build. Only used to start the long builds first. */
  readonly weight: number;
}

export interface Tool {
  readonly name: ToolName;
  readonly module: ToolModule;
  /** Import path of the main package. */
  readonly package: string;
  /** Arguments that print the version without touching the network or a cluster. */
  readonly versionArguments: readonly string[];
  /** Matches the version in the output; the first group is the version. */
  readonly versionPattern: RegExp;
  /** File name of the built program. Default: the tool's name. */
  readonly binary?: string;
  /** Built only when requested by name, not when all tools are built. */
  readonly onlyByName?: true;
  /** Range of versions accepted from PATH instead of the pinned one. */
  readonly fitting: (pinned: semver.SemVer) => string;
  /** For a provider plugin: the folder of its Node.js SDK. If the published plugin of the SDK's version is installed, it takes precedence. */
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
  // No -X: `version --client` and the image defaults of `gen config` read the tag that the machinery module embeds
  // (pkg/machinery/gendata/data/tag). It is assigned at startup and would overwrite a value set with -X.
  ldflags: () => stripped,
  weight: 4,
};

const kubernetes: ToolModule = {
  folder: "kubernetes",
  source: "k8s.io/kubernetes",
  // Both packages hold a copy (kubernetes hack/lib/version.sh): a component reports the first as its version and
  // sends the second in its user agent.
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

/** The next patch release. A nightly test upgrades a cluster from the pinned one to this one. */
const kubernetesNext: ToolModule = { ...kubernetes, folder: "kubernetesnext" };

const etcd: ToolModule = {
  folder: "etcd",
  source: "go.etcd.io/etcd/server/v3",
  ldflags: () => stripped,
  weight: 1,
};

/** The etcd of Talos 1.14. No lab runs it; a test checks the etcd version rules against it. */
const etcd37: ToolModule = { ...etcd, folder: "etcd37" };

const kwok: ToolModule = {
  folder: "kwok",
  source: "sigs.k8s.io/kwok",
  ldflags: () => stripped,
  weight: 2,
};

/** Lints the workflows under .github/ in a test. */
const actionlint: ToolModule = {
  folder: "actionlint",
  source: "github.com/rhysd/actionlint",
  ldflags: () => stripped,
  weight: 1,
};

const kubernetesPlugin: ToolModule = {
  folder: "kubernetesplugin",
  source: "github.com/pulumi/pulumi-kubernetes/provider/v4",
  // The module version is a commit, not a release. The plugin reports it, so the engine warns that it differs from the SDK's version.
  ldflags: (version) =>
    `${stripped} -X github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version=${version.slice(1)}`,
  own: ".",
  weight: 6,
};

/** Runs YAML programs that use the component package. No lab needs it. */
const yaml: ToolModule = {
  folder: "yaml",
  source: "github.com/pulumi/pulumi-yaml",
  ldflags: (version) => `${stripped} -X main.version=${version}`,
  own: ".",
  weight: 2,
};

/** Generates SDKs in place of the language hosts, which no registry offers. A nightly test runs it. */
const codegen: ToolModule = {
  folder: "codegen",
  source: "github.com/pulumi/pulumi/pkg/v3",
  ldflags: (version) => `${stripped} -X main.version=${version}`,
  own: ".",
  weight: 1,
};

/** Programs with separate releases that share one module's folder, so that Go's cache covers what they have in common. */
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
/** Our own program. Its version is that of the CSI specification. */
const driver: ToolModule = {
  ...csiModule("github.com/container-storage-interface/spec", 0.3),
  own: "driver",
};

const sameMinor = ({ major, minor }: semver.SemVer): string =>
  `>=${major}.${minor}.0 <${major}.${minor + 1}.0`;

/** kubectl supports an API server one minor version older or newer (Kubernetes version skew policy). */
const kubectlSkew = ({ major, minor }: semver.SemVer): string =>
  `>=${major}.${minor - 1}.0 <${major}.${minor + 2}.0`;

/** The engine's protocol is stable within a major version; versions older than the pin are untested with this SDK. */
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

/** All tool names, in display order. */
export const toolNames = Object.keys(tools) as ToolName[];

/** The tools to build when none are named. */
export const usualToolNames = toolNames.filter((name) => tools[name].onlyByName !== true);
