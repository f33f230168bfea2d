import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Rollouts that are struck by every fault, and killed: many upgrades one after the other. `npm run test:night` has them.
const night = [
  "test/lab/crash.test.ts",
  "test/lab/rolloutFaults.test.ts",
  "test/tools/mergeFuzz.test.ts",
  "test/night/**/*.test.ts",
];

// Tests with variants that only the night has time for. Each builds on the ones before it, so it runs the whole file.
const withVariants = ["test/lab", "test/tools"].flatMap((folder) =>
  readdirSync(join(import.meta.dirname, folder))
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `${folder}/${name}`)
    .filter((path) =>
      /from "[./a-z]*\/nightly\.ts"/.test(readFileSync(join(import.meta.dirname, path), "utf8")),
    ),
);

// A lab needs the addresses to itself and may have to wait for tools to be built.
const lab = {
  testTimeout: 600_000,
  hookTimeout: 1_800_000,
  fileParallelism: false,
  sequence: { groupOrder: 1 },
};

// Unit, provider and tool tests run side by side, lab tests one file after the other when those are done.
export default defineConfig({
  test: {
    // Vitest leaves one core idle, which is half of a machine with two.
    maxWorkers: "100%",
    // `npm run coverage`, by the unit and provider tests: the lab's run the program in processes of their own, which are not counted.
    coverage: {
      provider: "v8",
      include: [
        "index.ts",
        "config.ts",
        "settings",
        "components",
        "talos",
        "provider",
        "policy",
        "report",
      ].map((name) => (name.endsWith(".ts") ? name : `${name}/**/*.ts`)),
      reporter: ["text-summary", "html"],
      // A little below what was measured.
      thresholds: {
        "{components,settings,talos}/**": { statements: 94 },
        "provider/**": { statements: 83 },
        "policy/**": { statements: 65 },
      },
    },
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          // Loading the SDKs for each file anew takes longer than the tests. Each test leaves the process as it was.
          isolate: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "provider",
          include: ["test/provider/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: "tools",
          include: ["test/tools/**/*.test.ts"],
          exclude: night,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      { test: { name: "lab", include: ["test/lab/**/*.test.ts"], exclude: night, ...lab } },
      {
        test: {
          name: "night",
          include: [...night, ...withVariants],
          env: { TALOS_ISCSI_NIGHT: "true" },
          ...lab,
          testTimeout: 3_600_000, // 40 kills are one test, 50,000 clusters another
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
