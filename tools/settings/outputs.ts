/** The outputs of the stack, by their doc comments in `index.ts`. */
export function outputsSection(program: string): string {
  let text = "";
  const rows = [...program.matchAll(/(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*)?^export const (\w+)/gm)].map(
    ([, comment, name = ""]) => {
      // Outputs without a comment of their own share the one before.
      if (comment !== undefined) text = comment.replace(/\s*\n\s*\*?\s*/g, " ").trim();
      return `| \`${name}\` | ${text} |`;
    },
  );
  return `## Outputs

\`pulumi stack output <name>\`, with \`--show-secrets\` for the two configurations of clients. They stay what they are: other stacks and scripts may rely on them.

| Output | What it is |
| --- | --- |
${rows.join("\n")}
`;
}
