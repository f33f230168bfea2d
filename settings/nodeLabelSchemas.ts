import { z } from "zod";
import { must } from "./messages.ts";

/** How labels and taints of nodes and pools look in the settings; `nodeLabels.ts` checks what they say. */

const labelsText = "a mapping of labels to texts";
const taintsText = "a mapping of taints to texts such as present:NoSchedule";

/** `labels` of a node or pool. */
export const labelsSchema = z.record(z.string(), z.string(must("a text")), must(labelsText)).default({});
/** `taints` of a node or pool. */
export const taintsSchema = z
  .record(z.string(), z.string(must("a text such as present:NoSchedule")), must(taintsText))
  .default({});
