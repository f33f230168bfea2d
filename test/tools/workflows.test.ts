import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { bundle, withValues, parseOutcome, talosconfig } from "../unit/settings/example.ts";
import { changedStacks, groupByStage, mostStages, stacksIn } from "../../tools/stacks.ts";

const root = join(import.meta.dirname, "../..");
const folder = ".github/workflows";
const setup = ".github/actions/setup/action.yml";

interface Step {
  name?: string;
  id?: string;
  uses?: string;
  run?: string;
  if?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}
interface Job {
  needs?: string | string[];
  if?: string;
  uses?: string;
  permissions?: Record<string, string>;
  outputs?: Record<string, string>;
  environment?: string;
  env?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": boolean };
  "timeout-minutes"?: number;
  steps?: Step[];
}
interface Workflow {
  on: Record<string, unknown>;
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

const text = (path: string) => readFileSync(join(root, path), "utf8");
const workflowOf = (name: string) => parse(text(join(folder, name))) as Workflow;
const stepsOf = (name: string) => Object.values(workflowOf(name).jobs).flatMap(({ steps }) => steps ?? []);
const action = parse(text(setup)) as { runs: { steps: Step[] } };
const scripts = (JSON.parse(text("package.json")) as { scripts: object }).scripts;

const files = [
  ...readdirSync(join(root, folder)).map((name) => ({ path: join(folder, name), steps: stepsOf(name) })),
  { path: setup, steps: action.runs.steps },
];

describe.each(files)("$path", ({ path, steps }) => {
  it("pins actions by commit, and uses Node.js 24 and the Pulumi CLI from .pulumi.version", () => {
    const uses = [...text(path).matchAll(/uses: (.+)/g)].map(([, value]) => value ?? "");
    const pinned = /^(\.\/\.github\/\S+|[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$/;
    expect(uses.filter((value) => !pinned.test(value))).toEqual([]);
    for (const step of steps) {
      if (step.uses?.startsWith("actions/setup-node@")) expect(step.with?.["node-version"]).toBe(24);
      if (step.uses?.startsWith("pulumi/actions@"))
        expect(step.with?.["pulumi-version-file"]).toBe(".pulumi.version");
    }
  });

  it("keeps untrusted input out of shell scripts, and the repository's token out of the working copy", () => {
    expect(steps.filter(({ run }) => run?.includes("${{"))).toEqual([]);
    const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"));
    expect(checkouts.map((step) => step.with?.["persist-credentials"])).toEqual(checkouts.map(() => false));
  });

  it("names scripts and files that exist", () => {
    const runs = steps.flatMap(({ run }) => run ?? []).join("\n");
    const named = [...runs.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, script]) => script);
    expect(named.filter((script) => !(script !== undefined && script in scripts))).toEqual([]);
    const programs = [...runs.matchAll(/node ((?:[\w-]+\/)+[\w.-]+\.ts)/g)].map(([, file = ""]) =>
      file.replace(/^newest\//, ""),
    );
    const local = [...text(path).matchAll(/uses: \.\/(\S+)/g)].map(([, file]) => file ?? "");
    expect([...programs, ...local].filter((file) => !existsSync(join(root, file)))).toEqual([]);
    const patterns = [...text(path).matchAll(/hashFiles\(([^)]*)\)/g)].flatMap(([, list = ""]) =>
      [...list.matchAll(/'([^']+)'/g)].map(([, pattern]) => pattern ?? ""),
    );
    const versionFiles = steps.flatMap((step) => step.with?.["go-version-file"] ?? []) as string[];
    const empty = [...patterns, ...versionFiles].filter((glob) => globSync(glob, { cwd: root }).length === 0);
    expect(empty).toEqual([]);
    for (const [page] of text(path).matchAll(/docs\/[\w-]+\.md/g))
      expect(existsSync(join(root, page))).toBe(true);
  });
});

describe.each(readdirSync(join(root, folder)))("jobs of %s", (name) => {
  it("only have read permissions unless a job declares more, and have a timeout", () => {
    const { permissions, jobs } = workflowOf(name);
    expect(permissions).toEqual({ contents: "read" });
    for (const { uses, permissions: own = {}, "timeout-minutes": minutes } of Object.values(jobs)) {
      if (uses === undefined) expect(minutes).toBeGreaterThan(0);
      const writes = Object.entries(own).filter(([, level]) => level !== "read");
      const release = '[["contents","write"],["id-token","write"]]';
      expect(["[]", '[["pull-requests","write"]]', '[["issues","write"]]', release]).toContain(
        JSON.stringify(writes),
      );
    }
  });

  it("get secrets only from an environment, and only in steps that run pulumi, never in actions or install scripts", () => {
    const withSecret = (value: unknown): boolean =>
      /\$\{\{[^}]*\bsecrets\b/.test(JSON.stringify(value ?? null));
    expect(withSecret({ ...workflowOf(name), jobs: undefined })).toBe(false);
    for (const [id, { steps = [], ...job }] of Object.entries(workflowOf(name).jobs)) {
      expect(withSecret(job), id).toBe(false);
      const holders = steps.filter(withSecret);
      if (holders.length > 0) expect(job.environment, id).toMatch(/stack \}\}/);
      for (const { run, uses } of holders) {
        expect(uses).toBeUndefined();
        expect(run).toMatch(/^ *(pulumi|npm run --silent (preview|rollout):report) /m);
        expect(run).not.toMatch(/npm (ci|install)|npx /);
      }
    }
  });
});

