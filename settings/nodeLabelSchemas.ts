import { z } from "zod";
import { must } from "./messages.ts";

/** Schemas of the labels and taints of nodes and pools; `nodeLabels.ts` checks their contents. */

const labelsText = "a mapping of labels to strings";
const taintsText = "a mapping of taints to strings such as present:NoSchedule";

/** `labels` of a node or pool. */
export const labelsSchema = z.record(z.string(), z.string(must("a string")), must(labelsText)).default({});
/** `taints` of a node or pool. */
export const taintsSchema = z
  .record(z.string(), z.string(must("a string such as present:NoSchedule")), must(taintsText))
  .default({});
