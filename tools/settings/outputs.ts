/** The stack outputs, described by the doc comments of IscsiClusterOutputs. */
export function outputsSection(source: string): string {
  const members = /export interface IscsiClusterOutputs \{\n([\s\S]*?)^\}/m.exec(source)?.[1] ?? "";
  const rows = [...members.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+)/g)].map(
    ([, comment = "", name = ""]) => `| \`${name}\` | ${comment.replace(/\s*\n\s*\*?\s*/g, " ").trim()} |`,
  );
  return `## Outputs

\`pulumi stack output <name>\`, with \`--show-secrets\` for secrets. Their form is stable.

| Output | Value |
| --- | --- |
${rows.join("\n")}
`;
}
