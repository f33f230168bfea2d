import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { bundle, changed, outcome, talosconfig } from "./settings/example.ts";
import { changedStacks, stacksIn } from "../../tools/stacks.ts";

const root = join(import.meta.dirname, "../..");
const folder = ".github/workflows";

interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}
interface Job {
  permissions?: Record<string, string>;
  environment?: string;
  "timeout-minutes"?: number;
  steps: Step[];
}
interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

function read(name: string): { text: string; workflow: Workflow; jobs: Job[]; steps: Step[] } {
  const text = readFileSync(join(root, folder, name), "utf8");
  const workflow = parse(text) as Workflow;
  const jobs = Object.values(workflow.jobs);
  return { text, workflow, jobs, steps: jobs.flatMap(({ steps }) => steps) };
}

function pulumiOf(name: string): Record<string, unknown> {
  const step = read(name).steps.find(({ uses }) => uses?.startsWith("pulumi/actions@"));
  return step?.with ?? {};
}

const scripts = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }).scripts;

describe.each(readdirSync(join(root, folder)))("%s", (name) => {
  it("may only read unless a job says why, and has an end", () => {
    const { workflow, jobs } = read(name);
    expect(workflow.permissions).toEqual({ contents: "read" });
    for (const job of jobs) {
      expect(job["timeout-minutes"]).toBeGreaterThan(0);
      const writes = Object.entries(job.permissions ?? {}).filter(([, level]) => level !== "read");
      expect(["[]", '[["pull-requests","write"]]', '[["issues","write"]]']).toContain(JSON.stringify(writes));
    }
  });

  it("takes actions by their major version, and Node 24", () => {
    const { steps } = read(name);
    const actions = steps.flatMap(({ uses }) => uses ?? []);
    expect(actions.length).toBeGreaterThan(0);
    expect(actions.filter((action) => !/^[\w-]+\/[\w-]+@v\d+$/.test(action))).toEqual([]);
    const nodes = steps.filter(({ uses }) => uses?.startsWith("actions/setup-node@"));
    expect(nodes.length).toBeGreaterThan(0);
    expect(nodes.map((step) => step.with?.["node-version"])).toEqual(nodes.map(() => 24));
  });

  it("keeps what others may write out of its shell, and the repository's token out of the folder", () => {
    const { steps } = read(name);
    expect(steps.filter(({ run }) => run?.includes("${{"))).toEqual([]);
    const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"));
    expect(checkouts.map((step) => step.with?.["persist-credentials"])).toEqual(checkouts.map(() => false));
  });

  it("names scripts and files that are there", () => {
    const { text, steps } = read(name);
    const runs = steps.flatMap(({ run }) => run ?? []).join("\n");
    const named = [...runs.matchAll(/npm run ([\w:-]+)/g)].map(([, script]) => script);
    expect(named.filter((script) => !(script !== undefined && script in scripts))).toEqual([]);
    const programs = [...runs.matchAll(/node ((?:[\w-]+\/)+[\w.-]+\.ts)/g)].map(([, file]) => file ?? "");
    expect(programs.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    const patterns = [...text.matchAll(/hashFiles\(([^)]*)\)/g)].flatMap(([, list = ""]) =>
      [...list.matchAll(/'([^']+)'/g)].map(([, pattern]) => pattern ?? ""),
    );
    const versionFiles = steps.flatMap((step) => step.with?.["go-version-file"] ?? []) as string[];
    const empty = [...patterns, ...versionFiles].filter((path) => globSync(path, { cwd: root }).length === 0);
    expect(empty).toEqual([]);
    for (const [page] of text.matchAll(/docs\/[\w-]+\.md/g)) expect(existsSync(join(root, page))).toBe(true);
  });
});

