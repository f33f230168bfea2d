import { readFileSync } from "node:fs";
import { join } from "node:path";
import semver from "semver";
import type { Tool, ToolModule } from "./catalogue.ts";

/** The versions in a module's go.mod: that of its tools, and the oldest Go that can build them. */
export interface Pin {
  /** Version with a leading v, as Go writes it. */
  readonly version: string;
  /** Go version, such as `1.26.6`. */
  readonly go: string;
}

/** Reads the pinned version from go.mod, the only place that has it. */
export function readPin(modulesFolder: string, module: ToolModule): Pin {
  const file = join(modulesFolder, module.folder, "go.mod");
  const text = readFileSync(file, "utf8");
  const source = module.source.replaceAll(".", "\\.");
  const version = new RegExp(`^(?:require\\s+|\\s+)${source}\\s+(v\\S+)`, "m").exec(text)?.[1];
  const go = /^go\s+(\d\S*)/m.exec(text)?.[1];
  if (version === undefined || go === undefined) {
    throw new Error(`${file}: needs a go line and a require line for ${module.source}`);
  }
  return { version, go };
}

/** The range of versions of a tool that are accepted from PATH. */
export function fittingRange(tool: Tool, pin: Pin): string {
  return tool.fitting(parseVersion(pin.version));
}

/** @throws Error if it is not a version */
export function parseVersion(version: string): semver.SemVer {
  const result = semver.parse(version);
  if (result === null) {
    throw new Error(`${version} is not a version`);
  }
  return result;
}
