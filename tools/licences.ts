/** Licenses that a package may have: permissive ones, which only require attribution. */
const allowed = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC-BY-3.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "PSF-2.0",
  "Python-2.0",
  "Unlicense",
]);

/** For development tools that are not part of what we distribute. These licenses require publishing changes to the licensed files. */
const allowedInDevelopment = new Set(["MPL-2.0"]);

/** Packages whose manifest omits the license, and the license found in their files. */
const readByHand: Readonly<Record<string, string>> = {
  "@logdna/tail-file@2.2.0": "MIT",
};

/** The parts of `package-lock.json` (version 3) that we read. */
export interface LockFile {
  packages: Record<string, { version?: string; license?: string; link?: boolean; dev?: boolean }>;
}

/** One line for each package whose license is unknown or not allowed. */
export function licenceProblems(lock: LockFile): string[] {
  return Object.entries(lock.packages).flatMap(([path, { version, license: named, link, dev }]) => {
    if (path === "" || link === true) return []; // this project, and links to its folders
    const name = `${path.split("node_modules/").at(-1)}@${version ?? "?"}`;
    const license = readByHand[name] ?? named;
    if (license === undefined) return [`${name} names no license: check it, and replace it if it has none`];
    return isAllowed(license) || (dev === true && allowedInDevelopment.has(license))
      ? []
      : [`${name} has the license ${license}, which is not allowed (see the list in tools/licences.ts)`];
  });
}

/** Whether the SPDX expression is allowed: with OR one license is enough, with AND all are required. */
export function isAllowed(expression: string): boolean {
  const text = expression.trim().replace(/^\(([^()]*)\)$/, "$1");
  if (/[()]/.test(text)) return false; // no package has a nested expression yet; a person should look at the first one
  return text
    .split(/\s+OR\s+/)
    .some((choice) => choice.split(/\s+AND\s+/).every((id) => allowed.has(id.trim())));
}
