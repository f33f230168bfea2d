import { readFileSync } from "node:fs";
import { join } from "node:path";
import semver from "semver";
import type { Tool, ToolModule } from "./catalogue.ts";

/** What a module's go.mod says: the version of its tools and the oldest Go that can build them. */
export interface Pin {
  /** Version with its leading v, as Go writes it. */
  readonly version: string;
  /** Version of Go, such as `1.26.6`. */
  readonly go: string;
}

/** Reads the pinned version from go.mod, so that it stands in one place. */
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

/** The range of versions of a tool that may be taken from PATH. */
export function fittingRange(tool: Tool, pin: Pin): string {
  return tool.fitting(parseVersion(pin.version));
}

/** @throws where it is none */
export function parseVersion(version: string): semver.SemVer {
  const result = semver.parse(version);
  if (result === null) {
    throw new Error(`${version} is not a version`);
  }
  return result;
}
