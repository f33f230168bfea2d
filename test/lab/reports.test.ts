import { readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nightly } from "./nightly.ts";
import type { Finished } from "./project.ts";
import { RolloutLab } from "./rollout.ts";
import { canaries, filesWith } from "./secrets.ts";

/** Both report commands with the real engine: a preview, a rollout that fails at a node, and the rollout that continues. */

let lab: RolloutLab;

beforeAll(async () => {
  lab = await RolloutLab.start(1);
});

afterAll(async () => lab?.project.remove());

/** Runs a report with the environment variables that `npm run lab -- start` prints. */
function report(kind: "preview" | "rollout", ...args: string[]): Promise<Finished> {
  return reportWith([], kind, ...args);
}

/** @param folders placed first on PATH. */
function reportWith(folders: string[], kind: "preview" | "rollout", ...args: string[]): Promise<Finished> {
  const { project } = lab;
  return project.run(process.execPath, [join("report", `${kind}Cli.ts`), "--out", "reports", ...args], {
    PULUMI_BACKEND_URL: pathToFileURL(project.file("state")).href,
    PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
    PATH: [...folders, project.file("bin"), process.env["PATH"]].join(delimiter),
  });
}

const read = (name: string) => readFileSync(join(lab.project.dir, "reports", name), "utf8");

test("the first preview already inspects the nodes and shows the reboots of the first up", async () => {
  const preview = await report("preview", "--stack", "dev");
  expect(preview.text).toContain(
    "5 nodes will be upgraded from v1.12.7 to v1.13.9 and reboot, one at a time, control planes first",
  );
  expect(preview.code).toBe(0);
});

test("the lab's own up shows the result of the rollout", async () => {
  const up = await lab.finish();
  expect(up.stdout).toMatch(/Rollout .*: v1\.13\.9, 5 nodes in /);
  expect(up.stdout).toMatch(/│ w2 +│ upgraded +│ v1\.12\.7 │ v1\.13\.9 │/);
});

test("a preview report has the node order, the last rollout and the changed lines, and no secret", async () => {
  expect((await report("preview", "--stack", "dev", "--expect-no-changes")).code).toBe(0);
  lab.want("v1.13.7");
  const preview = await report("preview", "--stack", "dev", "--expect-no-changes");
  expect(preview.text).toContain("5 nodes will be rolled back from v1.13.9 to v1.13.7 and reboot");
  expect(preview.code).toBe(3);

  const markdown = read("preview-dev.md");
  expect(markdown.split("\n")[0]).toContain("5 nodes will be rolled back");
  expect(markdown).toMatch(
    /^\| `cp1` \| control plane \| rolled back from v1\.13\.9 to v1\.13\.7 \| \*\*reboots\*\* \| .* on \d{4}-/m,
  );
  expect(markdown).toMatch(/^-\s+image: .*:v1\.13\.9\n\+\s+image: .*:v1\.13\.7$/m);
  expect(markdown).toContain("cp1, cp2, cp3");
  const html = read("preview-dev.html");
  expect([...html.matchAll(/<span>((?:cp|w)\d)<\/span>/g)].map(([, name]) => name)).toEqual([
    "cp1",
    "cp2",
    "cp3",
    "w1",
    "w2",
  ]);
  expect(html).toContain("«secret ");

  const secrets = canaries(lab.project.file("secrets.yaml"), lab.project.file("talosconfig"));
  expect(secrets.length).toBeGreaterThan(5);
  expect(filesWith(join(lab.project.dir, "reports"), secrets)).toEqual([]);
  expect(statSync(join(lab.project.dir, "reports", "preview-dev.html")).mode & 0o077).toBe(0);
});

test("with a language host, the engine runs the program itself, with the same result", async () => {
  const host = join(lab.project.dir, "test", "lab", "languageHost");
  const preview = await reportWith([host], "preview", "--stack", "dev", "--out", "hosted");
  expect(preview.text).toContain("5 nodes will be rolled back from v1.13.9 to v1.13.7 and reboot");
  expect(preview.code).toBe(0);
});

