import { z } from "zod";
import { section } from "../components/csi/fields.ts";
import { parseContract, parseVersion, VersionError } from "../talos/version.ts";
import { isAgeRecipient } from "./age.ts";
import { diskSelector } from "./disk.ts";
import { image, imageName, images } from "./imageSettings.ts";
import { labels, taints } from "./nodeLabels.ts";
import { byPool, poolName, poolsSchema } from "./pools.ts";
import { network, vip } from "./network.ts";
import { hostPattern, isHost, isUrl } from "./hosts.ts";
import { checkHardware, nodeEndpoint, renewCredentials, talosEndpoints } from "./reaching.ts";
import { gatesOf } from "./gates.ts";
import { kubernetesReleasesOf, releasesOf, through } from "./through.ts";
import { outsideWindow, windows } from "./windows.ts";
import { flag, must, mustUnseen } from "./words.ts";

/**
 * The shape of a stack's settings (`Pulumi.<stack>.yaml` without the project's prefix): keys, types, defaults and
 * what each value must look like. Rules that concern several keys at once are in `rules.ts`.
 */

/** Whether a version or contract can be read. */
export const readable = (parse: (text: string) => unknown) => (text: string) => {
  try {
    parse(text);
    return true;
  } catch (error) {
    if (error instanceof VersionError) return false;
    throw error;
  }
};

const durationText = "a duration such as 90s, 5m or 1h30m";
/** Longer than any upgrade takes, and far below where timers overflow (2^31 ms). */
const longestDuration = 24 * 3600;

/** Seconds in a duration written as Go and Talos write it: `90s`, `5m`, `1h30m`. Undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  if (!match || text === "") return undefined;
  const [hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
  ];
  return hours * 3600 + minutes * 60 + seconds;
}

/** A duration in the file, seconds in the settings. */
const duration = (byDefault: string) =>
  z
    .string(must(durationText))
    .refine(
      (text) => {
        const seconds = parseDuration(text) ?? 0;
        return seconds > 0 && seconds <= longestDuration;
      },
      must(`${durationText}, greater than zero and at most 24h`),
    )
    .default(byDefault)
    .transform((text) => parseDuration(text) ?? 0);

const talosVersion = z
  .string(must("a Talos release such as v1.13.9"))
  .refine(readable(parseVersion), must("a Talos release in full and with its v, such as v1.13.9"));

const kubernetesVersion = z
  .string(must("a Kubernetes release such as v1.35.4"))
  .regex(
    /^v(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-(alpha|beta|rc)\.\d+)?$/,
    must("a Kubernetes release in full and with its v, such as v1.35.4"),
  );

function isCidr(text: string): boolean {
  return z.cidrv4().safeParse(text).success || z.cidrv6().safeParse(text).success;
}

const cidrs = z
  .array(
    z.string(must("a CIDR such as 10.244.0.0/16")).refine(isCidr, must("a CIDR such as 10.244.0.0/16")),
    must("a list of CIDRs"),
  )
  .min(1, must("a list of at least one CIDR"));

const patchText = "a machine configuration patch: a YAML text or a mapping";

/** A patch as a person writes it (a YAML text or a mapping); `rules.ts` checks what it says. */
const patch = z.union(
  [
    z.string(),
    z.record(z.string(), z.unknown()).refine((map) => Object.keys(map).length > 0, mustUnseen(patchText)),
  ],
  mustUnseen(patchText),
);
const patches = z.array(patch, mustUnseen("a list of machine configuration patches")).default([]);

const documentText = "a machine configuration document: a YAML text or a mapping with a kind";

/** A document as a person writes it; `documents.ts` checks what it says. */
const documents = z
  .array(
    z.union(
      [
        z.string(),
        z
          .record(z.string(), z.unknown())
          .refine((map) => Object.keys(map).length > 0, mustUnseen(documentText)),
      ],
      mustUnseen(documentText),
    ),
    mustUnseen("a list of machine configuration documents"),
  )
  .default([]);

const onRemove = z.enum(["keep", "reset"], must("keep or reset"));

const file = (what: string) =>
  z
    .string(must(`the path of ${what}, from the project's folder`))
    .min(1, must(`the path of ${what}`))
    .optional();
/** Contents that may be secret: the value never appears in a message. */
const contents = (what: string) =>
  z.string({ error: () => `must be the contents of ${what}, as text` }).optional();

