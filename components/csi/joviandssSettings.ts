import { z } from "zod";
import { driverShape, snapshotsSchema, storageClassShape } from "./driverSettings.ts";
import { addressV4, flag, image, listOf, objectName, oneOf, port, section, shown, text } from "./fields.ts";
import { slug } from "./naming.ts";
import { problemsOf } from "./problems.ts";
import type { Problem } from "./problems.ts";

/** The name in the published driver (open-e/joviandss-kubernetescsi pkg/common/common.go, PluginName). */
export const joviandssDriverName = "iscsi.csi.joviandss.open-e.com";

const imageExample =
  "docker.io/opene/joviandss-csi@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const endpoint = section({
  addresses: listOf(addressV4(), "the addresses of the JovianDSS REST API", "[192.168.0.100]").describe(
    "Addresses of the REST API, virtual IPs preferred. The released driver uses the first alone.",
  ),
  port: port().default(82).describe("TCP port of the REST API."),
  protocol: oneOf(["https", "http"])
    .default("https")
    .describe("https; the driver does not verify the certificate."),
  allowHttp: flag()
    .default(false)
    .describe("Has to be true for protocol http: the password then crosses the network in clear text."),
  user: text("the REST user", "admin").describe("User of the JovianDSS web and REST interface."),
  password: text(
    "the REST user's password",
    "a secret set with `pulumi config set --secret --path`",
  ).describe("Its password, as a secret."),
  idleTimeout: text("a duration", "30s")
    .refine((value) => /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(value), {
      error: (issue) =>
        `${shown(issue.input)} is not a Go duration; give one such as 30s. The driver would crash on its first call`,
    })
    .default("30s")
    .describe("How long an idle REST connection is kept (Go duration)."),
})
  .refine((value) => value.protocol === "https" || value.allowHttp, {
    path: ["protocol"],
    error:
      "http would send the password in clear text; use https, or say allowHttp: true if the network is yours alone",
  })
  .describe("The JovianDSS REST API.");

const iscsi = section({
  addresses: listOf(addressV4(), "the iSCSI portal addresses", "[192.168.0.100]").describe(
    "Addresses that nodes log in to. The released driver uses the first alone.",
  ),
  port: z
    .literal(3260, {
      error: (issue) =>
        `${shown(issue.input)} would never be used: the driver logs in without naming a port, so only 3260 works`,
    })
    .default(3260)
    .describe("Port of the iSCSI portal; always 3260."),
  targetPrefix: text("the first part of target names", "iqn.csi.2019-04")
    .refine((value) => /^iqn\.[a-z0-9.:-]+$/.test(value), {
      error: (issue) =>
        `${shown(issue.input)} is not the start of an iSCSI name; give one such as iqn.csi.2019-04 (small letters, digits, ".", ":" and "-")`,
    })
    .default("iqn.csi.2019-04")
    .describe(
      "Targets are named <targetPrefix>:<sha256 of the volume>. Do not change it while volumes are in use.",
    ),
}).describe("How nodes reach the volumes.");

/** One StorageClass of a pool. */
export const joviandssStorageClassSchema = section({
  name: objectName("joviandss-sc").describe("Name of the StorageClass."),
  fsType: oneOf(["ext4", "ext3", "xfs"]).default("ext4").describe("File system that new volumes get."),
  ...storageClassShape,
  reclaimPolicy: storageClassShape.reclaimPolicy
    .default("Delete")
    .describe("What becomes of a volume when its claim is deleted."),
  accessModes: listOf(
    z.enum(["ReadWriteOnce", "ReadWriteOncePod"], {
      error: (issue) =>
        `${shown(issue.input)} is not possible: the driver does not check access modes, and two nodes that mount one file system destroy it. Use ReadWriteOnce or ReadWriteOncePod`,
    }),
    "the access modes claims may ask for",
    "[ReadWriteOnce]",
  )
    .default(["ReadWriteOnce", "ReadWriteOncePod"])
    .describe("Access modes that claims may ask for; an admission policy in the cluster refuses all others."),
  volumeMode: z
    .literal("Filesystem", {
      error: (issue) =>
        `${shown(issue.input)} is not possible: the driver would format and mount the volume all the same. Use Filesystem`,
    })
    .default("Filesystem")
    .describe("Always Filesystem: the driver has no raw block volumes."),
});

const pool = section({
  name: text("a JovianDSS pool", "Pool-0")
    .refine((value) => /^(?=.*[A-Za-z0-9])[A-Za-z0-9_.:-]{1,40}$/.test(value), {
      error: (issue) =>
        `${shown(issue.input)} is not a pool name; give it as JovianDSS shows it (up to 40 letters, digits and _ . : -), such as Pool-0`,
    })
    .describe("The pool as JovianDSS names it."),
  storageClasses: listOf(
    joviandssStorageClassSchema,
    "the StorageClasses of the pool",
    "[{ name: joviandss-sc }]",
  )
    .optional()
    .describe(
      "The pool's StorageClasses, for instance one for each file system. Default: joviandss-sc (joviandss-sc-<pool> for further pools).",
    ),
  driver: section({
    name: objectName("pool-1.csi.joviandss.open-e.com").describe("The driver name the image was built with."),
    image: image(imageExample).describe("The image that was built with this name."),
  })
    .optional()
    .describe(
      "For every pool after the first: one driver name serves one pool (its configuration has a single pool and it ignores StorageClass parameters), " +
        "so a further pool needs an image built with a name of its own.",
    ),
});

