import { readFlag, readObject } from "../read.ts";
import type { ResourceHandler } from "./handler.ts";

/**
 * talos:machine/configurationApply:ConfigurationApply. The program has none any more; states of 0.1.0 have. They are refreshed, which reads nothing, and
 * deleted, which touches no machine: that is how the published provider does it, unless `onDestroy.reset` is set.
 */
export const configurationApplyResource: ResourceHandler = {
  async create() {
    throw new Error(
      "the stand-in of the talos plugin applies no configurations: use talos-node:index:NodeConfiguration",
    );
  },

  async delete({ state }) {
    if (readFlag(readObject(state, "onDestroy") ?? {}, "reset") === true) {
      throw new Error("the stand-in of the talos plugin resets no machine: take onDestroy.reset out first");
    }
  },
};
