import { describe, expect, it } from "vitest";
import { releaseNotes } from "../../tools/package/release.ts";

const changelog =
  "# Changelog\n\n## [1.2.3] - 2026-12-01\n\n- A fix.\n\n## [1.2.2] - 2026-11-01\n\n- Another.\n";
const release = { version: "1.2.3", plugin: "1.2.3", changelog };

describe("a release", () => {
  it("says what its own section of the changelog says", () => {
    expect(releaseNotes("v1.2.3", release)).toBe("- A fix.\n");
  });

  it("has no changes left that are not in it, but may have the empty heading for the next", () => {
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

  it("is refused without a word of what changed", () => {
    const silent = "## [1.2.3] - 2026-12-01\n\n## [1.2.2]\n\n- Another.\n";
    expect(() => releaseNotes("v1.2.3", { ...release, changelog: silent })).toThrow(/says nothing/);
  });
});
