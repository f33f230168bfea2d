import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { parseContract, parseVersion, VersionError } from "../talos/version.ts";
import { isAgeRecipient } from "./age.ts";
import { diskSelectorSchema } from "./disk.ts";
import { imageSchema, imageNameSchema, namedImagesSchema } from "./imageSettings.ts";
import { labelsSchema, taintsSchema } from "./nodeLabelSchemas.ts";
import { byPoolSchema, poolNameSchema, poolsSchema } from "./poolSchemas.ts";
import { networkSchema, vipSchema } from "./network.ts";
import { hostPattern, isHost, isUrl } from "./hosts.ts";
import {
  checkHardwareSchema,
  nodeEndpointSchema,
  renewCredentialsSchema,
  talosEndpointsSchema,
} from "./connections.ts";
import { gatesSchema } from "./gates.ts";
import { kubernetesReleasesSchema, releasesSchema, throughSchema } from "./upgradePath.ts";
import { outsideWindowSchema, windowsSchema } from "./windows.ts";
import { flagSchema, must, mustHidden } from "./messages.ts";

/**
 * The shape of a stack's settings (`Pulumi.<stack>.yaml` without the project's prefix): keys, types, defaults and
 * what each value must look like. Rules that concern several keys at once are in `rules.ts`.
 */

