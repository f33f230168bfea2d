import { isIP } from "node:net";
import { z } from "zod";
import type { TalosCredentials } from "../api/credentials.ts";
import { isRecord } from "../values.ts";
import { parseVersion, VersionError } from "../version.ts";

/** Inputs shared by several resources of the plugin `talos-node`. Errors show the expected and the actual value. */

type Issue = { readonly input?: unknown };

/** States what is expected, and shows the actual value. */
export function must(right: string): { error: (issue: Issue) => string } {
  return { error: ({ input }) => `must be ${right}, not ${showValue(input)}` };
}

/** The same for secrets: the value is not shown. */
export function mustHidden(right: string): { error: () => string } {
  return { error: () => `must be ${right}` };
}

function showValue(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

/** An object with only these keys. @param shown how the error describes a valid one */
export function sectionSchema<Shape extends z.ZodRawShape>(shape: Shape, shown?: string) {
  const keys = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `has unknown keys: ${issue.keys.join(", ")}; known keys: ${keys.join(", ")}`
        : `must be ${shown ?? `{ ${keys.join(", ")} }`}, not ${showValue(issue.input)}`,
  });
}

const isBlank = (text: string): boolean => text.trim() === "";

export const textSchema = z
  .string(must("a string"))
  .refine((text) => !isBlank(text), must("a non-empty string"));
export const textsSchema = z.array(textSchema, must("a list of strings"));
export const flagSchema = z.boolean(must("true or false"));
const secondsText = "a number of seconds greater than 0";
export const secondsSchema = z.number(must(secondsText)).gt(0, must(secondsText));
/** Its contents are checked by their consumers. */
export const recordSchema = z.record(z.string(), z.unknown(), must("an object"));
export const roleSchema = z.enum(["controlplane", "worker"], must('"controlplane" or "worker"'));

/** An address or a host name; a port belongs in `endpoint`. */
export const hostSchema = textSchema.refine(
  (name) => isIP(name) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name),
  must('an address or a host name such as "10.0.0.11"'),
);

/** A Talos release. */
export const releaseSchema = textSchema.superRefine((release, context) => {
  try {
    parseVersion(release);
  } catch (error) {
    if (!(error instanceof VersionError)) throw error;
    context.addIssue({ code: "custom", message: error.message });
  }
});

export const schematicSchema = z
  .string(must("a schematic ID of 64 hexadecimal digits"))
  .regex(/^[0-9a-f]{64}$/, must("a schematic ID of 64 hexadecimal digits"));

const credentialParts = ["caCertificate", "clientCertificate", "clientKey"] as const;
const missingParts = (given: unknown): string[] =>
  credentialParts.filter((part) => !isRecord(given) || !textSchema.safeParse(given[part]).success);

export const credentialsSchema = z.custom<TalosCredentials>((given) => missingParts(given).length === 0, {
  error: ({ input }) =>
    `must have ${credentialParts.join(", ")} of a talosconfig; lacks ${missingParts(input).join(", ")}`,
});

export const kubeconfigSchema = z
  .string(mustHidden("a string"))
  .refine((text) => !isBlank(text), mustHidden("a non-empty string"));

/** Endpoints of nodes that are not reached at their own addresses: lists by address. */
export const endpointsSchema = z.record(
  z.string(),
  z.array(textSchema, must("a list of endpoints")).min(1, must("a list of endpoints")).readonly(),
  must("lists of endpoints by the node's address"),
);

const hiddenText = mustHidden("a value and the keys that lead to it");

/** Values that must not appear in any line, whatever their names: each with the keys that lead to it. */
export const hiddenSchema = z.array(
  z.object(
    {
      value: z.string(hiddenText),
      keys: z.array(z.string(), hiddenText),
      kind: z.string(hiddenText).exactOptional(),
    },
    hiddenText,
  ),
  mustHidden("a list of values"),
);

/** How a node is drained. */
export const drainSchema = sectionSchema(
  {
    enabled: flagSchema.default(true),
    timeoutSeconds: secondsSchema.default(300),
    /** What to do about iSCSI sessions without an attachment. */
    leftoverSessions: z.enum(["refuse", "warn"], must('"refuse" or "warn"')).default("warn"),
    /** What to do about a pod that a budget protects for `blockedTimeoutSeconds`. */
    whenBlocked: z.enum(["stop", "delete"], must('"stop" or "delete"')).default("stop"),
    blockedTimeoutSeconds: secondsSchema.default(120),
  },
  "{ enabled, timeoutSeconds, … }",
);

/** Whether the next node waits for this one's storage; without `enabled` it does if a driver of this program is registered. */
export const storageGateSchema = sectionSchema({
  enabled: flagSchema.exactOptional(),
  timeoutSeconds: secondsSchema.default(300),
});

/** Where etcd snapshots are stored. Recipients are checked by their reader: they are long, and only the age library knows all forms. */
export const etcdSnapshotSchema = sectionSchema({
  /** The cluster's name: several clusters may share the folder. */
  cluster: textSchema,
  directory: textSchema,
  /** How many of this cluster's newest snapshots to keep. */
  keep: z.int(must("a number of at least 1")).min(1, must("a number of at least 1")),
  /** Recipients in age's notation, `age1…`. Empty: plain text. */
  ageRecipients: textsSchema,
});

export type SnapshotSettings = z.output<typeof etcdSnapshotSchema>;