const node = section({
  name: z
    .string(must("the node's name, such as cp1"))
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      must("a host name: lower-case letters, digits and dashes, at most 63"),
    )
    .describe("Name of the node: its host name, and part of the names of its resources."),
  address: z
    .string(must("an IP address or DNS name of the node's Talos API"))
    .refine(isHost, must("an IP address or DNS name, without a port"))
    .describe(
      "IP address or DNS name of the node. Its Talos API is reached there on port 50000, unless an endpoint says otherwise.",
    ),
  endpoint: nodeEndpoint,
  role: z
    .enum(["controlplane", "worker"], must("controlplane or worker"))
    .describe("What the node is: controlplane or worker."),
  talosVersion: talosVersion.optional().describe("Talos release of this node alone; default: talosVersion."),
  installDisk: z
    .string(must("the device to install to, such as /dev/nvme0n1"))
    .startsWith("/dev/", must("the device to install to, such as /dev/nvme0n1"))
    .optional()
    .describe("Disk that Talos is installed to; default: what the machine configuration has (/dev/sda)."),
  pool: poolName
    .optional()
    .describe("Name of the pool under cluster.pools that the node is in; default: none."),
  labels: labels.describe("Labels of the Kubernetes node, besides those of its pool."),
  taints: taints.describe(
    "Taints of the Kubernetes node, besides those of its pool, as Talos writes them: `nvidia.com/gpu: present:NoSchedule`.",
  ),
  image: imageName.optional().describe("Name of the image under images that the node runs; default: image."),
  iscsi: flag()
    .default(true)
    .describe(
      "Whether the node reaches iSCSI storage. Without it its image needs no iscsi-tools, and no driver runs there.",
    ),
  diskSelector: diskSelector
    .optional()
    .describe("Disk that Talos is installed to by what it is, in place of installDisk. Talos's own fields."),
  hostname: z
    .string(must("a host name such as cp1"))
    .regex(hostPattern, must("a host name such as cp1 or cp1.example.org"))
    .optional()
    .describe(
      "Host name to set; default: the node's name on a new cluster, nothing on an adopted one. Give it to nodes that join an adopted cluster.",
    ),
  network: network.optional().describe("Static addresses and name servers; default: DHCP on every link."),
  documents: documents.describe(
    "Whole machine configuration documents for this node alone, such as UserVolumeConfig or ExtensionServiceConfig.",
  ),
  config: contents("the node's machine configuration").describe(
    "Contents of this node's own machine configuration, on a running cluster: all that is in it stays. Set it with --secret.",
  ),
  configFile: file("the node's machine configuration").describe(
    "Path of this node's own machine configuration instead of its contents.",
  ),
  patches: patches.describe("Machine configuration patches for this node alone, applied last."),
  onRemove: onRemove
    .optional()
    .describe(
      "What happens to the machine when the node is taken out of the settings: keep or reset; default: cluster.onRemove.",
    ),
});

const secrets = section({
  bundle: contents("secrets.yaml").describe(
    "Contents of the secrets bundle (`talosctl gen secrets`). Set it with --secret.",
  ),
  bundleFile: file("secrets.yaml").describe("Path of the secrets bundle instead of its contents."),
  controlplane: contents("controlplane.yaml").describe(
    "Contents of the control planes' machine configuration, in place of a bundle: all that is in it stays. Set it with --secret.",
  ),
  controlplaneFile: file("controlplane.yaml").describe(
    "Path of the control planes' machine configuration instead of its contents.",
  ),
  worker: contents("worker.yaml").describe(
    "Contents of the workers' machine configuration, beside that of the control planes. Set it with --secret.",
  ),
  workerFile: file("worker.yaml").describe(
    "Path of the workers' machine configuration instead of its contents.",
  ),
  talosconfig: contents("talosconfig").describe(
    "Contents of the cluster's talosconfig. Set it with --secret.",
  ),
  talosconfigFile: file("talosconfig").describe("Path of the talosconfig instead of its contents."),
});

