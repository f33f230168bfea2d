import { z } from "zod";
import { csiDrivers } from "../../talos/csiDrivers.ts";
import { joviandssIdentity } from "./driverIdentity.ts";
import { driverShape, healthPortSchema, snapshotsSchema, storageClassShape } from "./driverSettings.ts";
import {
  credentialSchema,
  ipv4AddressSchema,
  flagSchema,
  imageSchema,
  listSchema,
  objectNameSchema,
  choiceSchema,
  portSchema,
  sectionSchema,
  describeValue,
  textSchema,
} from "./fields.ts";
import { slug } from "./naming.ts";
import type { Problem } from "./problems.ts";

const imageExample =
  "docker.io/opene/joviandss-csi@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const endpoint = sectionSchema({
  addresses: listSchema(
    ipv4AddressSchema(),
    "the addresses of the JovianDSS REST API",
    "[192.168.0.100]",
  ).describe("REST addresses; the driver uses only the first."),
  port: portSchema().default(82).describe("REST port."),
  protocol: choiceSchema(["https", "http"])
    .default("https")
    .describe("The driver does not verify certificates."),
  allowHttp: flagSchema()
    .default(false)
    .describe("Required for `http`: **sends the password in clear text**."),
  user: credentialSchema("the REST user", "admin").describe("REST user."),
  password: credentialSchema(
    "the REST user's password",
    "a secret set with `pulumi config set --secret --path`",
  ).describe("Password, as a secret."),
  idleTimeout: textSchema("a duration", "30s")
    .refine((value) => /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(value), {
      error: (issue) =>
        `${describeValue(issue.input)} is not a Go duration; use one such as 30s. The driver would crash on its first call`,
    })
    .default("30s")
    .describe("Idle limit, as a Go duration."),
})
  .refine((value) => value.protocol === "https" || value.allowHttp, {
    path: ["protocol"],
    error:
      "http would send the password in clear text; use https, or set allowHttp: true if the network is private",
  })
  .describe("REST API.");

const iscsi = sectionSchema({
  addresses: listSchema(ipv4AddressSchema(), "the iSCSI portal addresses", "[192.168.0.100]").describe(
    "Portal addresses; the driver uses only the first.",
  ),
  port: z
    .literal(3260, {
      error: (issue) =>
        `${describeValue(issue.input)} would never be used: the driver logs in without naming a port, so only 3260 works`,
    })
    .default(3260)
    .describe("Always 3260."),
  targetPrefix: textSchema("the first part of target names", "iqn.csi.2019-04")
    .refine((value) => /^iqn\.[a-z0-9.:-]+$/.test(value), {
      error: (issue) =>
        `${describeValue(issue.input)} is not the start of an iSCSI name; use one such as iqn.csi.2019-04 (lowercase letters, digits, ".", ":" and "-")`,
    })
    .default("iqn.csi.2019-04")
    .describe("Target name prefix. Never change it while volumes are in use."),
}).describe("iSCSI portal.");

/** One StorageClass of a pool. */
export const joviandssStorageClassSchema = sectionSchema({
  name: objectNameSchema("joviandss-sc").describe("StorageClass name."),
  fsType: choiceSchema(["ext4", "ext3", "xfs"]).default("ext4").describe("File system."),
  ...storageClassShape,
  reclaimPolicy: storageClassShape.reclaimPolicy.default("Delete").describe("Reclaim policy."),
  accessModes: listSchema(
    z.enum(["ReadWriteOnce", "ReadWriteOncePod"], {
      error: (issue) =>
        `${describeValue(issue.input)} is not supported: the driver does not check access modes, and two nodes that mount the same file system destroy it. Use ReadWriteOnce or ReadWriteOncePod`,
    }),
    "the access modes that claims may request",
    "[ReadWriteOnce]",
  )
    .default(["ReadWriteOnce", "ReadWriteOncePod"])
    .describe("Allowed access modes."),
  volumeMode: z
    .literal("Filesystem", {
      error: (issue) =>
        `${describeValue(issue.input)} is not supported: the driver would still format and mount the volume. Use Filesystem`,
    })
    .default("Filesystem")
    .describe("Always Filesystem."),
});

const pool = sectionSchema({
  name: textSchema("a JovianDSS pool", "Pool-0")
    .refine((value) => /^(?=.*[A-Za-z0-9])[A-Za-z0-9_.:-]{1,40}$/.test(value), {
      error: (issue) =>
        `${describeValue(issue.input)} is not a pool name; write it as JovianDSS shows it (up to 40 letters, digits and _ . : -), such as Pool-0`,
    })
    .describe("Pool name."),
  storageClasses: listSchema(
    joviandssStorageClassSchema,
    "the StorageClasses of the pool",
    "[{ name: joviandss-sc }]",
  )
    .optional()
    .describe("Default: joviandss-sc (joviandss-sc-<pool> for additional pools)."),
  driver: sectionSchema({
    name: objectNameSchema("pool-1.csi.joviandss.open-e.com")
      .refine(({ length }) => length <= 63, {
        error: (issue) => `is ${String(issue.input).length} characters long; CSI allows 63`,
      })
      .describe("Built-in driver name."),
    image: imageSchema(imageExample).describe("That image."),
  })
    .optional()
    .describe("Additional pools only: each needs an image built with its own driver name."),
  healthPort: healthPortSchema().optional().describe("First of its ports. Default: by position."),
});

