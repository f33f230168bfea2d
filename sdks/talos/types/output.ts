/** Nested objects as the provider returns them. */
export type * as client from "./output/client.ts";
export type * as cluster from "./output/cluster.ts";
export type * as imageFactory from "./output/imageFactory.ts";
export type * as machine from "./output/machine.ts";