describe("what the workflows do with a stack", () => {
  it("plan, up and drift wait for each other", () => {
    const jobs = [
      workflowOf("deploy.yml").jobs["plan"],
      workflowOf("deploy.yml").jobs["up"],
      workflowOf("drift.yml").jobs["drift"],
    ];
    for (const job of jobs) {
      expect(job?.concurrency?.group).toMatch(/^stack-\$\{\{ (inputs|matrix)\.stack \}\}$/);
      expect(job?.concurrency?.["cancel-in-progress"]).toBe(false);
    }
  });

  it("a stage only starts if no stage before it failed", () => {
    const { jobs } = workflowOf("up.yml");
    for (let stage = 2; stage <= mostStages; stage++) {
      const job = jobs[`stage${stage}`];
      const before = Array.from({ length: stage - 1 }, (_, index) => `stage${index + 1}`);
      expect(job?.needs).toEqual(["order", ...before]);
      expect(job?.if).toContain(
        "!cancelled() && !failure() && !contains(needs.*.result, 'cancelled') && needs.order.outputs",
      );
    }
    expect(Object.keys(jobs)).toHaveLength(mostStages + 1);
  });

  it("a manual run deploys the default branch, and accepts the loss of storage for one stack only", () => {
    const { order } = workflowOf("up.yml").jobs;
    expect(order?.if).toBe("github.ref_name == github.event.repository.default_branch");
    expect(workflowOf("up.yml").on).toMatchObject({ push: { branches: ["main"] } });
  });

  it("no code from a fork runs with a secret", () => {
    for (const name of readdirSync(join(root, folder)))
      expect(Object.keys(workflowOf(name).on)).not.toContain("pull_request_target");
    expect(Object.keys(workflowOf("preview.yml").on)).toEqual(["pull_request"]);
    expect(workflowOf("preview.yml").jobs["stacks"]?.if).toContain(
      "head.repo.full_name == github.repository",
    );
  });

  it("the nightly acceptance run uses a stack with valid settings", () => {
    const { config } = parse(text("test/acceptance/Pulumi.night.yaml")) as {
      config: Record<string, unknown>;
    };
    const settings = Object.entries(config).map(([key, value]) => [key.replace(/^talos-iscsi:/, ""), value]);
    const night = Object.fromEntries(settings) as Record<string, unknown>;
    const { ARRAY_PASSWORD: password } = workflowOf("acceptance.yml").jobs["qemu"]?.env ?? {};
    vi.stubEnv("ARRAY_PASSWORD", password);
    expect(parseOutcome(withValues(night, { "cluster.secrets": { bundle, talosconfig } })).problems).toEqual(
      [],
    );
    vi.unstubAllEnvs();
  });

  it("the tests of every change use the published plugins", () => {
    for (const name of ["ci.yml", "night.yml"]) {
      const steps = stepsOf(name);
      const at = (wanted: RegExp) => steps.findIndex(({ uses, run }) => wanted.test(uses ?? run ?? ""));
      expect(at(/^pulumi\/actions@/)).toBeGreaterThan(0);
      expect(at(/^npm run lab -- plugins$/)).toBeGreaterThan(at(/^pulumi\/actions@/));
      expect(at(/^npm (run )?test/)).toBeGreaterThan(at(/^npm run lab -- plugins$/));
    }
  });
});

