import { readFileSync } from "node:fs";
import { join } from "node:path";
import { licenceProblems, type LockFile } from "./licences.ts";

// `npm run check:licences`: the lock file names every package that an install can bring, of any platform, with its licence; so this needs nothing
// installed and takes no time. A scanner of node_modules sees only the packages of the machine that it runs on.
const lock = JSON.parse(
  readFileSync(join(import.meta.dirname, "..", "package-lock.json"), "utf8"),
) as LockFile;
const problems = licenceProblems(lock);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`${Object.keys(lock.packages).length - 1} packages, all under licences that are allowed`);