test("a report has the same resource counts as the engine", async () => {
  const { project } = lab;
  const host = join(project.dir, "test", "lab", "languageHost");
  const preview = await project.run("pulumi", ["preview", "--stack", "dev", "--json", "--non-interactive"], {
    PULUMI_BACKEND_URL: pathToFileURL(project.file("state")).href,
    PULUMI_CONFIG_PASSPHRASE: "talos-iscsi-lab",
    PATH: [host, project.file("bin"), process.env["PATH"]].join(delimiter),
  });
  const { changeSummary } = JSON.parse(preview.stdout) as { changeSummary: Record<string, number> };
  expect(changeSummary["update"]).toBeGreaterThan(5);
  const of = (operation: string) => changeSummary[operation] ?? 0;
  const line = `${of("create")} to create, ${of("update")} to update, ${of("replace")} to replace, ${of("delete")} to delete, ${of("same")} unchanged.`;
  const report = readFileSync(join(project.dir, "hosted", "preview-dev.md"), "utf8");
  expect(/^.* to create, .*$/m.exec(report)?.[0]).toContain(line);
});

test("a rollout that stops at a node reports where and why, and which node was not started", async () => {
  await lab.fault({ node: "w1", fault: "falls-back" });
  const up = await lab.up();
  expect(up.code).not.toBe(0);
  expect(up.stdout).toMatch(/│ w1 .*│ failed at verify/);
  expect(up.stdout).toContain("w1 failed at step verify: 3 of 5 nodes reached v1.13.7");

  const rollout = await report("rollout", "--stack", "dev");
  expect(rollout.code).toBe(2);
  expect(rollout.text).toContain(
    "w1 failed at step verify: 3 of 5 nodes reached v1.13.7; w2 was not started.",
  );
  expect(rollout.text).toContain("runs its old image again");
  const page = read("rollout-dev.html");
  expect(page).toContain("failure-ground");
  expect(page).toContain("<title>reboot: ");
  expect(filesWith(join(lab.project.dir, "reports"), canaries(lab.project.file("talosconfig")))).toEqual([]);

  const preview = await report("preview", "--stack", "dev", "--refresh", "--expect-no-changes");
  expect(preview.code).toBe(3);
  expect(preview.text).toContain("2 nodes will be rolled back");
  expect(read("preview-dev.md")).toContain("Not finished: w1");
});

test("the rollout that continues only covers the remaining nodes", async () => {
  await lab.lift();
  await lab.finish();
  const rollout = await report("rollout", "--stack", "dev");
  expect(rollout.text).toMatch(/nodes? reached v1\.13\.7, none failed\./);
  expect(rollout.code).toBe(0);
});

nightly(
  "outside the upgrade windows, up succeeds and touches no node; inside one, it upgrades them all",
  async () => {
    const days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    const inDays = (count: number): string => days[(new Date().getUTCDay() + count) % 7] ?? "";
    lab.want("v1.13.9");
    lab.onlyOn(inDays(3));
    const before = await lab.upgrades();
    const closed = await lab.finish();
    expect(closed.text).toMatch(
      /cp1 \([\d.]+\) is postponed: no upgrade window is open .*Done: none\. Left: cp1, cp2, cp3, w1, w2\./,
    );
    expect(await lab.upgrades()).toEqual(before);
    const left = await report("preview", "--stack", "dev");
    expect(left.text).toContain("5 nodes will be upgraded from v1.13.7 to v1.13.9 and reboot");

    lab.onlyOn(inDays(0), inDays(1));
    await lab.finish();
    expect(await lab.upgrades()).toEqual(
      Object.fromEntries(Object.entries(before).map(([name, count]) => [name, count + 1])),
    );
    // A different window does not change any node.
    lab.onlyOn(inDays(3));
    expect((await report("preview", "--stack", "dev", "--expect-no-changes")).code).toBe(0);
  },
);

test("if a report cannot be created, the error says why", async () => {
  const none = await report("preview", "--stack", "nowhere");
  expect(none.text).toMatch(/^error: the stack nowhere could not be opened: /);
  expect(none.code).toBe(1);
  lab.want("latest");
  const mistaken = await report("preview", "--stack", "dev");
  expect(mistaken.text).toContain("The preview failed with 1 error");
  expect(mistaken.text).toContain("it must be a full Talos release");
  expect(mistaken.code).toBe(2);
  expect(read("preview-dev.md")).toContain("it must be a full Talos release");
});
