// Pulumi loads this file (package.json, "main"). Plain JavaScript, so that even a Node that is too old can say so. The program is index.ts.
import module from "node:module";
import { join } from "node:path";
import { RunError } from "@pulumi/pulumi/errors.js";

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  throw new RunError(
    `talos-iscsi needs Node.js 22.18 or newer, which runs TypeScript directly. Pulumi started ${process.version} (${process.execPath}).\n` +
      "Put a newer Node.js first on PATH. `npm install` brings one for Linux and for Windows on x64:\n" +
      '  export PATH="$PWD/node_modules/.bin:$PATH"',
  );
}

// Pulumi's runner looks up the source map of each frame of each stack that the SDK notes, some thousands in a preview. Node runs this program as it is
// written, so there is nothing to look up.
Error.prepareStackTrace = undefined;

// Keeps compiled code between runs, next to the packages: other users can write to the folder for temporary files.
module.enableCompileCache?.(join(import.meta.dirname, "node_modules", ".cache", "program"));
const program = await import("./index.ts");
module.flushCompileCache?.();

// An output that the settings did not ask for is none; the SDK would warn of each.
export default Object.fromEntries(Object.entries(program).filter(([, value]) => value !== undefined));
