import { test } from "vitest";

export const atNight = process.env["TALOS_ISCSI_NIGHT"] === "true";

/**
 * A variant of something that `npm test` shows once. `npm run test:night` runs the files that have one, whole: vitest.config.ts finds them by this
 * import.
 */
export const nightly = test.runIf(atNight);
