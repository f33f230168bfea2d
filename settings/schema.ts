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
    .describe("Host name, and part of resource names."),
  address: z
    .string(must("an IP address or DNS name of the node's Talos API"))
    .refine(isHost, must("an IP address or DNS name, without a port"))
    .describe("IP address or DNS name."),
  endpoint: nodeEndpoint,
  role: z.enum(["controlplane", "worker"], must("controlplane or worker")).describe("Role of the node."),
  talosVersion: talosVersion.optional().describe("Default: the stack's."),
  installDisk: z
    .string(must("the device to install to, such as /dev/nvme0n1"))
    .startsWith("/dev/", must("the device to install to, such as /dev/nvme0n1"))
    .optional()
    .describe("Install disk. Default: /dev/sda."),
  pool: poolName.optional().describe("Pool of the node."),
  labels: labels.describe("Kubernetes node labels, added to the pool's."),
  taints: taints.describe("Node taints, added to the pool's: `nvidia.com/gpu: present:NoSchedule`."),
  image: imageName.optional().describe("Name under `images`. Default: `image`."),
  iscsi: flag().default(true).describe("`false`: no iSCSI checks or drivers on the node."),
  diskSelector: diskSelector.optional().describe("Select the install disk by its properties."),
  hostname: z
    .string(must("a host name such as cp1"))
    .regex(hostPattern, must("a host name such as cp1 or cp1.example.org"))
    .optional()
    .describe("Host name. Default: `name` on new clusters. Set it for nodes joining an adopted cluster."),
  network: network.optional().describe("Static network. Default: DHCP."),
  documents: documents.describe("Extra configuration documents, such as UserVolumeConfig."),
  config: contents("the node's machine configuration").describe(
    "This node's machine configuration, for adopted clusters. Set it with `--secret`.",
  ),
  configFile: file("the node's machine configuration").describe("Path instead of contents."),
  patches: patches.describe("Patches, applied last."),
  onRemove: onRemove.optional().describe("Default: `cluster.onRemove`."),
});

const secrets = section({
  bundle: contents("secrets.yaml").describe(
    "Secrets bundle (`talosctl gen secrets`). Set it with `--secret`.",
  ),
  bundleFile: file("secrets.yaml").describe("Path instead of contents."),
  controlplane: contents("controlplane.yaml").describe(
    "Control plane configuration, instead of a bundle. Set it with `--secret`.",
  ),
  controlplaneFile: file("controlplane.yaml").describe("Path instead of contents."),
  worker: contents("worker.yaml").describe("Worker configuration. Set it with `--secret`."),
  workerFile: file("worker.yaml").describe("Path instead of contents."),
  talosconfig: contents("talosconfig").describe("talosconfig. Set it with `--secret`."),
  talosconfigFile: file("talosconfig").describe("Path instead of contents."),
});

