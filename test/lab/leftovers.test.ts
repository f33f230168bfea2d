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

/** Something that runs until it is ended, with this in its command line. */
async function running(...args: string[]): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)", ...args], {
    stdio: "ignore",
  });
  children.push(child);
  await once(child, "spawn");
  return child.pid ?? 0;
}

it.skipIf(process.platform !== "linux")(
  "plugins of a killed engine are the lab's, plugins from elsewhere are not",
  async () => {
    const own = await running(join(labFiles.bin, "pulumi-resource-talos"), "127.0.0.1:1");
    const other = await running("/usr/local/bin/pulumi-resource-talos", "127.0.0.1:1");
    const reader = await running(join(labFiles.dir, "lab.log"));
    await vi.waitFor(() => expect(labProcesses()).toContain(own));
    expect(labProcesses()).not.toContain(other);
    expect(labProcesses()).not.toContain(reader);
  },
);
