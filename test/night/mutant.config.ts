import { join } from "node:path";
import { defineConfig, type Plugin } from "vitest/config";
import config from "../../vitest.config.ts";
import { mutate, type Mutant } from "./mutants.ts";

// Runs the unit and provider tests with one check removed from the program. The source is changed as it is loaded; the files are not touched.

const root = join(import.meta.dirname, "../..");
const mutant = JSON.parse(process.env["MUTANT"] ?? "null") as Mutant | null;

const plugin: Plugin = {
  name: "mutant",
  enforce: "pre",
  transform(code, id) {
    return mutant !== null && id === join(root, mutant.file)
      ? { code: mutate(code, mutant), map: null }
      : null;
  },
};

export default defineConfig({
  root,
  test: {
    // Never reuse modules transformed without the mutant or with another one.
    fsModuleCache: false,
    projects: (config.test?.projects ?? []).map((project) =>
      typeof project === "object" && "test" in project
        ? { ...project, plugins: [plugin], test: { ...project.test, fsModuleCache: false } }
        : project,
    ),
  },
});
