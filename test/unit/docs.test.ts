import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { allKeys, settingsKeys } from "../../tools/settings/keys.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const pages = globSync(["*.md", "docs/*.md"], { cwd: root }).sort();
const ours = [
  "CONTRIBUTING.md",
  "SECURITY.md",
  "docs/adopt.md",
  "docs/air-gapped.md",
  "docs/compatibility.md",
  "docs/how-it-works.md",
  "docs/new-cluster.md",
  "docs/nodes.md",
  "docs/reliability.md",
  "docs/settings.md",
  "docs/troubleshooting.md",
  "docs/upgrade.md",
];

describe("the documentation", () => {
  it("has at least these pages", () => {
    expect(pages).toEqual(expect.arrayContaining(ours));
  });

  describe.each(pages)("%s", (page) => {
    const text = read(page);
    const prose = text.replace(/^```[\s\S]*?^```/gm, "");

    it("links to existing pages and sections", () => {
      const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
      const broken = links.filter((target) => {
        if (/^https?:/.test(target)) return false;
        const [path = "", section] = target.split("#");
        const file = path === "" ? page : join(dirname(page), path);
        return !existsSync(join(root, file)) || (section !== undefined && !anchors(read(file)).has(section));
      });
      expect(broken).toEqual([]);
    });

    it("names existing npm scripts", () => {
      const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
      const named = [...text.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, script = ""]) => script);
      expect(named.filter((script) => !(script in scripts))).toEqual([]);
    });

    it("runs npm silently where JSON is expected", () => {
      const commands = [...text.matchAll(/npm run (?!-s )[^`|\n]*--json\b/g)].map(([command]) => command);
      expect(commands).toEqual([]);
    });

    it("shows valid YAML", () => {
      const blocks = [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block = ""]) => block);
      const errors = blocks.flatMap((block) =>
        parseAllDocuments(block).flatMap((document) => document.errors ?? []),
      );
      expect(errors.map(({ message }) => message)).toEqual([]);
    });
  });

  it.each(ours)("%s names existing settings", (page) => {
    const paths = new Set(allKeys(settingsKeys()).map(({ path }) => path));
    const tops = [...paths].filter((path) => !path.includes(".")).join("|");
    const named = [...read(page).matchAll(new RegExp(`\`((?:${tops})\\.[\\w.[\\]]+)`, "g"))].map(
      ([, path = ""]) => path.replace(/\[\d+\]/g, "[]").replace(/\[\]$/, ""),
    );
    const wrong = named.filter((path) => !paths.has(path) && !insideSchematic(path) && !isMachinePart(path));
    expect(wrong).toEqual([]);
  });
});

/** Parts of a schematic, which is a single setting here. */
function insideSchematic(path: string): boolean {
  return path.startsWith("image.schematic.");
}

/** `cluster.…` of a machine configuration, not of the settings. */
function isMachinePart(path: string): boolean {
  return /^cluster\.(apiServer|network|proxy|etcd)/.test(path);
}

it("README and docs have at most 14,000 words", () => {
  const words = ["README.md", ...globSync("docs/*.md", { cwd: root })].flatMap((page) =>
    read(page)
      .replace(/\||-{3,}/g, "")
      .split(/\s+/)
      .filter((word) => word !== ""),
  );
  expect(words.length).toBeLessThanOrEqual(14_000);
});

describe("docs/reliability.md", () => {
  const named = [
    ...read("docs/reliability.md").matchAll(/\]\(\.\.\/(test\/[^)]+\.test\.ts)\) "([^"]+)"/g),
  ].map(([, file = "", name = ""]) => [file, name] as const);

  it("names tests", () => expect(named.length).toBeGreaterThan(30));

  it.each(named)("%s has: %s", (file, name) => {
    expect(read(file)).toContain(name);
  });
});

/** GitHub's anchors for a page's headings. */
function anchors(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .trim()
        .replaceAll(" ", "-"),
    ),
  );
}
