import type { z } from "zod";
import { csiDrivers } from "../../talos/csiDrivers.ts";
import { driverShape, snapshotsSchema } from "./driverSettings.ts";
import {
  absolutePathSchema,
  credentialSchema,
  ipv4AddressSchema,
  flagSchema,
  imageSchema,
  listSchema,
  choiceSchema,
  portSchema,
  sectionSchema,
  textSchema,
} from "./fields.ts";
import type { Problem } from "./problems.ts";
import { splitMountOptions, synologyStorageClassSchema } from "./synologyStorageClass.ts";

/** Upstream's image of the release this was written for. */
const upstreamImage = "docker.io/synology/synology-csi:v1.2.1";

const array = sectionSchema({
  host: ipv4AddressSchema().describe("IPv4 address or name."),
  port: portSchema().optional().describe("Default: 5001 (5000 without https)."),
  https: flagSchema().default(true).describe("Use https."),
  allowHttp: flagSchema()
    .default(false)
    .describe("Required without https: **sends the password in clear text**."),
  username: credentialSchema("a DSM user of the group administrators", "kubernetes").describe(
    "DSM administrator.",
  ),
  password: credentialSchema(
    "the DSM user's password",
    "a secret set with `pulumi config set --secret --path`",
  ).describe("Password, as a secret."),
}).refine((value) => value.https || value.allowHttp, {
  path: ["https"],
  error:
    "false would send the password in clear text; use https, or set allowHttp: true if the network is private",
});

/** `synology` without the rules that involve several values. */
export const synologyForm = sectionSchema({
  image: imageSchema(upstreamImage).default(upstreamImage).describe("Upstream's image; no fork needed."),
  arrays: listSchema(
    array,
    "the Synology arrays",
    "[{ host: 192.168.0.20, username: kubernetes, password: … }]",
  ).describe("Arrays."),
  storageClasses: listSchema(
    synologyStorageClassSchema,
    "the StorageClasses",
    "[{ name: synology-iscsi-storage }]",
  )
    .default(() => [synologyStorageClassSchema.parse({ name: "synology-iscsi-storage" })])
    .describe("StorageClasses."),
  logLevel: choiceSchema(["debug", "info", "warn", "error", "fatal"]).default("info").describe("Log level."),
  multipath: sectionSchema({
    multipathPath: absolutePathSchema("/usr/local/sbin/multipath")
      .default("/usr/local/sbin/multipath")
      .describe("multipath on the node."),
    multipathdPath: absolutePathSchema("/usr/local/sbin/multipathd")
      .default("/usr/local/sbin/multipathd")
      .describe("multipathd on the node."),
  })
    .optional()
    .describe("UC series; needs the extension multipath-tools."),
  guardAccessModes: flagSchema()
    .default(true)
    .describe("Refuse shared file systems on iSCSI, by admission policy (Kubernetes 1.30+)."),
  snapshots: snapshotsSchema("synology-snapshotclass", {
    description: textSchema("a description", "made by Kubernetes")
      .optional()
      .describe("Description on the array."),
    locked: flagSchema().default(false).describe("Lock snapshots."),
  }),
  ...driverShape({ namespace: csiDrivers.synology.prefix, healthPort: csiDrivers.synology.healthPort }),
});

/** `synology` in a stack's file. */
export const synologySchema = synologyForm
  .superRefine((settings, context) => {
    for (const { path, reason } of combinationProblems(settings))
      context.addIssue({ code: "custom", path, message: reason });
  })
  .describe("The Synology CSI driver.");

/** `synology` from a stack's file, with all defaults. */
export type SynologySettings = z.output<typeof synologySchema>;
/** `synology` as it may be written. */
export type SynologySettingsInput = z.input<typeof synologySchema>;

/**
 * Valid settings that need something missing from the nodes' image, for the log.
 * @param extensions the official extensions of the schematic, such as `siderolabs/btrfs`
 */
export function synologyWarnings(settings: SynologySettings, extensions: readonly string[]): Problem[] {
  const lacks = (name: string) => !extensions.includes(name);
  const addIt = (name: string) => `; add ${name} to image.schematic`;
  const classes = settings.storageClasses.flatMap((entry, index): Problem[] => {
    const path = `storageClasses[${index}]`;
    if (entry.protocol === "iscsi" && entry.fsType === "btrfs" && lacks("siderolabs/btrfs")) {
      const reason = `is btrfs, which Talos mounts only with the extension siderolabs/btrfs${addIt("siderolabs/btrfs")}`;
      return [{ path: `${path}.fsType`, reason }];
    }
    const unlocked = entry.protocol === "nfs" && entry.nfsVersion === "3";
    if (
      unlocked &&
      lacks("siderolabs/nfs-utils") &&
      !splitMountOptions(entry.mountOptions).includes("nolock")
    ) {
      const reason = `is 3, and NFS 3 file locks need rpc.statd on the node${addIt("siderolabs/nfs-utils")}, mount with nolock, or use nfsVersion "4.1"`;
      return [{ path: `${path}.nfsVersion`, reason }];
    }
    return [];
  });
  if (settings.multipath === undefined || !lacks("siderolabs/multipath-tools")) return classes;
  const reason = `needs multipathd on every node${addIt("siderolabs/multipath-tools")} (Talos 1.12.6 and newer), with the kernel modules dm_multipath and dm_round-robin and an ExtensionServiceConfig multipathd (docs/synology.md)`;
  return [...classes, { path: "multipath", reason }];
}

interface SettingsToCombine {
  arrays: { host: string }[];
  storageClasses: { name: string; array?: string | undefined }[];
}

function combinationProblems({
  arrays,
  storageClasses,
}: SettingsToCombine): { path: (string | number)[]; reason: string }[] {
  const hosts = arrays.map(({ host }) => host);
  const names = storageClasses.map(({ name }) => name);
  return [
    ...hosts.flatMap((host, index) =>
      hosts.indexOf(host) === index
        ? []
        : [{ path: ["arrays", index, "host"], reason: `${host} is arrays[${hosts.indexOf(host)}] already` }],
    ),
    ...names.flatMap((name, index) =>
      names.indexOf(name) === index
        ? []
        : [
            {
              path: ["storageClasses", index, "name"],
              reason: `StorageClass ${name} is storageClasses[${names.indexOf(name)}] already`,
            },
          ],
    ),
    ...storageClasses.flatMap(({ array: host }, index) =>
      host === undefined || hosts.includes(host)
        ? []
        : [
            {
              path: ["storageClasses", index, "array"],
              reason: `${host} is not in arrays; use ${hosts.join(" or ")}`,
            },
          ],
    ),
  ];
}
