/** Which licences a package may have: permissive ones, which ask for no more than to be named. */
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

/** Tools that work on this project and are in nothing that it hands on: changes of their own files would have to be published. */
const allowedInDevelopment = new Set(["MPL-2.0"]);

/** Packages whose manifest does not name the licence that is in them, and what was read there. */
const readByHand: Readonly<Record<string, string>> = {
  "@logdna/tail-file@2.2.0": "MIT",
};

/** The parts of `package-lock.json` (version 3) that are read. */
export interface LockFile {
  packages: Record<string, { version?: string; license?: string; link?: boolean; dev?: boolean }>;
}

/** A line for every package whose licence is not allowed, or not known. */
export function licenceProblems(lock: LockFile): string[] {
  return Object.entries(lock.packages).flatMap(([path, { version, license: named, link, dev }]) => {
    if (path === "" || link === true) return []; // this project, and links to its own folders
    const name = `${path.split("node_modules/").at(-1)}@${version ?? "?"}`;
    const license = readByHand[name] ?? named;
    if (license === undefined) return [`${name} names no licence; look at it, and replace it if it has none`];
    return isAllowed(license) || (dev === true && allowedInDevelopment.has(license))
      ? []
      : [`${name} has the licence ${license}, which is not allowed (tools/licences.ts has the list)`];
  });
}

/** Is the SPDX expression allowed? Of several to choose from one is enough; of several that hold together all are needed. */
export function isAllowed(expression: string): boolean {
  const text = expression.trim().replace(/^\(([^()]*)\)$/, "$1");
  if (/[()]/.test(text)) return false; // nested expressions: none so far, and better looked at than guessed
  return text
    .split(/\s+OR\s+/)
    .some((choice) => choice.split(/\s+AND\s+/).every((id) => allowed.has(id.trim())));
}
