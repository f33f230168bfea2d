/**
 * Nested objects as a program writes them. Where a type exists in two forms, `X` is plain (for a function that is
 * called at once) and `XArgs` takes outputs and promises too. Types of resource inputs only exist in the second form.
 */
export type * as client from "./input/client.ts";
export type * as cluster from "./input/cluster.ts";
export type * as imageFactory from "./input/imageFactory.ts";
export type * as machine from "./input/machine.ts";
