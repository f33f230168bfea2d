/** The inputs of a release. */
export interface Release {
  /** Version in package.json. */
  version: string;
  /** Version that the plugin reports. */
  plugin: string;
  /** Content of CHANGELOG.md. */
  changelog: string;
}

/**
 * Extracts the notes of one release from CHANGELOG.md.
 *
 * @param tag the release tag: `v` and the version.
 * @throws Error with every reason why this tag cannot be released.
 */
export function releaseNotes(tag: string, { version, plugin, changelog }: Release): string {
  const problems: string[] = [];
  if (tag !== `v${version}`)
    problems.push(`package.json has version ${version}; the tag for it is v${version}`);
  if (plugin !== version)
    problems.push(`the plugin reports version ${plugin} (provider/plugin.ts), package.json has ${version}`);
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.startsWith(`[${version}]`));
  const notes = section?.split("\n").slice(1).join("\n").trim() ?? "";
  if (section === undefined)
    problems.push(`CHANGELOG.md has no section [${version}]: rename [Unreleased], and give it the date`);
  else if (notes === "") problems.push(`CHANGELOG.md says nothing of ${version}`);
  const left = sections
    .find((text) => text.startsWith("[Unreleased]"))
    ?.split("\n")
    .slice(1)
    .join("")
    .trim();
  if (left !== undefined && left !== "")
    problems.push(
      "CHANGELOG.md has changes under [Unreleased]: they are part of this release, or of no tag yet",
    );
  if (problems.length > 0)
    throw new Error(`${tag} cannot be released:\n${problems.map((text) => `  ${text}`).join("\n")}`);
  return `${notes}\n`;
}
