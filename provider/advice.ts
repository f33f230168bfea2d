import { advisories } from "../talos/advisories.ts";
import { contractOf, VersionError } from "../talos/version.ts";

/**
 * What is known of the way from one release to another, one line each. Which contract the configuration has is not known here;
 * what depends on it is told by the settings.
 */
export function pathAdvisories(from: string, to: string, extensions: unknown, image: unknown): string[] {
  const names = Array.isArray(extensions) ? extensions.filter((name) => typeof name === "string") : [];
  try {
    const found = advisories({
      from,
      to,
      contract: contractOf(from),
      extensions: names,
      ...(typeof image === "string" ? { image } : {}),
    });
    return found.map(({ text, source }) => `${text} (${source})`);
  } catch (error) {
    if (error instanceof VersionError) return []; // a build of one's own: nothing is known of it
    throw error;
  }
}