const cluster = section({
  name: z
    .string(must("the cluster's name"))
    .regex(
      /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
      must("letters, digits, dashes, dots and underscores, at most 63"),
    )
    .describe("Cluster name, as in the talosconfig."),
  endpoint: z
    .string(must("the Kubernetes API's URL, such as https://10.0.0.10:6443"))
    .refine(
      (text) => isUrl(text, ["https"]),
      must("an https URL of host and port alone, such as https://10.0.0.10:6443"),
    )
    .describe("Kubernetes API URL."),
  nodes: z
    .array(node, must("a list of nodes"))
    .min(1, must("a list of nodes with at least one control plane"))
    .describe("All nodes; the first control plane bootstraps a new cluster."),
  pools: poolsSchema({
    patches: patches.describe("Patches, before a node's."),
    documents: documents.describe("Configuration documents."),
    talosVersion: talosVersion.optional().describe("Default: the stack's."),
  }),
  talosEndpoints,
  secrets: secrets.optional().describe("Secrets of an adopted cluster. Absent: a new cluster."),
  onRemove: onRemove
    .default("keep")
    .describe("A removed node is left alone (`keep`), or drained, removed and **wiped** (`reset`)."),
  protectSecrets: flag().default(true).describe("Refuse to delete generated secrets (`pulumi destroy`)."),
  acceptDropped: z
    .array(
      z.string(must("a path such as machine.sysctls")).min(1, must("a path such as machine.sysctls")),
      must("a list of paths"),
    )
    .default([])
    .describe(
      "Configuration paths that nodes may lose: `machine.sysctls`, `RegistryMirrorConfig[docker.io]`.",
    ),
  checkHardware,
  renewCredentials,
  podSubnets: cidrs.optional().describe("Default: 10.244.0.0/16."),
  serviceSubnets: cidrs.optional().describe("Default: 10.96.0.0/12."),
  vip: vip.optional().describe("Virtual IP of the control planes."),
  documents: section({ all: documents, controlplane: documents, worker: documents })
    .prefault({})
    .describe("Configuration documents."),
  patches: section({ all: patches, controlplane: patches, worker: patches })
    .prefault({})
    .describe("Machine configuration patches, before a node's."),
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
  prePull: flag().default(true).describe("Pull the image on all nodes before the first drain."),
  drain: section({
    enabled: flag().default(true).describe("Drain nodes (never a single node)."),
    timeout: duration("5m").describe("Limit for pods and volumes to leave."),
    whenBlocked: z
      .enum(["stop", "delete"], must("stop or delete"))
      .default("stop")
      .describe("`delete` deletes pods that a budget holds, after `blockedTimeout`. **Can lose data.**"),
    blockedTimeout: duration("2m").describe("For `whenBlocked: delete`."),
    leftoverSessions: z
      .enum(["refuse", "warn"], must("refuse or warn"))
      .default("warn")
      .describe("Leaked iSCSI sessions: `warn` and reboot, or `refuse`."),
  }).prefault({}),
  workers: section({
    maxUnavailable: share
      .default(1)
      .describe("Number or percentage, rounded down, at least one. Unavailable workers count."),
  }).prefault({}),
  pools: byPool(
    section({
      maxUnavailable: share.optional().describe("Default: as `workers`."),
      order: z.int(must("a whole number")).default(0).describe("Lower goes first; no pool is 0."),
    }),
    "a mapping of pools by name",
  )
    .default({})
    .describe("Per pool, one after the other."),
  gates: gatesOf(duration),
  windows,
  outsideWindow,
  storageGate: section({
    enabled: flag().optional().describe("Default: with JovianDSS or Synology."),
    timeout: duration("5m").describe("Limit for storage to recover."),
  }).prefault({}),
  timeout: duration("30m").describe("Limit for each step of a node."),
  configurationTimeout: duration("10m").describe(
    "Limit for control planes to be healthy before and after a configuration change.",
  ),
  through,
  releases: releasesOf(talosVersion),
  allowSkew: flag().default(false).describe("Allow skipping minor releases, which Talos does not test."),
  etcdSnapshot: section({
    directory: z
      .string(must("a folder"))
      .trim()
      .min(1, must("a folder"))
      .describe("Folder, relative to the project."),
    keep: z
      .int(must("a number of snapshots, at least 1"))
      .min(1, must("a number of snapshots, at least 1"))
      .default(5)
      .describe("Snapshots to keep."),
    ageRecipients: z
      .array(
        z
          .string(must("an age recipient such as age1…"))
          .refine(isAgeRecipient, must("an age recipient such as age1…")),
        must("a list of age recipients"),
      )
      .default([])
      .describe("age recipients. Without any, snapshots and all Secrets in them are **plain text**."),
  })
    .optional()
    .describe("Snapshot of etcd before a rollout disturbs the first control plane."),
  kubernetes: section({
    acceptRemovedApis: flag().default(false).describe("Upgrade although removed APIs are still used."),
    releases: kubernetesReleasesOf(kubernetesVersion),
  }).prefault({}),
  etcdDowngrade: flag().default(false).describe("Convert etcd's data for a rollback to an older etcd."),
}).prefault({});

/** Everything that a stack's file may say, except what the CSI drivers add. */
export const baseShape = {
  talosVersion: talosVersion.describe("Talos release of all nodes; a node may override it."),
  talosContract: z
    .string(must("a machine configuration contract such as v1.12"))
    .refine(readable(parseContract), must("major and minor release only and with its v, such as v1.12"))
    .optional()
    .describe("Talos minor release that the cluster was created with. Never raise it."),
  kubernetesVersion: kubernetesVersion
    .optional()
    .describe("Kubernetes release of the cluster. Changing it upgrades the cluster."),
  strictSecrets: flag()
    .default(false)
    .describe("Refuse plain-text secrets in the stack file instead of warning."),
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
      "Digest of the approved plan, or `<digest>@<file>`; any other plan is refused. `none` only shows the digest. TALOS_ISCSI_APPROVED_PLAN takes precedence.",
    ),
  image: image.prefault({}),
  images,
  cluster,
  upgrade,
  outputs: section({
    machineConfigurations: flag().default(false).describe("Output redacted machine configurations."),
  }).prefault({}),
};

export type NodeSettings = z.output<typeof node>;
export type ClusterSettings = z.output<typeof cluster>;
/** A patch as the stack's file has it: YAML text or a mapping. */
export type PatchSetting = z.output<typeof patch>;
export type SecretsSetting = z.output<typeof secrets>;
