import { rmSync } from "node:fs";
import { join } from "node:path";
import { projectDir } from "../layout.ts";
import { runTool } from "../process.ts";
import { measureSeconds } from "./figures.ts";
import { scratchClone } from "./scratch.ts";

/** From a fresh clone to a finished `lab -- up`, with prebuilt tools or building them from scratch. */
export async function benchFresh(build: boolean): Promise<void> {
  const { scratch, clone } = await scratchClone();
  // From scratch includes Go's build cache. Downloaded modules are kept, as they only depend on the network.
  const env = build
    ? { ...process.env, TALOS_ISCSI_TOOLS: join(scratch, "tools"), GOCACHE: join(scratch, "go-cache") }
    : { ...process.env, TALOS_ISCSI_TOOLS: process.env["TALOS_ISCSI_TOOLS"] ?? join(projectDir, ".tools") };
  try {
    const install = await measureSeconds(() => runTool("npm", ["--prefix", clone, "install"], { env }));
    const up = await measureSeconds(() =>
      runTool("npm", ["--prefix", clone, "run", "lab", "--", "up"], { env }),
    );
    process.stdout.write(
      `npm install: ${install.toFixed(1)} s\nnpm run lab -- up: ${up.toFixed(1)} s\ntotal: ${(install + up).toFixed(1)} s; aim: at most ${build ? "900" : "60"} s\n`,
    );
  } finally {
    await runTool("npm", ["--prefix", clone, "run", "lab", "--", "stop"], { env }).catch(() => undefined);
    rmSync(scratch, { recursive: true, force: true });
  }
}
