import type { Tool } from "./catalogue.ts";
import { buildTools, BuildFailure, type BuildJob, type Folders } from "./goBuild.ts";
import { formatDuration, type ProgressSink } from "./progress.ts";
import { buildsFailed, cannotWrite } from "./toolError.ts";

export interface BuildAllOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Two builds at a time: while one links or downloads, the other compiles (CONTRIBUTING.md has the timings). */
const maxConcurrentBuilds = 2;

/**
 * Runs all build jobs, longest first, and shows their progress. A failed job does not stop the others: their
 * binaries are kept for the next run, and all failures are reported together.
 * @returns the tools that were built
 */
export async function buildAll(
  folders: Folders,
  jobs: readonly BuildJob[],
  { env, progress, signal }: BuildAllOptions,
): Promise<Tool[]> {
  // Jobs that share a folder run in sequence: most of what the second one compiles is then in Go's cache.
  const groups = Map.groupBy(jobs, ({ module }) => module.folder);
  const queue = [...groups.values()].toSorted((a, b) => weightOf(b) - weightOf(a));
  let started = 0;
  const running = new Map<BuildJob, string>();
  const built: Tool[] = [];
  const failures: BuildFailure[] = [];

  const buildOne = async (job: BuildJob, label: string): Promise<void> => {
    const start = Date.now();
    let state = "fetching modules";
    let waiting = false;
    const showState = (): void =>
      void running.set(job, `${label} ${job.module.folder}: ${state}, ${formatDuration(Date.now() - start)}`);
    showState();
    const ticker = setInterval(showState, 500);
    progress.onProgress?.(`${label} ${describe(job)}: building`);
    try {
      const now = await buildTools(folders, job, {
        env,
        signal,
        onWait: (holder) => {
          waiting = true;
          state = `waiting for ${holder}`;
          progress.onProgress?.(`${label} ${describe(job)}: ${holder} is already building it, waiting`);
        },
        onPackage: (compiled, all) => (state = `package ${compiled} of ${all}`),
      });
      built.push(...now);
      const what = now.length === 0 && waiting ? "built by the other process" : "built";
      progress.onProgress?.(`${label} ${describe(job)}: ${what} in ${formatDuration(Date.now() - start)}`);
    } catch (error) {
      if (!(error instanceof BuildFailure)) {
        throw cannotWrite(error, folders.builds, job) ?? error;
      }
      failures.push(error);
      progress.onProgress?.(`${label} ${describe(job)}: failed after ${formatDuration(Date.now() - start)}`);
    } finally {
      clearInterval(ticker);
      running.delete(job);
    }
  };

  const worker = async (): Promise<void> => {
    for (let group = queue.shift(); group !== undefined; group = queue.shift()) {
      for (const job of group) await buildOne(job, `[${++started}/${jobs.length}]`);
    }
  };

  const status = setInterval(() => progress.onStatus?.([...running.values()].join("  ")), 500);
  try {
    const workers = await Promise.allSettled(Array.from({ length: maxConcurrentBuilds }, worker));
    const broken = workers.find((result) => result.status === "rejected");
    if (broken !== undefined) {
      throw broken.reason;
    }
  } finally {
    clearInterval(status);
  }
  if (failures.length > 0) {
    throw buildsFailed(failures);
  }
  return built;
}

const weightOf = (group: readonly BuildJob[]): number =>
  group.reduce((sum, { module }) => sum + module.weight, 0);

function describe(job: BuildJob): string {
  const names = job.tools.map(({ name }) => name).join(", ");
  return `${names} ${job.pin.version}`;
}
