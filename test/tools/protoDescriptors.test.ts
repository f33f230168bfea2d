import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { goEnvironment } from "../../tools/goRun.ts";

const folder = join(import.meta.dirname, "..", "..", "tools", "protocheck");

/** Compares talos/api/*.proto with the real API's descriptors; resolves to the differences. */
async function compareWithTheRealApi(): Promise<string> {
  return new Promise((resolve, reject) => {
    const args = ["test", "-mod=readonly", "-count=1", "./..."];
    execFile("go", args, { cwd: folder, env: goEnvironment(process.env) }, (error, stdout, stderr) => {
      if (error !== null && "code" in error && error.code === "ENOENT") {
        reject(
          new Error(
            "This test needs Go (see CONTRIBUTING.md): it reads the descriptors in Talos's Go modules.",
          ),
        );
      } else {
        resolve(error === null ? "" : `${stdout}${stderr}`);
      }
    });
  });
}

// The first run on a machine downloads and compiles Talos's machinery module.
test("our subset of the Talos API matches the real one", { timeout: 600_000 }, async () => {
  expect(await compareWithTheRealApi()).toBe("");
});