describe("what the workflows do with a stack", () => {
  it("previews it as a comment on the pull request", () => {
    expect(Object.keys(read("preview.yml").workflow.on)).toEqual(["pull_request"]);
    expect(pulumiOf("preview.yml")).toMatchObject({ command: "preview", diff: true, "comment-on-pr": true });
    const { policyPacks, policyPackConfigs } = pulumiOf("preview.yml") as Record<string, string>;
    expect(existsSync(join(root, policyPacks ?? "", "PulumiPolicy.yaml"))).toBe(true);
    expect(JSON.parse(readFileSync(join(root, policyPackConfigs ?? ""), "utf8"))).toBeTypeOf("object");
  });

  it("deploys it after the merge, behind its environment, and shows no outputs", () => {
    const { workflow } = read("up.yml");
    expect(workflow.on).toMatchObject({ push: { branches: ["main"] } });
    expect(workflow.jobs["up"]?.environment).toBe("${{ matrix.stack }}");
    expect(pulumiOf("up.yml")).toMatchObject({ command: "up", "suppress-outputs": true });
  });

  it("keeps a preview and a rollout as pages, failed ones too", () => {
    for (const [name, command] of [
      ["preview.yml", "preview:report"],
      ["up.yml", "rollout:report"],
    ] as const) {
      const { steps } = read(name);
      const report = steps.findIndex(({ run }) => run?.includes(`npm run ${command} --silent -- --stack`));
      expect(steps[report]).toMatchObject({
        if: expect.stringMatching(/!cancelled\(\)|always\(\)/) as string,
      });
      expect(steps[report + 1]?.uses).toMatch(/^actions\/upload-artifact@/);
    }
  });

  it("accepts a real cluster by night, with a stack whose settings are right", () => {
    const runs = read("acceptance.yml").steps.map(({ run }) => run ?? "");
    expect(runs.join("\n")).toMatch(
      /pulumi stack init night\n *npm run accept --silent -- --stack night --up$/m,
    );
    const file = readFileSync(join(root, "test/acceptance/Pulumi.night.yaml"), "utf8");
    const { config } = parse(file) as { config: Record<string, unknown> };
    const settings = Object.entries(config).map(([key, value]) => [key.replace(/^talos-iscsi:/, ""), value]);
    const night = Object.fromEntries(settings) as Record<string, unknown>;
    expect(outcome(changed(night, { "cluster.secrets": { bundle, talosconfig } })).problems).toEqual([]);
  });

  it("takes the published plugins in the tests of every change", () => {
    for (const name of ["ci.yml", "night.yml"]) {
      const { steps } = read(name);
      const at = (wanted: RegExp) => steps.findIndex(({ uses, run }) => wanted.test(uses ?? run ?? ""));
      expect(at(/^pulumi\/actions@/)).toBeGreaterThan(0);
      expect(at(/^npm run lab -- plugins$/)).toBeGreaterThan(at(/^pulumi\/actions@/));
      expect(at(/^npm (run )?test/)).toBeGreaterThan(at(/^npm run lab -- plugins$/));
    }
  });

  it("looks for drift by night, and tells", () => {
    const { workflow, steps } = read("drift.yml");
    expect(workflow.on).toHaveProperty("schedule");
    expect(pulumiOf("drift.yml")).toMatchObject({
      command: "preview",
      refresh: true,
      "expect-no-changes": true,
    });
    expect(steps.at(-1)?.run).toContain("gh issue create");
  });
});

describe("the stacks of a change", () => {
  const stacks = ["prod", "staging"];

  it("are those of environments: not the lab's, the template or an example", () => {
    const files = [
      "Pulumi.yaml",
      "Pulumi.prod.yaml",
      "Pulumi.staging.yaml",
      "Pulumi.prod-eu.1.yaml",
      "index.ts",
    ];
    expect(stacksIn([...files, ...readdirSync(root)])).toEqual(["prod", "prod-eu.1", "staging"]);
  });

  it.each<[string, string[] | undefined, string[]]>([
    ["its own file", ["Pulumi.prod.yaml"], ["prod"]],
    ["the program", ["components/talosCluster.ts"], stacks],
    ["a setting's meaning", ["settings/schema.ts"], stacks],
    ["the project", ["Pulumi.yaml"], stacks],
    ["a dependency", ["package-lock.json"], stacks],
    ["the provider and a stack", ["provider/upgrade.ts", "Pulumi.prod.yaml"], stacks],
    [
      "documentation, tests, the lab and the pipeline",
      [
        "README.md",
        "docs/lab.md",
        "test/unit/config.test.ts",
        "lab/cli.ts",
        "policy/images.ts",
        ".github/workflows/up.yml",
        ".gitignore",
      ],
      [],
    ],
    [
      "an example and the lab's stack",
      ["Pulumi.prod.example.yaml", "Pulumi.dev.yaml", "settings.schema.json"],
      [],
    ],
    ["nothing", [], []],
    ["what cannot be compared", undefined, stacks],
  ])("for %s", (_, changed, expected) => {
    expect(changedStacks(stacks, changed)).toEqual(expected);
  });
});