/** `joviandss` without the rules that involve several values. */
export const joviandssForm = sectionSchema({
  image: imageSchema(imageExample).describe("The image you tested, preferably by digest."),
  endpoint,
  iscsi,
  pools: listSchema(pool, "the pools to make volumes in", "[{ name: Pool-0 }]").describe("Storage pools."),
  logLevel: choiceSchema(["trace", "debug", "info", "warning", "error", "fatal", "panic"])
    .default("info")
    .describe("Log level."),
  snapshots: snapshotsSchema("joviandss-snapshot-sc", {}),
  // The driver can't stop a claim that would destroy data, so the cluster must (CreateVolume never checks access modes).
  guardAccessModes: flagSchema()
    .default(true)
    .describe("Refuse access modes that would destroy data, by admission policy (Kubernetes 1.30+)."),
  ...driverShape({ namespace: csiDrivers.joviandss.prefix, healthPort: csiDrivers.joviandss.healthPort }),
});

/**
 * `joviandss` in a stack's file. The values become the driver's cfg.yaml; what the driver requires, ignores or crashes on is checked here, since the driver
 * itself starts with almost anything.
 */
export const joviandssSchema = joviandssForm
  .superRefine((settings, context) => {
    for (const problem of [...poolProblems(settings.pools), ...namespaceProblems(settings)])
      context.addIssue({ code: "custom", path: problem.path, message: problem.reason });
  })
  .describe("The JovianDSS CSI driver.");

/** `joviandss` from a stack's file, with all defaults. */
export type JovianDssSettings = z.output<typeof joviandssSchema>;
/** `joviandss` as it may be written. */
export type JovianDssSettingsInput = z.input<typeof joviandssSchema>;
/** A pool with all defaults. */
export type JovianDssPool = JovianDssSettings["pools"][number];

/** Valid settings that do less than they seem to, for the log. */
export function joviandssWarnings(settings: JovianDssSettings): Problem[] {
  const unused = (list: readonly string[], path: string, what: string): Problem[] =>
    list.length < 2
      ? []
      : [
          {
            path,
            reason: `the released driver uses only ${list[0]} and does not fail over to ${list.slice(1).join(", ")}; use a virtual IP for ${what}`,
          },
        ];
  return [
    ...unused(settings.endpoint.addresses, "endpoint.addresses", "the REST API"),
    ...unused(settings.iscsi.addresses, "iscsi.addresses", "the iSCSI portal"),
    ...(settings.image.includes("@sha256:")
      ? []
      : [{ path: "image", reason: `${settings.image} is a tag, which can change; a digest cannot` }]),
    ...(settings.snapshots.enabled
      ? [
          {
            path: "snapshots.enabled",
            reason:
              "snapshots can be taken and deleted, but not restored, and claims cannot be cloned: the driver does not report the source of a volume, so the provisioner deletes the copy and retries forever",
          },
        ]
      : []),
  ];
}

function namespaceProblems(
  settings: Pick<JovianDssSettings, "namespace" | "healthPort" | "pools">,
): { path: string[]; reason: string }[] {
  return settings.pools.flatMap((pool, index) => {
    const { namespace } = joviandssIdentity(settings, pool, index);
    if (namespace.length <= 63) return [];
    const reason = `pools[${index}] gets the namespace ${namespace}, which has ${namespace.length} characters; Kubernetes allows 63. Use a shorter one`;
    return [{ path: ["namespace"], reason }];
  });
}

function poolProblems(pools: readonly JovianDssPool[]): { path: (string | number)[]; reason: string }[] {
  const problems: { path: (string | number)[]; reason: string }[] = [];
  const drivers = new Map<string, number>();
  const names = new Map<string, number>();
  const classes = new Map<string, string>();
  pools.forEach((entry, index) => {
    const driver = entry.driver?.name ?? csiDrivers.joviandss.driverName;
    const other = drivers.get(driver);
    if (other !== undefined) {
      const path =
        entry.driver === undefined ? ["pools", index, "driver"] : ["pools", index, "driver", "name"];
      const reason =
        `driver ${driver} already serves pools[${other}] (${pools[other]?.name}), and two controllers with the same name would both answer every claim; ` +
        "set this pool's driver.name and driver.image to an image built with another name (docs/joviandss.md)";
      problems.push({ path, reason });
    } else drivers.set(driver, index);
    // Cluster names are derived from the pool's and distinguish fewer characters.
    const twin = names.get(slug(entry.name));
    if (twin !== undefined) {
      const reason = `pool ${entry.name} cannot be distinguished from pools[${twin}] (${pools[twin]?.name}) in names of Kubernetes objects`;
      problems.push({ path: ["pools", index, "name"], reason });
    } else names.set(slug(entry.name), index);
    for (const [position, { name }] of (entry.storageClasses ?? []).entries()) {
      const path = ["pools", index, "storageClasses", position, "name"];
      const taken = classes.get(name);
      if (taken !== undefined) problems.push({ path, reason: `StorageClass ${name} is ${taken} already` });
      else classes.set(name, `pools[${index}].storageClasses[${position}]`);
    }
  });
  return problems;
}
