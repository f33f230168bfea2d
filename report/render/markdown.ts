/** Text in Markdown, so that it shows as it is whatever is in it. */

/** As plain text in a paragraph, a cell or a list. */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\`*_{}[\]<>#|~!&]/g, "\\$&")
    .replace(/@/g, "@\u2060") // nobody is to be called by a report
    .replace(/\s*\n\s*/g, " ");
}

/** As code on one line. */
export function inlineCode(text: string): string {
  const line = text.replace(/\s*\n\s*/g, " ").replaceAll("|", "\\|");
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = "`".repeat(longest + 1);
  const space = /^`|`$/.test(line) || line.trim() === "" ? " " : "";
  return `${fence}${space}${line}${space}${fence}`;
}

/** As a block of code, with a fence that nothing in it ends. */
export function codeBlock(text: string, language: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/^\s*(`{3,})/gm)].map(([, run]) => (run ?? "").length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text.replace(/\n$/, "")}\n${fence}`;
}

export function markdownTable(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Folded away until it is asked for. @param summary Markdown is not read in it: plain words only. */
export function collapsible(summary: string, body: string): string {
  return `<details><summary>${summary.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c] ?? c)}</summary>\n\n${body}\n\n</details>`;
}

/**
 * Parts one after the other, in the order of their weight, as many as fit. What does not fit is left out as a whole, or at the end of a
 * line where that breaks nothing, so that no fence and no folded part is left open.
 */
export function fitParts(parts: readonly string[], limit: number, left: (parts: number) => string): string {
  const given = parts.filter((part) => part !== "");
  const room = limit - left(given.length).length - 3;
  const kept: string[] = [];
  let length = 0;
  let dropped = 0;
  for (const part of given) {
    const shown = length + part.length + 2 <= room ? part : cutAtLine(part, room - length - 2);
    if (shown !== part) dropped += 1;
    if (shown === "") continue;
    kept.push(shown);
    length += shown.length + 2;
  }
  return `${[...kept, ...(dropped === 0 ? [] : [left(dropped)])].join("\n\n")}\n`;
}

/** As many lines as fit, of a part that may be cut between its lines. */
function cutAtLine(part: string, room: number): string {
  if (/^(`{3,}|<details>)/m.test(part) || room <= 0) return "";
  const lines = part.split("\n");
  let length = 0;
  const count = lines.findIndex((line) => (length += line.length + 1) > room);
  // A heading and the head of a table alone say nothing.
  return count < 6 ? "" : lines.slice(0, count).join("\n");
}
