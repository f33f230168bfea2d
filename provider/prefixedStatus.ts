import type { Surroundings } from "./session.ts";

/** Prefixes a shared status line with the node's name, for a resource that reads several nodes. */
export function prefixStatusWithNode(surroundings: Surroundings, name: string): Surroundings {
  return {
    ...surroundings,
    statusOf: (urn) => {
      const sink = surroundings.statusOf(urn);
      return {
        status: (text) => sink.status(`${name}: ${text}`),
        info: (text) => sink.info(text),
        warn: (text) => sink.warn(text),
      };
    },
  };
}