/** Whether a version or contract can be read. */
export const isParsable = (parse: (text: string) => unknown) => (text: string) => {
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
const durationSchema = (byDefault: string) =>
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

const talosVersionSchema = z
  .string(must("a Talos release such as v1.13.9"))
  .refine(isParsable(parseVersion), must("a full Talos release with the v, such as v1.13.9"));

const kubernetesVersionSchema = z
  .string(must("a Kubernetes release such as v1.35.4"))
  .regex(
    /^v(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-(alpha|beta|rc)\.\d+)?$/,
    must("a full Kubernetes release with the v, such as v1.35.4"),
  );

function isCidr(text: string): boolean {
  return z.cidrv4().safeParse(text).success || z.cidrv6().safeParse(text).success;
}

const cidrsSchema = z
  .array(
    z.string(must("a CIDR such as 10.244.0.0/16")).refine(isCidr, must("a CIDR such as 10.244.0.0/16")),
    must("a list of CIDRs"),
  )
  .min(1, must("a list of at least one CIDR"));

const patchText = "a machine configuration patch: YAML text or a mapping";

/** A patch as written in the stack's file (YAML text or a mapping); `patches.ts` checks its contents. */
const patchSchema = z.union(
  [
    z.string(),
    z.record(z.string(), z.unknown()).refine((map) => Object.keys(map).length > 0, mustHidden(patchText)),
  ],
  mustHidden(patchText),
);
const patchesSchema = z.array(patchSchema, mustHidden("a list of machine configuration patches")).default([]);

const documentText = "a machine configuration document: YAML text or a mapping with a kind";

/** A document as written in the stack's file; `documents.ts` checks its contents. */
const documentsSchema = z
  .array(
    z.union(
      [
        z.string(),
        z
          .record(z.string(), z.unknown())
          .refine((map) => Object.keys(map).length > 0, mustHidden(documentText)),
      ],
      mustHidden(documentText),
    ),
    mustHidden("a list of machine configuration documents"),
  )
  .default([]);

const onRemoveSchema = z.enum(["keep", "reset"], must("keep or reset"));

const fileSchema = (what: string) =>
  z
    .string(must(`the path of ${what}, relative to the project's folder`))
    .min(1, must(`the path of ${what}`))
    .optional();
/** Contents that may be secret: the value never appears in a message. */
const contentsSchema = (what: string) =>
  z.string({ error: () => `must be the contents of ${what}, as text` }).optional();

const nodeSchema = sectionSchema({
  name: z
    .string(must("the node's name, such as cp1"))
    .regex(
      /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
      must("a host name: lowercase letters, digits and dashes, at most 63"),
    )
    .describe("Host name, and part of resource names."),
  address: z
    .string(must("an IP address or DNS name of the node's Talos API"))
    .refine(isHost, must("an IP address or DNS name, without a port"))
    .describe("IP address or DNS name."),
  endpoint: nodeEndpointSchema,
  role: z.enum(["controlplane", "worker"], must("controlplane or worker")).describe("Role of the node."),
  talosVersion: talosVersionSchema.optional().describe("Default: the stack's."),
  installDisk: z
    .string(must("the device to install to, such as /dev/nvme0n1"))
    .startsWith("/dev/", must("the device to install to, such as /dev/nvme0n1"))
    .optional()
    .describe("Install disk. Default: /dev/sda."),
  pool: poolNameSchema.optional().describe("Pool of the node."),
  labels: labelsSchema.describe("Kubernetes node labels, added to the pool's."),
  taints: taintsSchema.describe("Node taints, added to the pool's: `nvidia.com/gpu: present:NoSchedule`."),
  image: imageNameSchema.optional().describe("Name under `images`. Default: `image`."),
  iscsi: flagSchema().default(true).describe("`false`: no iSCSI checks or drivers on the node."),
  diskSelector: diskSelectorSchema.optional().describe("Select the install disk by its properties."),
  hostname: z
    .string(must("a host name such as cp1"))
    .regex(hostPattern, must("a host name such as cp1 or cp1.example.org"))
    .optional()
    .describe("Host name. Default: `name` on new clusters. Set it for nodes joining an adopted cluster."),
  network: networkSchema.optional().describe("Static network. Default: DHCP."),
  documents: documentsSchema.describe("Extra configuration documents, such as UserVolumeConfig."),
  config: contentsSchema("the node's machine configuration").describe(
    "This node's machine configuration, for adopted clusters. Set it with `--secret`.",
  ),
  configFile: fileSchema("the node's machine configuration").describe("Path instead of contents."),
  patches: patchesSchema.describe("Patches, applied last."),
  onRemove: onRemoveSchema.optional().describe("Default: `cluster.onRemove`."),
});

const secretsSchema = sectionSchema({
  bundle: contentsSchema("secrets.yaml").describe(
    "Secrets bundle (`talosctl gen secrets`). Set it with `--secret`.",
  ),
  bundleFile: fileSchema("secrets.yaml").describe("Path instead of contents."),
  controlplane: contentsSchema("controlplane.yaml").describe(
    "Control plane configuration, instead of a bundle. Set it with `--secret`.",
  ),
  controlplaneFile: fileSchema("controlplane.yaml").describe("Path instead of contents."),
  worker: contentsSchema("worker.yaml").describe("Worker configuration. Set it with `--secret`."),
  workerFile: fileSchema("worker.yaml").describe("Path instead of contents."),
  talosconfig: contentsSchema("talosconfig").describe("talosconfig. Set it with `--secret`."),
  talosconfigFile: fileSchema("talosconfig").describe("Path instead of contents."),
});

const clusterSchema = sectionSchema({
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
      must("an https URL with only host and port, such as https://10.0.0.10:6443"),
    )
    .describe("Kubernetes API URL."),
  nodes: z
    .array(nodeSchema, must("a list of nodes"))
    .min(1, must("a list of nodes with at least one control plane"))
    .describe("All nodes; the first control plane bootstraps a new cluster."),
  pools: poolsSchema({
    patches: patchesSchema.describe("Patches, before a node's."),
    documents: documentsSchema.describe("Configuration documents."),
    talosVersion: talosVersionSchema.optional().describe("Default: the stack's."),
  }),
  talosEndpoints: talosEndpointsSchema,
  secrets: secretsSchema.optional().describe("Secrets of an adopted cluster. Absent: a new cluster."),
  onRemove: onRemoveSchema
    .default("keep")
    .describe("A removed node is left alone (`keep`), or drained, removed and **wiped** (`reset`)."),
  protectSecrets: flagSchema()
    .default(true)
    .describe("Refuse to delete generated secrets (`pulumi destroy`)."),
  acceptDropped: z
    .array(
      z.string(must("a path such as machine.sysctls")).min(1, must("a path such as machine.sysctls")),
      must("a list of paths"),
    )
    .default([])
    .describe(
      "Configuration paths that nodes may lose: `machine.sysctls`, `RegistryMirrorConfig[docker.io]`.",
    ),
  acceptDriverChanges: z
    .array(
      z.string(must("a CSI driver's name")).min(1, must("a CSI driver's name")),
      must("a list of CSI drivers"),
    )
    .default([])
    .describe("CSI drivers that may go, or change pools, despite their volumes."),
  checkHardware: checkHardwareSchema,
  renewCredentials: renewCredentialsSchema,
  podSubnets: cidrsSchema.optional().describe("Default: 10.244.0.0/16."),
  serviceSubnets: cidrsSchema.optional().describe("Default: 10.96.0.0/12."),
  vip: vipSchema.optional().describe("Virtual IP of the control planes."),
  documents: sectionSchema({ all: documentsSchema, controlplane: documentsSchema, worker: documentsSchema })
    .prefault({})
    .describe("Configuration documents."),
  patches: sectionSchema({ all: patchesSchema, controlplane: patchesSchema, worker: patchesSchema })
    .prefault({})
    .describe("Machine configuration patches, before a node's."),
});

