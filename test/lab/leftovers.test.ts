import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { labFiles } from "../../lab/layout.ts";
import { labProcesses } from "../../lab/leftovers.ts";

const children: ReturnType<typeof spawn>[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A process with these arguments in its command line, which runs until it is killed. */
async function running(...args: string[]): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)", ...args], {
    stdio: "ignore",
  });
  children.push(child);
  await once(child, "spawn");
  return child.pid ?? 0;
}

it.skipIf(process.platform !== "linux")(
  "recognizes plugins left by a killed engine of the lab, but no others",
  async () => {
    const own = await running(join(labFiles.bin, "pulumi-resource-talos"), "127.0.0.1:1");
    const other = await running("/usr/local/bin/pulumi-resource-talos", "127.0.0.1:1");
    const reader = await running(join(labFiles.dir, "lab.log"));
    await vi.waitFor(() => expect(labProcesses()).toContain(own));
    expect(labProcesses()).not.toContain(other);
    expect(labProcesses()).not.toContain(reader);
  },
);
