import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { expect, it } from "vitest";

// Exit code 1 is a problem with the cluster, the stack or a volume: who reacts to it must not be misled by a typing error.
it.each([
  ["doctor/cli.ts", []],
  ["doctor/cli.ts", ["--talosconfig", "none", "--bogus"]],
  ["accept/cli.ts", ["--stack", "dev", "--storage-timeout", "soon"]],
  ["probe/cli.ts", ["--stack", "dev", "--size"]],
])("%s %j: exit code 2, as for everything that was not checked", (file, args) => {
  const root = dirname(dirname(import.meta.dirname));
  const { status, stderr } = spawnSync(process.execPath, [file, ...args], { cwd: root, encoding: "utf8" });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: expect.stringMatching(/^error: .*option/) as string,
  });
});

it("help is no error", () => {
  const root = dirname(dirname(import.meta.dirname));
  const { status } = spawnSync(process.execPath, ["doctor/cli.ts", "--help"], { cwd: root });
  expect(status).toBe(0);
});
