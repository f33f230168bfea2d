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
  /** For people: `cp1`. */
  name: textSchema,
  node: hostSchema,
  endpoint: textSchema.exactOptional(),
  /** Where nodes are reached that are not at their own addresses. */
  endpoints: endpointsSchema.exactOptional(),
  role: roleSchema,
  /** Addresses of all control planes, this node included if it is one. */
  controlPlanes: z.array(z.string(must("a text")), must("a list of addresses")),
  clientConfiguration: credentialsSchema,
  /** The configuration that the node is to have. */
  machineConfiguration: z.string(configurationText).min(1, configurationText),
  /** The same, redacted: for policies, reports and drift. Absent: it is made of the other. */
  configuration: z.string(mustHidden("a text")).min(1, mustHidden("a text")).exactOptional(),
  /** The patches in it. */
  patches: z.array(z.string(mustHidden("a text")), mustHidden("a list of texts")),
  /** Paths whose loss is accepted. */
  acceptDropped: z.array(z.string(must("a path")), must("a list of paths")).default([]),
  hidden: hiddenSchema.exactOptional(),
  /** The contract that the configuration is made for, such as `v1.12`. */
  contract: contractSchema,
  /** The contract that the cluster's secrets were made for, if this stack made them. */
  createdWith: contractSchema.exactOptional(),
  timeoutSeconds: secondsSchema.default(600),
  /** How the node is drained where its kubelet must not restart under volumes. */
  drain: drainSchema.prefault({}),
  /** How long storage may take to be back after that. */
  storageGate: storageGateSchema.prefault({}),
  /** As for a NodeUpgrade. */
  approval: recordSchema.exactOptional(),
});

/** The same with every default filled in. */
export type NodeConfigurationInputs = z.output<typeof nodeConfigurationSchema>;
