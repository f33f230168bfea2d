import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { releaseNotes } from "../../tools/package/release.ts";

const changelog =
  "# Changelog\n\n## [1.2.3] - 2026-12-01\n\n- A fix.\n\n## [1.2.2] - 2026-11-01\n\n- Another.\n";
const release = { version: "1.2.3", plugin: "1.2.3", changelog };

describe("a release", () => {
  it("has the notes of its own changelog section", () => {
    expect(releaseNotes("v1.2.3", release)).toBe("- A fix.\n");
  });

  it("is refused while Unreleased has changes, but may have an empty Unreleased heading", () => {
    const next = changelog.replace("## [1.2.3]", "## [Unreleased]\n\n## [1.2.3]");
    expect(releaseNotes("v1.2.3", { ...release, changelog: next })).toBe("- A fix.\n");
    const left = next.replace("[Unreleased]\n", "[Unreleased]\n\n- Not yet.\n");
    expect(() => releaseNotes("v1.2.3", { ...release, changelog: left })).toThrow(/Unreleased/);
  });

  it("is refused with every reason at once", () => {
    const refusal = () => releaseNotes("v1.2.4", { version: "1.2.5", plugin: "1.2.3", changelog });
    expect(refusal).toThrow(/v1\.2\.5/);
    expect(refusal).toThrow(/provider\/plugin\.ts/);
    expect(refusal).toThrow(/no section \[1\.2\.5\]/);
  });

  it("is refused if its section is empty", () => {
    const silent = "## [1.2.3] - 2026-12-01\n\n## [1.2.2]\n\n- Another.\n";
    expect(() => releaseNotes("v1.2.3", { ...release, changelog: silent })).toThrow(/says nothing/);
  });
});

describe("the release workflow's commands", () => {
  const root = join(import.meta.dirname, "../..");
  const text = readFileSync(join(root, ".github", "workflows", "release.yml"), "utf8");
  const { jobs } = parse(text) as { jobs: { release: { steps: { run?: string }[] } } };
  const commands = jobs.release.steps.flatMap(({ run }) => run ?? []);
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const archives = ["talos-iscsi", "talos-node"].map(
    (name) => `pulumi-resource-${name}-v${version}-linux-amd64.tar.gz`,
  );
  let work = "";
  afterEach(() => rmSync(work, { recursive: true, force: true }));

  /** A copy of everything that the commands read. `gh` and `npm` only record their calls, and npm pretends to have packed. */
  function releaseOf(section: string): (tag: string) => { code: number | null; log: string; error: string } {
    work = mkdtempSync(join(tmpdir(), "talos-iscsi-release-"));
    for (const name of ["tools", "provider", "package.json", "node_modules"])
      symlinkSync(join(root, name), join(work, name));
    // The command finds the repository by its own path.
    rmSync(join(work, "tools"));
    execFileSync("cp", ["-r", join(root, "tools", "package"), join(work, "copied")]);
    mkdirSync(join(work, "tools"));
    execFileSync("mv", [join(work, "copied"), join(work, "tools", "package")]);
    writeFileSync(join(work, "CHANGELOG.md"), `# Changelog\n\n## ${section} - 2026-12-01\n\n- A change.\n`);
    const bin = join(work, "bin");
    mkdirSync(bin);
    const pack = `mkdir -p .package; touch ${[...archives, `talos-iscsi-${version}.tgz`].map((name) => `.package/${name}`).join(" ")}`;
    const programs = { gh: "", npm: `if [ "$2" = package ]; then ${pack}; fi` };
    for (const [name, more] of Object.entries(programs)) {
      writeFileSync(join(bin, name), `#!/bin/sh\necho ${name} "$@" >> calls\n${more}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    return (tag) => {
      const env = {
        ...process.env,
        PATH: [bin, dirname(process.execPath), process.env["PATH"]].join(delimiter),
        GITHUB_REF_NAME: tag,
        GITHUB_REPOSITORY: "acme/talos-iscsi",
      };
      let log = "";
      for (const command of commands) {
        const { status, stderr } = spawnSync("bash", ["-eo", "pipefail", "-c", command], {
          cwd: work,
          env,
          encoding: "utf8",
        });
        log = readFileSync(join(work, "calls"), "utf8");
        if (status !== 0) return { code: status, log, error: stderr };
      }
      return { code: 0, log, error: "" };
    };
  }

  it("publish the archives first, then the package, with the changelog's notes", () => {
    const { code, log } = releaseOf(`[${version}]`)(`v${version}`);
    expect(code).toBe(0);
    const packed = `.package/talos-iscsi-${version}.tgz`;
    expect(log.trim().split("\n")).toEqual([
      "npm ci",
      "npm run package -- --repository acme/talos-iscsi",
      `gh release create v${version} --verify-tag --title v${version} --notes-file notes.md ${archives.map((name) => `.package/${name}`).join(" ")} ${packed}`,
      `npm publish --provenance --access public ${packed}`,
    ]);
    expect(readFileSync(join(work, "notes.md"), "utf8")).toBe("- A change.\n");
  });

  it.each([
    ["a tag of another version", "[0.0.9]", "v0.0.9"],
    ["changes that are not in a release", "[Unreleased]", `v${version}`],
  ])("publish nothing for %s", (_what, section, tag) => {
    const { code, log, error } = releaseOf(section)(tag);
    expect(code).toBe(1);
    expect(error).toContain(`${tag} cannot be released`);
    expect(log).toBe("npm ci\n");
  });
});
