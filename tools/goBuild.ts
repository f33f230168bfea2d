import { createHash, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Tool, ToolModule } from "./catalogue.ts";
import { GoRun, goEnvironment, quoteArgument } from "./goRun.ts";
import { takeLock } from "./lock.ts";
import { askVersion } from "./onPath.ts";
import type { Pin } from "./pins.ts";

/** Where the modules are, and where their binaries go. */
export interface Folders {
  /** The folder with one subfolder per Go module. */
  readonly modules: string;
  /** The git-ignored folder for binaries and logs. */
  readonly builds: string;
}

/** Binaries to build from one module with one `go build`. */
export interface BuildJob {
  readonly module: ToolModule;
  readonly pin: Pin;
  readonly tools: readonly Tool[];
  /** Where the binaries go, see `buildFolder`. */
  readonly folder: string;
}

export interface BuildOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** Called if another process holds the lock and is building the same tools. */
  readonly onWait?: (holder: string) => void;
  /** Packages compiled so far, out of all in the build. Packages from Go's cache are not counted as compiled. */
  readonly onPackage?: (compiled: number, all: number) => void;
}

/** A failed build, with what is needed to diagnose it. */
export class BuildFailure extends Error {
  readonly job: BuildJob;
  /** The module's folder, where the command ran. */
  readonly folder: string;
  readonly command: string;
  readonly lastLines: readonly string[];
  readonly log: string;

  constructor(
    reason: string,
    details: Pick<BuildFailure, "job" | "folder" | "command" | "lastLines" | "log">,
  ) {
    super(reason);
    this.name = "BuildFailure";
    this.job = details.job;
    this.folder = details.folder;
    this.command = details.command;
    this.lastLines = details.lastLines;
    this.log = details.log;
  }
}

/**
 * Compiler flags that shorten the first build; CONTRIBUTING.md says by how much. The linker drops debug
 * information (`-s -w`), so the compiler does not generate it. Inlining (`-l` turns it off) stays on only in the
 * standard library, where it helps the running program most.
 */
export const compilerFlags = ["-gcflags=all=-dwarf=false -l", "-gcflags=std=-dwarf=false"];

/**
 * The build folder of a module. Its name includes a hash of everything that affects the binaries, so a changed
 * pin triggers a rebuild, and reverting the pin finds the old binaries again.
 * The binaries are in `bin/`, as in a Pulumi installation.
 */
export function buildFolder(folders: Folders, module: ToolModule, pin: Pin): string {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum", ...ownSources(folders, module)]) {
    hash.update(readFileSync(join(folders.modules, module.folder, file))).update("\0");
  }
  hash.update(module.ldflags(pin.version)).update("\0").update(compilerFlags.join("\0"));
  const platform = `${process.platform}-${process.arch}`;
  return join(
    folders.builds,
    `${module.folder}-${pin.version}-${platform}-${hash.digest("hex").slice(0, 12)}`,
  );
}

function ownSources(folders: Folders, { folder, own }: ToolModule): string[] {
  if (own === undefined) return [];
  const files = readdirSync(join(folders.modules, folder, own)).filter((name) => name.endsWith(".go"));
  return files.sort().map((name) => join(own, name));
}

/** Path of a built tool inside its build folder. */
export function builtPath(folder: string, tool: Tool): string {
  return join(folder, "bin", executableName(tool));
}

/**
 * Builds the missing tools of a job. Builds in a separate folder and renames finished binaries into place, so
 * nobody ever sees a partial one, even if this process dies.
 * @returns the tools that this call built; fewer than requested if another process was faster.
 */
export async function buildTools(folders: Folders, job: BuildJob, options: BuildOptions): Promise<Tool[]> {
  const name = basename(job.folder);
  await mkdir(dirname(logFile(folders, job)), { recursive: true });
  const lock = await takeLock(join(folders.builds, `${name}.lock`), options);
  const work = join(folders.builds, `${name}.partial-${randomUUID()}`);
  try {
    removeAbandoned(folders, name);
    const missing = job.tools.filter((tool) => !existsSync(builtPath(job.folder, tool)));
    if (missing.length > 0) {
      await mkdir(join(work, "bin"), { recursive: true });
      await compileModule(folders, { ...job, tools: missing }, work, options);
      await mkdir(join(job.folder, "bin"), { recursive: true });
      for (const tool of missing) {
        await rename(builtPath(work, tool), builtPath(job.folder, tool));
      }
    }
    return missing;
  } finally {
    rmSync(work, { recursive: true, force: true });
    lock.release();
  }
}

function logFile(folders: Folders, job: BuildJob): string {
  return join(folders.builds, "logs", `${basename(job.folder)}.log`);
}

/** Removes what killed processes left behind. The limit is an hour because no build takes that long. */
function removeAbandoned(folders: Folders, name: string): void {
  for (const entry of readdirSync(folders.builds).filter((other) => other.startsWith(`${name}.partial-`))) {
    const path = join(folders.builds, entry);
    const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
    if (touched !== undefined && Date.now() - touched > 3_600_000) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

async function compileModule(
  folders: Folders,
  job: BuildJob,
  work: string,
  options: BuildOptions,
): Promise<void> {
  const log = logFile(folders, job);
  const folder = join(folders.modules, job.module.folder);
  const go = new GoRun(folder, goEnvironment(options.env), log, options.signal);
  const fail = (reason: string, command: string): BuildFailure =>
    new BuildFailure(reason, { job, folder, command, lastLines: go.lastLines, log });
  try {
    // Downloads only the modules that the packages need, and gives the package count.
    const packages = job.tools.map((tool) => tool.package);
    const all = new Set<string>();
    const list = ["list", "-deps", "-mod=readonly", ...packages];
    let code = await go.run(list, { onOutput: (line) => all.add(line) });
    if (code !== 0) {
      throw fail("the modules could not be fetched", `go ${list.join(" ")}`);
    }
    const ldflags = job.module.ldflags(job.pin.version);
    const only = job.tools.length === 1 ? job.tools[0] : undefined;
    const target = only === undefined ? join(work, "bin") : builtPath(work, only);
    const flags = ["-v", "-trimpath", "-mod=readonly", ...compilerFlags, `-ldflags=${ldflags}`, "-o", target];
    let compiled = 0;
    code = await go.run(["build", ...flags, ...packages], {
      // -v prints each package as it is compiled. Everything else goes to the log.
      isNoise: (line) => {
        if (!all.has(line)) {
          return false;
        }
        options.onPackage?.(++compiled, all.size);
        return true;
      },
    });
    const command = `go build ${[...flags, ...packages].map(quoteArgument).join(" ")}`;
    if (code !== 0) {
      throw fail(`go build ended with ${code}`, command);
    }
    for (const tool of job.tools) {
      const answer = await askVersion(tool, builtPath(work, tool), options.env);
      const seen = "version" in answer ? `says it is ${answer.version}` : answer.reason;
      if (!("version" in answer) || answer.version !== job.pin.version) {
        throw fail(`the binary ${tool.name} ${seen}, not ${job.pin.version}`, command);
      }
    }
  } finally {
    await go.close();
  }
}

function executableName(tool: Tool): string {
  const { name, binary = name } = tool;
  return process.platform === "win32" ? `${binary}.exe` : binary;
}
