import { join } from "node:path";
import { defineConfig, type Plugin } from "vitest/config";
import config from "../../vitest.config.ts";
import { mutate, type Mutant } from "./mutants.ts";

// The unit and provider tests with one look taken out of the program: the text is changed as it is loaded, the files stay as they are.

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
    // What was transformed without the mutant, or with another one, is not what is to run.
    fsModuleCache: false,
    projects: (config.test?.projects ?? []).map((project) =>
      typeof project === "object" && "test" in project
        ? { ...project, plugins: [plugin], test: { ...project.test, fsModuleCache: false } }
        : project,
    ),
  },
});
