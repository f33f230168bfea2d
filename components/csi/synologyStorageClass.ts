import { z } from "zod";
import { storageClassShape } from "./driverSettings.ts";
import {
  absolutePathSchema,
  ipv4AddressSchema,
  joinChoices,
  flagSchema,
  namespaceNameSchema,
  objectNameSchema,
  choiceSchema,
  sectionSchema,
  describeValue,
  textSchema,
} from "./fields.ts";

// Keys of every class, for any protocol.
const common = {
  name: objectNameSchema("synology-iscsi-storage").describe("StorageClass name."),
  ...storageClassShape,
  reclaimPolicy: storageClassShape.reclaimPolicy.default("Retain").describe("Reclaim policy."),
  allowVolumeExpansion: flagSchema().default(true).describe("Claims may grow."),
  array: ipv4AddressSchema().optional().describe("Host in `arrays`. Default: any with room."),
  location: absolutePathSchema("/volume1")
    .optional()
    .describe("Volume on the array. Default: first with room."),
};

const iscsiClass = sectionSchema({
  ...common,
  protocol: z.literal("iscsi").default("iscsi").describe("One LUN per volume."),
  fsType: choiceSchema(["ext4", "xfs", "btrfs"])
    .default("ext4")
    .describe("btrfs needs the extension siderolabs/btrfs."),
  formatOptions: textSchema("options of mkfs", "-O ^metadata_csum").optional().describe("mkfs options."),
  thinProvisioning: flagSchema().default(true).describe("Allocate space on write."),
  lunType: choiceSchema(["BLUN", "BLUN_THICK", "THIN", "ADV", "FILE"])
    .optional()
    .describe("LUN type. Default: from `thinProvisioning` and the file system."),
  spaceReclamation: flagSchema().optional().describe("Return freed blocks; thin LUNs on btrfs only."),
  fuaSyncCache: flagSchema().optional().describe("Honor FUA and SYNCHRONIZE CACHE."),
}).refine((value) => value.spaceReclamation !== true || value.thinProvisioning, {
  path: ["spaceReclamation"],
  error:
    "works only with thin LUNs; otherwise the driver refuses every claim. Set thinProvisioning: true, or remove it",
});

const smbClass = sectionSchema({
  ...common,
  protocol: z.literal("smb").describe("One SMB share per volume."),
  nodeStageSecret: sectionSchema({
    name: objectNameSchema("smb-credentials").describe("Secret name."),
    namespace: namespaceNameSchema().describe("Its namespace."),
  }).describe("Secret with `username`, `password` (and `domain`), created by you."),
});

const nfsClass = sectionSchema({
  ...common,
  protocol: z.literal("nfs").describe("One NFS share per volume."),
  nfsVersion: choiceSchema(["3", "4", "4.0", "4.1"]).default("4.1").describe("NFS version."),
  mountPermissions: textSchema("octal permissions", '"0750"')
    .refine((value) => /^0?[0-7]{3,4}$/.test(value), {
      error: (issue) =>
        `${describeValue(issue.input)} is not an octal mode; use one in quotes such as "0750"`,
    })
    .optional()
    .describe('Octal mode, in quotes. Driver default: "0750".'),
}).superRefine(({ mountOptions }, context) => {
  for (const [index, entry] of mountOptions.entries()) {
    const second = splitMountOptions([entry]).find((option) => nfsVersionOption.test(option));
    if (second === undefined) continue;
    const message = `${second.replace(/=.*/, "")} sets the NFS version, and mount refuses a second one; use nfsVersion`;
    context.addIssue({ code: "custom", path: ["mountOptions", index], message });
  }
});

/** Every way to set the version; mount.nfs refuses two of them, even equal ones (nfs-utils utils/mount/network.c, nfs_version_opttbl). */
const nfsVersionOption = /^(?:(?:nfs)?vers\b|minorversion\b|v[234](?:\.|$))/;

/** Mount options one by one: an entry may be a list with commas. */
export function splitMountOptions(entries: readonly string[]): string[] {
  return entries.flatMap((entry) => entry.split(",").map((option) => option.trim()));
}

/** One StorageClass of the Synology driver; the default protocol is iSCSI. */
export const synologyStorageClassSchema = z.discriminatedUnion("protocol", [iscsiClass, smbClass, nfsClass], {
  error: (issue) =>
    typeof issue.input === "object" && issue.input !== null && "protocol" in issue.input
      ? `${describeValue(issue.input.protocol)} is not a protocol that this driver supports; use ${joinChoices(["iscsi", "smb", "nfs"])}`
      : "must be an object with a name",
});

/** A StorageClass with all defaults. */
export type SynologyStorageClass = z.output<typeof synologyStorageClassSchema>;

/** The parameters of a class as the driver reads them (synology-csi v1.2.1 pkg/driver/controllerserver.go). */
export function synologyParameters(spec: SynologyStorageClass): Record<string, string> {
  const place = {
    protocol: spec.protocol,
    ...(spec.array === undefined ? {} : { dsm: spec.array }),
    ...(spec.location === undefined ? {} : { location: spec.location }),
  };
  switch (spec.protocol) {
    case "iscsi":
      return {
        ...place,
        // The provisioner's own key; the driver's older `fsType` still works but warns.
        "csi.storage.k8s.io/fstype": spec.fsType,
        thin_provisioning: String(spec.thinProvisioning),
        // Only sent if set: an explicit "false" overrides the array's default (parseDevAttribs).
        ...(spec.spaceReclamation === undefined
          ? {}
          : { enableSpaceReclamation: String(spec.spaceReclamation) }),
        ...(spec.fuaSyncCache === undefined ? {} : { enableFuaSyncCache: String(spec.fuaSyncCache) }),
        ...(spec.formatOptions === undefined ? {} : { formatOptions: spec.formatOptions }),
        ...(spec.lunType === undefined ? {} : { type: spec.lunType }),
      };
    case "smb":
      return {
        ...place,
        "csi.storage.k8s.io/node-stage-secret-name": spec.nodeStageSecret.name,
        "csi.storage.k8s.io/node-stage-secret-namespace": spec.nodeStageSecret.namespace,
      };
    case "nfs":
      return {
        ...place,
        ...(spec.mountPermissions === undefined ? {} : { mountPermissions: spec.mountPermissions }),
      };
  }
}

/** The mount options of a class. */
export function synologyMountOptions(spec: SynologyStorageClass): string[] {
  return spec.protocol === "nfs" ? [`nfsvers=${spec.nfsVersion}`, ...spec.mountOptions] : spec.mountOptions;
}
