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

/** Where a tool was found. `published`: a plugin that the engine installed. `built now`: built by this call. */
export type ToolOrigin = "published" | "PATH" | "built before" | "built now";

/** A tool that can be run. */
export interface ResolvedTool {
  readonly name: ToolName;
  /** Absolute path of the binary. */
  readonly path: string;
  /** Its version with a leading v. */
  readonly version: string;
  readonly origin: ToolOrigin;
  /** Programs of that name on PATH that were skipped, and why. */
  readonly refused: readonly RejectedProgram[];
}

export interface ResolveOptions extends ProgressSink {
  /**
   * Aborts the builds. Without it, resolveTools handles Ctrl-C and SIGTERM itself while it builds: it cleans up and
   * then raises the signal again.
   */
  readonly signal?: AbortSignal;
}

/** Folders, environment and catalogue. Tests pass their own. */
export interface Surroundings {
  readonly folders: Folders;
  readonly env: NodeJS.ProcessEnv;
  readonly catalogue: Readonly<Partial<Record<ToolName, Tool>>>;
}

/**
 * Finds each tool in a suitable version on PATH or among the tools already built, or else builds it.
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

/** Like `resolveTools`, but also returns the version and origin of each tool. */
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
    // If this call did not build a missing tool, another process built it in the meantime.
    origin: origin ?? (built.includes(tool) ? "built now" : "built before"),
    refused,
  }));
}

function thisRepository(): Surroundings {
  const { env } = process;
  const modules = import.meta.dirname;
  // Several checkouts or CI runs can share the built tools.
  const builds = env["TALOS_ISCSI_TOOLS"] || join(modules, "..", ".tools");
  return { folders: { modules, builds: resolve(builds) }, env, catalogue: tools };
}

/** A tool, and where it is or will be. */
interface Candidate {
  readonly tool: Tool;
  readonly pin: Pin;
  readonly path: string;
  readonly version: string;
  /** Where it was found; undefined if it must be built. */
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
    `Building the tools that are neither on PATH nor already built, with Go ${toolchain.version}: ${names}. ` +
      "This happens only once and takes minutes.",
  );
  const work = (signal: AbortSignal): Promise<Tool[]> =>
    buildAll(folders, jobs, { env, progress: options, signal });
  return options.signal === undefined ? abortOnSignals(work) : work(options.signal);
}

/** One job per module, since its tools share most of their packages. */
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