const percentageSchema = /^(100|[1-9]\d?)%$/;
const shareText =
  "a number of nodes, at least 1, or a percentage of the workers from 1% to 100%, such as 25%";

const shareSchema = z
  .union([z.number(), z.string()], must(shareText))
  // Not inside the union, which would show the matching member's own message instead.
  .refine(
    (value) =>
      typeof value === "number" ? Number.isSafeInteger(value) && value >= 1 : percentageSchema.test(value),
    must(shareText),
  );

const upgradeSchema = sectionSchema({
  prePull: flagSchema().default(true).describe("Pull the image on all nodes before the first drain."),
  drain: sectionSchema({
    enabled: flagSchema().default(true).describe("Drain nodes. Single-node clusters are never drained."),
    timeout: durationSchema("5m").describe("Limit for draining pods and volumes."),
    whenBlocked: z
      .enum(["stop", "delete"], must("stop or delete"))
      .default("stop")
      .describe("`delete` deletes pods blocked by a budget, after `blockedTimeout`. **Can lose data.**"),
    blockedTimeout: durationSchema("2m").describe("For `whenBlocked: delete`."),
    leftoverSessions: z
      .enum(["refuse", "warn"], must("refuse or warn"))
      .default("warn")
      .describe("Leaked iSCSI sessions: `warn` and reboot, or `refuse`."),
  }).prefault({}),
  workers: sectionSchema({
    maxUnavailable: shareSchema
      .default(1)
      .describe("Number or percentage, rounded down, at least one. Unavailable workers count."),
  }).prefault({}),
  pools: byPoolSchema(
    sectionSchema({
      maxUnavailable: shareSchema.optional().describe("Default: from `workers`."),
      order: z.int(must("a whole number")).default(0).describe("Lower goes first; without a pool: 0."),
    }),
    "a mapping of pools by name",
  )
    .default({})
    .describe("Per pool; pools go one at a time."),
  gates: gatesSchema(durationSchema),
  windows: windowsSchema,
  outsideWindow: outsideWindowSchema,
  storageGate: sectionSchema({
    enabled: flagSchema().optional().describe("Default: with JovianDSS or Synology."),
    timeout: durationSchema("5m").describe("Limit for storage to recover."),
  }).prefault({}),
  timeout: durationSchema("30m").describe("Limit for each step on a node."),
  configurationTimeout: durationSchema("10m").describe(
    "Limit for control planes to be healthy before and after a configuration change.",
  ),
  through: throughSchema,
  releases: releasesSchema(talosVersionSchema),
  allowSkew: flagSchema()
    .default(false)
    .describe("Allow skipping minor releases, which Talos does not test."),
  etcdSnapshot: sectionSchema({
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
  kubernetes: sectionSchema({
    acceptRemovedApis: flagSchema().default(false).describe("Upgrade even if removed APIs are in use."),
    releases: kubernetesReleasesSchema(kubernetesVersionSchema),
  }).prefault({}),
  etcdDowngrade: flagSchema().default(false).describe("Convert etcd's data for a rollback to an older etcd."),
}).prefault({});

/** Everything that a stack's file may say, except what the CSI drivers add. */
export const baseShape = {
  talosVersion: talosVersionSchema.describe("Talos release of all nodes; a node may override it."),
  talosContract: z
    .string(must("a machine configuration contract such as v1.12"))
    .refine(isParsable(parseContract), must("only the major and minor release, with the v, such as v1.12"))
    .optional()
    .describe("Talos minor release that the cluster was created with. Never raise it."),
  kubernetesVersion: kubernetesVersionSchema
    .optional()
    .describe("Kubernetes release of the cluster. Changing it upgrades the cluster."),
  strictSecrets: flagSchema()
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
  image: imageSchema.prefault({}),
  images: namedImagesSchema,
  cluster: clusterSchema,
  upgrade: upgradeSchema,
  outputs: sectionSchema({
    machineConfigurations: flagSchema().default(false).describe("Output redacted machine configurations."),
  }).prefault({}),
};

export type NodeSettings = z.output<typeof nodeSchema>;
export type ClusterSettings = z.output<typeof clusterSchema>;
/** A patch as the stack's file has it: YAML text or a mapping. */
export type PatchSetting = z.output<typeof patchSchema>;
export type SecretsSetting = z.output<typeof secretsSchema>;