describe("shell steps", () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "workflow-"));
    mkdirSync(join(home, "bin"));
  });
  afterEach(() => {
    rmSync(home, { recursive: true, force: true });
  });

  /** A program on PATH that records its arguments and runs the given shell script. */
  function program(name: string, does: string): void {
    const path = join(home, "bin", name);
    writeFileSync(path, `#!/bin/bash\necho "${name} $*" >> "$CALLS"\n${does}\n`);
    chmodSync(path, 0o755);
  }

  /** Runs a step like the runner does. */
  function runStep(name: string, wanted: string, env: Record<string, string> = {}) {
    const step = stepsOf(name).find((one) => one.name === wanted || one.id === wanted);
    const paths = { CALLS: "calls", GITHUB_OUTPUT: "output", GITHUB_STEP_SUMMARY: "summary" };
    for (const file of Object.values(paths)) writeFileSync(join(home, file), "");
    const given = Object.entries(paths).map(([key, file]) => [key, join(home, file)]);
    const { status, stdout, stderr } = spawnSync("bash", ["-e", "-c", step?.run ?? "exit 99"], {
      cwd: home,
      encoding: "utf8",
      env: {
        PATH: `${join(home, "bin")}:${process.env["PATH"] ?? ""}`,
        STACK: "acme/prod",
        ...(Object.fromEntries(given) as Record<string, string>),
        ...env,
      },
    });
    const read = (file: string) => readFileSync(join(home, file), "utf8");
    return { status, stdout, stderr, calls: read("calls"), output: read("output"), summary: read("summary") };
  }

  /** A fake npm with the exit codes of its scripts. A report writes its file and the variables for the next job. */
  function npm(codes: Record<string, number> = {}): void {
    const cases = Object.entries(codes).map(([script, code]) => `*" ${script} "*) exit ${code};;`);
    program(
      "npm",
      `mkdir -p reports; case " $* " in *" preview:report "*) echo "# the report" > reports/preview-prod.md;; esac
case "$*" in *--variables*) echo TALOS_ISCSI_CHANGES=true >> "$GITHUB_OUTPUT";; esac
case " $* " in *" policy "*) echo "the policies' words";; *" rollout:report "*) echo "the rollout's table";; esac
case " $* " in ${cases.join("\n")} *) exit 0;; esac`,
    );
  }

  it("a plan is a single preview, and refuses the loss of storage unless it was accepted", () => {
    program("pulumi", "echo '{}'; echo plan > update.plan");
    npm();
    const refusing = runStep("deploy.yml", "Plan", { REFUSE: "--refuse-storage-loss" });
    expect(refusing).toMatchObject({
      status: 0,
      summary: "# the report\n",
      output: expect.stringMatching(
        /^TALOS_ISCSI_CHANGES=true\nsaved=[0-9a-f]{64} {2}update\.plan\n$/,
      ) as string,
    });
    expect(refusing.calls.match(/^pulumi preview .*--save-plan update\.plan/gm)).toHaveLength(1);
    expect(refusing.calls).toMatch(/preview:report .*--refuse-storage-loss/);
    expect(refusing.calls).toContain("policy -- --from preview.json");
    expect(runStep("deploy.yml", "Plan", { REFUSE: "" }).calls).not.toContain("--refuse-storage-loss");
  });

  it.each<[string, string, Record<string, number>, number]>([
    ["the preview failed", "exit 255", {}, 255],
    ["storage would be lost", "echo '{}'", { "preview:report": 4 }, 4],
    ["a policy was violated", "echo '{}'", { policy: 1 }, 1],
  ])("neither the plan nor the preview succeeds when %s", (_, does, codes, status) => {
    program("pulumi", does);
    npm(codes);
    const plan = runStep("deploy.yml", "Plan", { REFUSE: "--refuse-storage-loss" });
    expect(plan).toMatchObject({ status, summary: "# the report\n" });
    if (!("preview:report" in codes))
      expect(runStep("preview.yml", "Preview")).toMatchObject({ status, summary: "# the report\n" });
  });

  /** Writes a saved plan, and returns what the job that created it reported about it. */
  function savedPlan(content = "the plan"): Record<string, string> {
    writeFileSync(join(home, "update.plan"), content);
    return { SAVED: `${createHash("sha256").update(content).digest("hex")}  update.plan` };
  }

  it("a saved plan that was replaced or deleted is not deployed", () => {
    program("pulumi", "echo '{}'; [ $1 != preview ] || echo 'the plan' > update.plan");
    npm();
    const { output } = runStep("deploy.yml", "Plan", { REFUSE: "" });
    const saved = /^saved=(.+)$/m.exec(output)?.[1] ?? "";
    expect(workflowOf("deploy.yml").jobs["plan"]?.outputs?.["saved"]).toContain("outputs.saved");
    const up = stepsOf("deploy.yml").find(({ name }) => name === "Up");
    expect(up?.env?.["SAVED"]).toContain("needs.plan.outputs.saved");
    expect(runStep("deploy.yml", "Up", { SAVED: saved, APPROVED: "abc" })).toMatchObject({
      status: 0,
      calls: expect.stringContaining("pulumi up") as string,
    });
    for (const replaced of [() => savedPlan("another plan"), () => rmSync(join(home, "update.plan"))]) {
      replaced();
      const { status, calls } = runStep("deploy.yml", "Up", { SAVED: saved, APPROVED: "abc" });
      expect({ deployed: status === 0, calls }).toEqual({ deployed: false, calls: "" });
    }
    savedPlan();
    // If the output is lost too, nothing is known about the plan, and nothing is deployed.
    expect(runStep("deploy.yml", "Up", { SAVED: "" }).calls).toBe("");
  });

  it("a run that lost its digest approves nothing", () => {
    const up = stepsOf("deploy.yml").find(({ name }) => name === "Up");
    expect(up?.env?.["APPROVED"]).toBe("${{ needs.plan.outputs.approved || 'none' }}");
  });

  it("an old run is not deployed after its stack has changed on the default branch", () => {
    const newest = join(home, "newest");
    const git = (...args: string[]): string =>
      execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], {
        cwd: newest,
        encoding: "utf8",
      }).trim();
    /** Runs the check for newer commits as in the run of `sha`. */
    const deployed = (sha: string): boolean => {
      program("node", `exec "${process.execPath}" "$@"`);
      cpSync(newest, join(home, "kept"), { recursive: true });
      const { status } = runStep("deploy.yml", "Nothing newer", { GITHUB_SHA: sha, NAME: "prod" });
      expect(existsSync(newest)).toBe(false);
      cpSync(join(home, "kept"), newest, { recursive: true });
      return status === 0;
    };
    mkdirSync(join(newest, "tools"), { recursive: true });
    for (const file of ["tools/changedStacks.ts", "tools/stacks.ts", "package.json"])
      cpSync(join(root, file), join(newest, file));
    writeFileSync(join(newest, "stages.json"), '[["staging"], ["prod"]]');
    const commit = (file: string): string => {
      writeFileSync(join(newest, file), String(Math.random()));
      git("add", ".");
      git("commit", "--quiet", "--message", file);
      return git("rev-parse", "HEAD");
    };
    git("init", "--quiet");
    commit("Pulumi.prod.yaml");
    const run = commit("Pulumi.staging.yaml");
    expect(deployed(run)).toBe(true);
    commit("README.md");
    commit("Pulumi.staging.yaml");
    expect(deployed(run)).toBe(true);
    commit("Pulumi.prod.yaml");
    expect(deployed(run)).toBe(false);
    const next = git("rev-parse", "HEAD");
    expect(deployed(next)).toBe(true);
    commit("index.ts");
    expect(deployed(next)).toBe(false);
  });

  it("the loss of storage can only be accepted for a named stack, never for all", () => {
    program("node", 'echo "stage1=[]"');
    const all = runStep("up.yml", "order", { ACCEPT: "true", STACK: "", BEFORE: "" });
    expect({ failed: all.status !== 0, calls: all.calls }).toEqual({ failed: true, calls: "" });
    expect(runStep("up.yml", "order", { ACCEPT: "true", STACK: "prod", BEFORE: "" })).toMatchObject({
      status: 0,
      calls: "node tools/changedStacks.ts --stack prod\n",
    });
  });

  it("the deployment checks the policies again", () => {
    program("pulumi", "exit 3");
    const up = runStep("deploy.yml", "Up", savedPlan());
    expect(up.status).toBe(3);
    expect(up.calls).toMatch(
      /^pulumi up --stack acme\/prod --plan update\.plan --yes .*--policy-pack policy --policy-pack-config/,
    );
    const { policyPack = "", config = "" } =
      /--policy-pack (?<policyPack>\S+) --policy-pack-config (?<config>\S+)/.exec(up.calls)?.groups ?? {};
    expect(existsSync(join(root, policyPack, "PulumiPolicy.yaml"))).toBe(true);
    expect(JSON.parse(text(config))).toBeTypeOf("object");
  });

  it("up gets the digest of the approved plan, and the file that explains the differences", () => {
    program("pulumi", 'echo "approved $TALOS_ISCSI_APPROVED_PLAN" >> "$GITHUB_OUTPUT"');
    npm();
    expect(stepsOf("deploy.yml").find(({ id }) => id === "plan")?.env).toMatchObject({
      TALOS_ISCSI_APPROVED_PLAN: "none",
    });
    expect(workflowOf("deploy.yml").jobs["plan"]?.outputs?.["approved"]).toContain(
      "TALOS_ISCSI_APPROVED_PLAN",
    );
    const saved = savedPlan();
    expect(runStep("deploy.yml", "Up", { ...saved, APPROVED: "abc" }).output).toBe("approved abc\n");
    mkdirSync(join(home, "reports"), { recursive: true });
    writeFileSync(join(home, "reports", "plan-prod.json"), "{}");
    expect(runStep("deploy.yml", "Up", { ...saved, APPROVED: "abc" }).output).toMatch(
      /approved abc@reports\/plan-prod\.json\n$/,
    );
  });

  it("a failed rollout is reported and stays failed", () => {
    npm({ "rollout:report": 2 });
    expect(runStep("deploy.yml", "Report")).toMatchObject({
      status: 2,
      summary: "```\nthe rollout's table\n```\n",
    });
  });

  it.each([
    ["", /--field body=@comment\.md --silent$/m],
    ["77", /--method PATCH repos\/acme\/infra\/issues\/comments\/77 --field body=@comment\.md/],
  ])("a pull request has one comment per stack (existing: %j)", (own, call) => {
    npm();
    program("pulumi", "echo '{}'");
    runStep("preview.yml", "Preview");
    program("gh", `case "$*" in *--jq*) [ -z "${own}" ] || echo "${own}";; esac`);
    const { status, calls } = runStep("preview.yml", "Comment", {
      COMMENTS: "repos/acme/infra/issues/5/comments",
    });
    expect({ status, calls }).toMatchObject({ status: 0, calls: expect.stringMatching(call) as string });
    const comment = readFileSync(join(home, "comment.md"), "utf8");
    expect(comment).toBe(
      "<!-- talos-iscsi: preview of acme/prod -->\n# the report\n\n```\nthe policies' words\n```\n",
    );
  });

  it("a comment stays within GitHub's 65,536 characters, however many policies are violated", () => {
    program("gh", "");
    mkdirSync(join(home, "reports"));
    writeFileSync(join(home, "reports/preview-prod.md"), "x".repeat(62_000));
    writeFileSync(join(home, "reports/policy.txt"), "violation\n".repeat(2000));
    expect(runStep("preview.yml", "Comment", { COMMENTS: "repos/acme/infra/issues/5/comments" }).status).toBe(
      0,
    );
    const comment = readFileSync(join(home, "comment.md"), "utf8");
    expect(comment.length).toBeLessThan(65_536);
    expect(comment).toMatch(/violation\n[\s\S]*\n```\n$/);
  });

  it.each([
    ["", "gh issue create --label drift --title Drift: stack prod"],
    ["12", "gh issue comment 12 "],
  ])("drift is reported once (open issue: %j)", (open, call) => {
    npm({ "preview:report": 3 });
    expect(runStep("drift.yml", "Compare")).toMatchObject({ status: 3, summary: "# the report\n" });
    program("gh", `case "$*" in "issue list"*) [ -z "${open}" ] || echo "${open}";; esac`);
    const { calls } = runStep("drift.yml", "Open an issue, or add to the one that is open", {
      TITLE: "Drift: stack prod",
      RUN: "https://example.com/run",
    });
    expect(calls).toContain(call);
  });
});

describe("the order of the stacks", () => {
  it("follows stages.json, with as many stages as the workflow has jobs", () => {
    expect(groupByStage([["staging"], ["prod-eu", "prod-us"]], ["prod-eu", "prod-us", "staging"])).toEqual([
      ["staging"],
      ["prod-eu", "prod-us"],
      [],
      [],
    ]);
    expect(groupByStage(JSON.parse(text("stages.json")), ["prod"])).toEqual([[], ["prod"], [], []]);
  });

  it.each<[string, unknown, RegExp]>([
    ["a stack that nobody ordered", [["staging"]], /Pulumi\.prod\.yaml is in no stage/],
    ["a stack in two stages", [["staging", "prod"], ["prod"]], /names prod twice/],
    ["too many stages", [["staging"], ["prod"], [], [], []], /5 stages: up\.yml has jobs for 4/],
    ["another form", { stages: [] }, /must be a list of lists/],
    [
      "a stack with the name of another one's previews",
      [["staging", "prod"], ["prod-preview"]],
      /prod-preview/,
    ],
  ])("finds %s", (_, stages, message) => {
    expect(() => groupByStage(stages, ["prod", "staging"])).toThrow(message);
  });
});

describe("the stacks that a change affects", () => {
  const stacks = ["prod", "staging"];

  it("are those of environments, not the lab's, the template or an example", () => {
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
        "stages.json",
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
