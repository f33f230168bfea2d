import { readFileSync } from "node:fs";
import { join } from "node:path";
import { licenceProblems, type LockFile } from "./licences.ts";

// `npm run check:licences`: reads the lock file, which lists every package of every platform with its license. That is fast and works without an
// install. A scan of node_modules would only see the packages for the current platform.
const lock = JSON.parse(
  readFileSync(join(import.meta.dirname, "..", "package-lock.json"), "utf8"),
) as LockFile;
const problems = licenceProblems(lock);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else console.log(`${Object.keys(lock.packages).length - 1} packages, all under allowed licenses`);
