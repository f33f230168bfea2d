import { z } from "zod";
import {
  credentialsSchema,
  drainSchema,
  endpointsSchema,
  hiddenSchema,
  hostSchema,
  must,
  mustHidden,
  recordSchema,
  roleSchema,
  secondsSchema,
  storageGateSchema,
  textSchema,
} from "./fields.ts";

const configurationText = mustHidden("a machine configuration");
const contractSchema = z
  .string(must('a contract such as "v1.12"'))
  .min(1, must('a contract such as "v1.12"'));

/** The inputs of a NodeConfiguration. */
export const nodeConfigurationSchema = z.strictObject({
  /** For messages: `cp1`. */
  name: textSchema,
  node: hostSchema,
  endpoint: textSchema.exactOptional(),
  /** Endpoints of nodes that are not reached at their own addresses. */
  endpoints: endpointsSchema.exactOptional(),
  role: roleSchema,
  /** Addresses of all control planes, including this node if it is one. */
  controlPlanes: z.array(z.string(must("a string")), must("a list of addresses")),
  clientConfiguration: credentialsSchema,
  /** The node's desired configuration. */
  machineConfiguration: z.string(configurationText).min(1, configurationText),
  /** The same, redacted: for policies, reports and drift. Absent: it is derived from the other. */
  configuration: z.string(mustHidden("a string")).min(1, mustHidden("a string")).exactOptional(),
  /** Its patches. */
  patches: z.array(z.string(mustHidden("a string")), mustHidden("a list of strings")),
  /** Paths whose loss is accepted. */
  acceptDropped: z.array(z.string(must("a path")), must("a list of paths")).default([]),
  hidden: hiddenSchema.exactOptional(),
  /** The contract the configuration is generated for, such as `v1.12`. */
  contract: contractSchema,
  /** The contract the cluster's secrets were generated for, if this stack generated them. */
  createdWith: contractSchema.exactOptional(),
  timeoutSeconds: secondsSchema.default(600),
  /** How to drain the node if its kubelet must not restart under volumes. */
  drain: drainSchema.prefault({}),
  /** Time limit for storage to recover after that. */
  storageGate: storageGateSchema.prefault({}),
  /** What to do if a machine lacks hardware that its first configuration names. Absent: refuse. */
  checkHardware: z.enum(["refuse", "warn", "off"], must('"refuse", "warn" or "off"')).exactOptional(),
  /** As for a NodeUpgrade. */
  approval: recordSchema.exactOptional(),
});

/** The same with all defaults. */
export type NodeConfigurationInputs = z.output<typeof nodeConfigurationSchema>;
