import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { tools, type Tool, type ToolName } from "./catalogue.ts";
import { fittingRange, readPin, type Pin } from "./pins.ts";
import { buildAll } from "./buildAll.ts";
import { buildFolder, builtPath, type BuildJob, type Folders } from "./goBuild.ts";
import { findToolchain, requiredGoVersion } from "./goToolchain.ts";
import { abortOnSignals } from "./interrupts.ts";
import { searchPath, type RejectedProgram } from "./onPath.ts";
import { cachedPlugin, readSdk } from "./pluginCache.ts";
import type { ProgressSink } from "./progress.ts";
import { cannotBuild } from "./toolError.ts";

export type { ToolName } from "./catalogue.ts";
export { ToolError } from "./toolError.ts";

/** Where a tool was found; `published` is a plugin that the engine has installed, `built now` is what this very call built. */
export type ToolOrigin = "published" | "PATH" | "built before" | "built now";

/** A tool that can be run. */
export interface ResolvedTool {
  readonly name: ToolName;
  /** Absolute path of the binary. */
  readonly path: string;
  /** Its version with a leading v. */
  readonly version: string;
  readonly origin: ToolOrigin;
  /** Programs of that name on PATH that were passed over, and why. */
  readonly refused: readonly RejectedProgram[];
}

export interface ResolveOptions extends ProgressSink {
  /**
   * Ends the builds. Without it resolveTools watches for Ctrl-C and SIGTERM itself while it builds, cleans up
   * and lets the signal take its course.
   */
  readonly signal?: AbortSignal;
}

/** Where things are; tests put their own in the place of the real ones. */
export interface Surroundings {
  readonly folders: Folders;
  readonly env: NodeJS.ProcessEnv;
  readonly catalogue: Readonly<Partial<Record<ToolName, Tool>>>;
}

/**
 * Finds each tool on PATH in a fitting version, else among those built here before, else builds it.
 *
 * @example const { pulumi } = await resolveTools(["pulumi"], { onProgress: console.error });
 * @returns absolute paths by name
 * @throws ToolError if a tool can neither be found nor built
 */
export async function resolveTools<const Name extends ToolName>(
  names: readonly Name[],
  options: ResolveOptions = {},
): Promise<Record<Name, string>> {
  const resolved = await locateTools(names, options);
  return Object.fromEntries(resolved.map(({ name, path }) => [name, path])) as Record<Name, string>;
}

/** Like `resolveTools`, and tells of each tool its version and where it comes from. */
export async function locateTools(
  names: readonly ToolName[],
  options: ResolveOptions = {},
  surroundings: Surroundings = thisRepository(),
): Promise<ResolvedTool[]> {
  const examined = await Promise.all([...new Set(names)].map((name) => findCandidate(name, surroundings)));
  const missing = examined.filter((candidate) => candidate.origin === undefined);
  const built = missing.length === 0 ? [] : await buildMissing(missing, options, surroundings);
  return examined.map(({ tool, path, version, origin, refused }) => ({
    name: tool.name,
    path,
    version,
    // A missing tool that was not built in the end had been built by another process meanwhile.
    origin: origin ?? (built.includes(tool) ? "built now" : "built before"),
    refused,
  }));
}

function thisRepository(): Surroundings {
  const { env } = process;
  const modules = import.meta.dirname;
  // Several checkouts, or the runs of a CI, can share what is built.
  const builds = env["TALOS_ISCSI_TOOLS"] || join(modules, "..", ".tools");
  return { folders: { modules, builds: resolve(builds) }, env, catalogue: tools };
}

/** A tool, and where it is or will be. */
interface Candidate {
  readonly tool: Tool;
  readonly pin: Pin;
  readonly path: string;
  readonly version: string;
  /** Where it was found; nothing if it has to be built. */
  readonly origin?: ToolOrigin;
  readonly refused: readonly RejectedProgram[];
}

async function findCandidate(name: ToolName, { catalogue, folders, env }: Surroundings): Promise<Candidate> {
  const tool = catalogue[name];
  if (tool === undefined) {
    throw new Error(`${name} is not among the tools`);
  }
  const pin = readPin(folders.modules, tool.module);
  const published =
    tool.sdk === undefined ? undefined : cachedPlugin(readSdk(join(folders.modules, "..", tool.sdk)), env);
  if (published !== undefined) {
    return { tool, pin, ...published, origin: "published", refused: [] };
  }
  const { found, refused } = await searchPath(tool, fittingRange(tool, pin), env);
  if (found !== undefined) {
    return { tool, pin, ...found, origin: "PATH", refused };
  }
  const path = builtPath(buildFolder(folders, tool.module, pin), tool);
  return {
    tool,
    pin,
    path,
    version: pin.version,
    refused,
    ...(existsSync(path) && { origin: "built before" }),
  };
}

async function buildMissing(
  missing: readonly Candidate[],
  options: ResolveOptions,
  { folders, env }: Surroundings,
): Promise<Tool[]> {
  const jobs = jobsFor(missing, folders);
  const toolchain = await findToolchain(folders, jobs, env);
  if ("problem" in toolchain) {
    throw cannotBuild(missing, toolchain.problem, requiredGoVersion(jobs));
  }
  const names = missing.map(({ tool }) => tool.name).join(", ");
  options.onProgress?.(
    `Building with Go ${toolchain.version} what is neither on PATH nor built yet: ${names}. ` +
      "It is done once; the first time takes minutes.",
  );
  const work = (signal: AbortSignal): Promise<Tool[]> =>
    buildAll(folders, jobs, { env, progress: options, signal });
  return options.signal === undefined ? abortOnSignals(work) : work(options.signal);
}

/** One job a module: its tools share most of their packages. */
function jobsFor(missing: readonly Candidate[], folders: Folders): BuildJob[] {
  const byModule = Map.groupBy(missing, ({ tool }) => tool.module);
  return [...byModule].map(([module, candidates]) => {
    const { pin } = candidates[0] as Candidate;
    return {
      module,
      pin,
      tools: candidates.map(({ tool }) => tool),
      folder: buildFolder(folders, module, pin),
    };
  });
}
