import { isIP } from "node:net";
import { z } from "zod";
import type { TalosCredentials } from "../api/credentials.ts";
import { isRecord } from "../values.ts";
import { parseVersion, VersionError } from "../version.ts";

/** Inputs that several resources of the plugin `talos-node` share. Errors say what is expected and what was given. */

type Issue = { readonly input?: unknown };

/** Says what is expected, and shows what was given. */
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

/** An object with these keys and no others. @param shown how the error describes a valid one */
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

export const textSchema = z.string(must("a text")).refine((text) => !isBlank(text), must("a text"));
export const textsSchema = z.array(textSchema, must("a list of texts"));
export const flagSchema = z.boolean(must("true or false"));
const secondsText = "a number of seconds greater than 0";
export const secondsSchema = z.number(must(secondsText)).gt(0, must(secondsText));
/** What is in it is judged where it is used. */
export const recordSchema = z.record(z.string(), z.unknown(), must("an object"));
export const roleSchema = z.enum(["controlplane", "worker"], must('"controlplane" or "worker"'));

/** An address or a host name; a port belongs into `endpoint`. */
export const hostSchema = textSchema.refine(
  (name) => isIP(name) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name),
  must('an address or a host name such as "10.0.0.11"'),
);

/** A release of Talos. */
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
  .string(mustHidden("a text"))
  .refine((text) => !isBlank(text), mustHidden("a text"));

/** Where nodes are reached that are not at their own addresses: lists of endpoints by address. */
export const endpointsSchema = z.record(
  z.string(),
  z.array(textSchema, must("a list of endpoints")).min(1, must("a list of endpoints")).readonly(),
  must("lists of endpoints by the node's address"),
);

const hiddenText = mustHidden("a value and the keys that lead to it");

/** Values that no line shows, whatever their names: each with the keys that lead to it. */
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
    /** What becomes of iSCSI sessions that belong to no attachment. */
    leftoverSessions: z.enum(["refuse", "warn"], must('"refuse" or "warn"')).default("warn"),
    /** What becomes of a pod that a budget holds for `blockedTimeoutSeconds`. */
    whenBlocked: z.enum(["stop", "delete"], must('"stop" or "delete"')).default("stop"),
    blockedTimeoutSeconds: secondsSchema.default(120),
  },
  "{ enabled, timeoutSeconds, … }",
);

/** Whether the next node waits for this one's storage; without `enabled` it does where a driver of this program is registered. */
export const storageGateSchema = sectionSchema({
  enabled: flagSchema.exactOptional(),
  timeoutSeconds: secondsSchema.default(300),
});

/** Where snapshots of etcd go. Recipients are judged where they are read: their texts are long, and only the age library knows all forms. */
export const etcdSnapshotSchema = sectionSchema({
  /** The cluster's name: the folder may be that of several. */
  cluster: textSchema,
  directory: textSchema,
  /** How many of this cluster stay, the newest. */
  keep: z.int(must("a number of at least 1")).min(1, must("a number of at least 1")),
  /** Recipients in age's own notation, `age1…`. Empty: in plain text. */
  ageRecipients: textsSchema,
});

export type SnapshotSettings = z.output<typeof etcdSnapshotSchema>;