const cluster = section({
  name: z
    .string(must("the cluster's name"))
    .regex(
      /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
      must("letters, digits, dashes, dots and underscores, at most 63"),
    )
    .describe("Name of the cluster, as in its machine configuration and talosconfig."),
  endpoint: z
    .string(must("the Kubernetes API's URL, such as https://10.0.0.10:6443"))
    .refine(
      (text) => isUrl(text, ["https"]),
      must("an https URL of host and port alone, such as https://10.0.0.10:6443"),
    )
    .describe("URL of the Kubernetes API: a load balancer, a virtual IP or a control plane."),
  nodes: z
    .array(node, must("a list of nodes"))
    .min(1, must("a list of nodes with at least one control plane"))
    .describe("Every node of the cluster; the first control plane is the one that bootstraps a new cluster."),
  pools: poolsSchema({
    patches: patches.describe("Machine configuration patches for its nodes, before those of a node."),
    documents: documents.describe("Whole machine configuration documents for its nodes."),
    talosVersion: talosVersion.optional().describe("Talos release of its nodes; default: talosVersion."),
  }),
  talosEndpoints,
  secrets: secrets
    .optional()
    .describe(
      "Secrets of a running cluster that you adopt. Absent: the cluster is new, and its secrets are generated.",
    ),
  onRemove: onRemove
    .default("keep")
    .describe(
      "What happens to the machine of a node that is taken out of the settings: keep leaves it alone; reset drains it, takes it out of etcd and Kubernetes, and wipes its configuration and data.",
    ),
  protectSecrets: flag()
    .default(true)
    .describe("Refuse to delete secrets that were made here, as `pulumi destroy` would."),
  acceptDropped: z
    .array(
      z.string(must("a path such as machine.sysctls")).min(1, must("a path such as machine.sysctls")),
      must("a list of paths"),
    )
    .default([])
    .describe(
      "Paths of the machine configuration, with all that is below them, that nodes may lose though they have them: machine.sysctls, RegistryMirrorConfig[docker.io].",
    ),
  checkHardware,
  renewCredentials,
  podSubnets: cidrs.optional().describe("Pod subnets; default: Talos's own (10.244.0.0/16)."),
  serviceSubnets: cidrs.optional().describe("Service subnets; default: Talos's own (10.96.0.0/12)."),
  vip: vip
    .optional()
    .describe("A virtual IP that the control planes share, for cluster.endpoint; default: none."),
  documents: section({ all: documents, controlplane: documents, worker: documents })
    .prefault({})
    .describe("Whole machine configuration documents for all nodes, control planes or workers."),
  patches: section({ all: patches, controlplane: patches, worker: patches })
    .prefault({})
    .describe(
      "Machine configuration patches for all nodes, control planes or workers, before those of a node.",
    ),
});

const percentage = /^(100|[1-9]\d?)%$/;
const shareText =
  "a number of nodes, at least 1, or a percentage of the workers from 1% to 100%, such as 25%";

const share = z
  .union([z.number(), z.string()], must(shareText))
  // Not inside of the union: a union shows the complaint of the one member whose type fits, in words of its own.
  .refine(
    (value) =>
      typeof value === "number" ? Number.isSafeInteger(value) && value >= 1 : percentage.test(value),
    must(shareText),
  );

