import { readFlag, readObject } from "../read.ts";
import type { ResourceHandler } from "./handler.ts";

/**
 * talos:machine/configurationApply:ConfigurationApply. The program no longer uses it, but states from 0.1.0 contain it. A refresh reads nothing and a
 * delete touches no machine, as in the published provider, unless `onDestroy.reset` is set.
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
