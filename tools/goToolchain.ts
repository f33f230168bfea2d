import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import semver from "semver";
import type { BuildJob, Folders } from "./goBuild.ts";
import { goEnvironment } from "./goRun.ts";

/** The version of Go on PATH, or why it cannot build these jobs. */
export type Toolchain = { readonly version: string } | { readonly problem: string };

/** The oldest Go that can build all of these jobs, such as `1.26.6`. */
export function requiredGoVersion(jobs: readonly BuildJob[]): string {
  const versions = jobs.map((job) => job.pin.go);
  return versions.reduce((newest, version) =>
    semver.gt(completeVersion(version), completeVersion(newest)) ? version : newest,
  );
}

/**
 * Checks whether the Go on PATH can build these jobs. Runs it in the module that needs the newest Go: an older Go
 * downloads that toolchain there and reports its version, unless GOTOOLCHAIN forbids it.
 */
export async function findToolchain(
  folders: Folders,
  jobs: readonly BuildJob[],
  env: NodeJS.ProcessEnv,
): Promise<Toolchain> {
  const needed = requiredGoVersion(jobs);
  const demanding = jobs.find((job) => job.pin.go === needed);
  const folder = join(folders.modules, demanding?.module.folder ?? ".");
  const inModule = await goVersion(folder, goEnvironment(env));
  if (inModule === "no go") {
    return { problem: "Go is not installed (no `go` on PATH)." };
  }
  if (
    inModule.version !== undefined &&
    semver.gte(completeVersion(inModule.version), completeVersion(needed))
  ) {
    return { version: inModule.version };
  }
  const own = await goVersion(tmpdir(), { ...goEnvironment(env), GOTOOLCHAIN: "local" });
  const version = inModule.version ?? (own === "no go" ? undefined : own.version);
  return {
    problem:
      version === undefined
        ? `Go does not work: ${inModule.complaint}`
        : `Go ${version} is too old, ${needed} or newer is needed.`,
  };
}

async function goVersion(
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<"no go" | { version?: string; complaint: string }> {
  return new Promise((resolve) => {
    execFile("go", ["env", "GOVERSION"], { cwd: folder, env }, (error, stdout, stderr) => {
      if (error !== null && "code" in error && (error.code === "ENOENT" || error.code === "EACCES")) {
        resolve("no go");
        return;
      }
      const version = /^go(\d+\.\d+\S*)/m.exec(stdout)?.[1];
      resolve({
        ...(version === undefined ? {} : { version }),
        complaint:
          stderr.trim() || error?.message || `\`go env GOVERSION\` printed ${JSON.stringify(stdout)}`,
      });
    });
  });
}

/** Converts a Go version to semver: Go may omit the patch number (`1.26`) and writes pre-releases as `1.27rc1`. */
function completeVersion(version: string): string {
  const parts = /^(\d+)\.(\d+)(?:\.(\d+))?((?:rc|beta)\d+)?/.exec(version);
  const [, major = "0", minor = "0", patch = "0", pre] = parts ?? [];
  return `${major}.${minor}.${patch}${pre === undefined ? "" : `-${pre}`}`;
}
