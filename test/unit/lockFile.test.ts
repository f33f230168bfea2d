import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

interface LockEntry {
  link?: boolean;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
}

const text = readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8");
const { packages } = JSON.parse(text) as { packages: Record<string, LockEntry> };

/** Where Node.js looks for a package that the one at `path` imports, the nearest folder first. */
function places(path: string, name: string): string[] {
  const above = path.includes("node_modules/")
    ? path.slice(0, path.lastIndexOf("node_modules/")).replace(/\/$/, "")
    : "";
  const here = `${path === "" ? "" : `${path}/`}node_modules/${name}`;
  return path === "" ? [here] : [here, ...places(above, name)];
}

// Otherwise the next `npm install` elsewhere adds what is missing: once it was 252 lines for oxc-parser's platforms.
test("the lock file has all dependencies of every package in it, on every platform", () => {
  const missing = Object.entries(packages).flatMap(([path, entry]) => {
    if (entry.link === true) return [];
    const peers = Object.keys(entry.peerDependencies ?? {}).filter(
      (name) => entry.peerDependenciesMeta?.[name]?.optional !== true,
    );
    return [...Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }), ...peers]
      .filter((name) => !places(path, name).some((place) => place in packages))
      .map((name) => `${path} needs ${name}`);
  });
  expect(missing).toEqual([]);
  expect(Object.keys(packages).length).toBeGreaterThan(100);
});
