import type { Surroundings } from "./session.ts";

/** The one status line of a resource that looks at several nodes says which node it speaks of. */
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
