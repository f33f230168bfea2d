import { test } from "vitest";

export const atNight = process.env["TALOS_ISCSI_NIGHT"] === "true";

/**
 * A variant of something that `npm test` already covers. `npm run test:night` runs every file that has one, with all its tests: vitest.config.ts finds
 * them by this import.
 */
export const nightly = test.runIf(atNight);