/** `joviandss` without the rules about several of its values. */
export const joviandssForm = section({
  image: image(imageExample).describe(
    "The driver's image. No version is assumed: give the one you tested, best as a digest.",
  ),
  endpoint,
  iscsi,
  pools: listOf(pool, "the pools to make volumes in", "[{ name: Pool-0 }]").describe(
    "The pools that volumes are made in.",
  ),
  logLevel: oneOf(["trace", "debug", "info", "warning", "error", "fatal", "panic"])
    .default("info")
    .describe("How much the driver logs."),
  snapshots: snapshotsSchema("joviandss-snapshot-sc", {}),
  // The driver cannot stop a claim that would destroy data, so the cluster has to (facts: CreateVolume never checks access modes).
  guardAccessModes: flag()
    .default(true)
    .describe(
      "Whether ValidatingAdmissionPolicies (Kubernetes 1.30 and newer) refuse claims and volumes that the driver would wreck: ReadWriteMany, ReadOnlyMany, Block.",
    ),
  ...driverShape({ namespace: "joviandss-csi", healthPort: 29810 }),
});

/**
 * `joviandss` in a stack's file. Values become the driver's cfg.yaml; what the driver requires, ignores or crashes on
 * is checked here, since the driver itself starts on almost anything.
 */
export const joviandssSchema = joviandssForm
  .superRefine((settings, context) => {
    for (const problem of poolProblems(settings.pools))
      context.addIssue({ code: "custom", path: problem.path, message: problem.reason });
  })
  .describe("The JovianDSS CSI driver.");

/** `joviandss` as a stack's file has it, with every default filled in. */
export type JovianDssSettings = z.output<typeof joviandssSchema>;
/** `joviandss` as it may be written. */
export type JovianDssSettingsInput = z.input<typeof joviandssSchema>;
/** A pool with every default filled in. */
export type JovianDssPool = JovianDssSettings["pools"][number];

/** Everything that is wrong with plain JovianDSS settings; none when they can be deployed. */
export function joviandssProblems(settings: unknown): Problem[] {
  return problemsOf(joviandssSchema, settings);
}

/** What is legal but does less than it seems, for the log. */
export function joviandssWarnings(settings: JovianDssSettings): Problem[] {
  const unused = (list: readonly string[], path: string, what: string): Problem[] =>
    list.length < 2
      ? []
      : [
          {
            path,
            reason: `the released driver uses ${list[0]} alone and does not fail over to ${list.slice(1).join(", ")}; give a virtual IP for ${what}`,
          },
        ];
  return [
    ...unused(settings.endpoint.addresses, "endpoint.addresses", "the REST API"),
    ...unused(settings.iscsi.addresses, "iscsi.addresses", "the iSCSI portal"),
    ...(settings.image.includes("@sha256:")
      ? []
      : [{ path: "image", reason: `${settings.image} is a tag, which can be moved; a digest cannot` }]),
    ...(settings.snapshots.enabled
      ? [
          {
            path: "snapshots.enabled",
            reason:
              "snapshots can be taken and deleted, but not restored, and claims cannot be cloned: the driver does not name the source of a volume, so the provisioner deletes the copy and tries again, forever",
          },
        ]
      : []),
  ];
}

function poolProblems(pools: readonly JovianDssPool[]): { path: (string | number)[]; reason: string }[] {
  const problems: { path: (string | number)[]; reason: string }[] = [];
  const drivers = new Map<string, number>();
  const names = new Map<string, number>();
  const classes = new Map<string, string>();
  pools.forEach((entry, index) => {
    const driver = entry.driver?.name ?? joviandssDriverName;
    const other = drivers.get(driver);
    if (other !== undefined) {
      const path =
        entry.driver === undefined ? ["pools", index, "driver"] : ["pools", index, "driver", "name"];
      const reason =
        `driver ${driver} already serves pools[${other}] (${pools[other]?.name}), and two controllers of one name would both answer every claim; ` +
        "give this pool driver.name and driver.image of an image built with another name (docs/joviandss.md)";
      problems.push({ path, reason });
    } else drivers.set(driver, index);
    // Names in the cluster are made of the pool's, and keep fewer characters apart.
    const twin = names.get(slug(entry.name));
    if (twin !== undefined) {
      const reason = `pool ${entry.name} cannot be told from pools[${twin}] (${pools[twin]?.name}) in names of Kubernetes objects`;
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