const upgrade = section({
  prePull: flag().default(true).describe("Fetch the image on every node before the first one is drained."),
  drain: section({
    enabled: flag().default(true).describe("Drain a node before it is upgraded (never on a single node)."),
    timeout: duration("5m").describe("How long pods and volumes may take to leave a node."),
    whenBlocked: z
      .enum(["stop", "delete"], must("stop or delete"))
      .default("stop")
      .describe("Pods held by a budget: `stop` at `timeout`, or `delete` them after `blockedTimeout`."),
    blockedTimeout: duration("2m").describe("How long a budget may hold a pod with `whenBlocked: delete`."),
    leftoverSessions: z
      .enum(["refuse", "warn"], must("refuse or warn"))
      .default("warn")
      .describe("iSCSI sessions that no attachment explains: `warn` and reboot, or `refuse`."),
  }).prefault({}),
  workers: section({
    maxUnavailable: share
      .default(1)
      .describe(
        "How many workers may be unavailable at the same time: a number or a percentage (rounded down, at least one). Workers that are cordoned or not ready already count.",
      ),
  }).prefault({}),
  pools: byPool(
    section({
      maxUnavailable: share
        .optional()
        .describe(
          "As upgrade.workers.maxUnavailable, for the workers of this pool alone; default: the same.",
        ),
      order: z
        .int(must("a whole number"))
        .default(0)
        .describe(
          "When its workers are upgraded: pools with a lower number come first, those with the same in the order of their first node. Workers in no pool have 0.",
        ),
    }),
    "a mapping of pools by name",
  )
    .default({})
    .describe("How the workers of a pool are upgraded. One pool begins when the one before it is done."),
  gates: gatesOf(duration),
  windows,
  outsideWindow,
  storageGate: section({
    enabled: flag()
      .optional()
      .describe("Wait for storage before the next node. Default: where JovianDSS or Synology is deployed."),
    timeout: duration("5m").describe("How long storage may take to be well again."),
  }).prefault({}),
  timeout: duration("30m").describe("How long each step of a node may take."),
  configurationTimeout: duration("10m").describe(
    "How long control planes may take to be well: the others before a machine configuration changes, and all of them after it.",
  ),
  through,
  releases: releasesOf(talosVersion),
  allowSkew: flag()
    .default(false)
    .describe("Allow a step over more than one Talos minor release, which Talos does not test."),
  etcdSnapshot: section({
    directory: z
      .string(must("a folder"))
      .trim()
      .min(1, must("a folder"))
      .describe("Folder for the snapshots, relative to the project's. Files have mode 0600."),
    keep: z
      .int(must("a number of snapshots, at least 1"))
      .min(1, must("a number of snapshots, at least 1"))
      .default(5)
      .describe("How many of this cluster's snapshots stay, the newest."),
    ageRecipients: z
      .array(
        z
          .string(must("an age recipient such as age1…"))
          .refine(isAgeRecipient, must("an age recipient such as age1…")),
        must("a list of age recipients"),
      )
      .default([])
      .describe(
        "age recipients (`age1…`) that can decrypt the snapshots. Without any they are in plain text, with every Secret of the cluster.",
      ),
  })
    .optional()
    .describe(
      "Take a snapshot of etcd through the Talos API before the first control plane of a rollout is disturbed.",
    ),
  kubernetes: section({
    acceptRemovedApis: flag()
      .default(false)
      .describe(
        "Upgrade Kubernetes although something still asks for APIs that the new release does not have. Without it the preview is refused, with their names.",
      ),
    releases: kubernetesReleasesOf(kubernetesVersion),
  }).prefault({}),
  etcdDowngrade: flag()
    .default(false)
    .describe(
      "Let etcd convert its data where the wanted Talos release runs an older etcd. Without it such a step back is refused.",
    ),
}).prefault({});

/** Everything that a stack's file may say, except what the CSI drivers add. */
export const baseShape = {
  talosVersion: talosVersion.describe("The Talos release that every node runs; a node may override it."),
  talosContract: z
    .string(must("a machine configuration contract such as v1.12"))
    .refine(readable(parseContract), must("major and minor release only and with its v, such as v1.12"))
    .optional()
    .describe(
      "Shape of the machine configuration: the minor release the cluster was made with. Never raise it afterwards.",
    ),
  kubernetesVersion: kubernetesVersion
    .optional()
    .describe(
      "Kubernetes release that the cluster runs. Changing it upgrades the cluster, by at most one minor release; a new cluster starts with it.",
    ),
  strictSecrets: flag()
    .default(false)
    .describe(
      "Refuse a password, key or token that is in plain text in the stack's file; without it the preview only warns.",
    ),
  approvedPlan: z
    .string(must("the digest of a plan, as a preview shows it"))
    .regex(
      /^([0-9a-f]{64}(@.+)?|none)$/s,
      must(
        "64 hexadecimal digits, those and @ with the plan's file, or none (also in TALOS_ISCSI_APPROVED_PLAN)",
      ),
    )
    .optional()
    .describe(
      "The plan that was approved: the digest that the preview's report and its resource `readiness` show, or `<digest>@<file>` with the file that the report has written, which names the differences. Every preview and `up` compares it with what would be done to the nodes now, and refuses another plan before anything is changed. `none` shows the digest and approves nothing. The environment variable TALOS_ISCSI_APPROVED_PLAN takes precedence.",
    ),
  image: image.prefault({}),
  images,
  cluster,
  upgrade,
  outputs: section({
    machineConfigurations: flag()
      .default(false)
      .describe(
        "Every node's machine configuration, redacted, as an output: each change of one shows in previews once more.",
      ),
  }).prefault({}),
};

export type NodeSettings = z.output<typeof node>;
export type ClusterSettings = z.output<typeof cluster>;
/** A patch as the stack's file has it: YAML text or a mapping. */
export type PatchSetting = z.output<typeof patch>;
export type SecretsSetting = z.output<typeof secrets>;
