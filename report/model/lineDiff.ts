import { structuredPatch } from "diff";

/** A line of a text that changes: kept, added or taken away. */
export interface DiffLine {
  kind: "kept" | "added" | "removed";
  text: string;
}

/** Changed lines with those around them. */
export interface Hunk {
  /** First line in the new text; in the old one where nothing is left. */
  line: number;
  lines: DiffLine[];
}

export interface TextDiff {
  hunks: Hunk[];
  added: number;
  removed: number;
}

const contextLines = 3;

/** What changes from one text to another, line by line. */
export function textDiff(before: string, after: string): TextDiff {
  const { hunks } = structuredPatch("", "", endLine(before), endLine(after), "", "", {
    context: contextLines,
  });
  const shown = hunks.map(({ newStart, oldStart, newLines, lines }) => ({
    line: newLines === 0 ? oldStart : newStart,
    lines: lines.filter((line) => !line.startsWith("\\")).map(diffLine),
  }));
  const count = (kind: DiffLine["kind"]) =>
    shown.reduce((sum, { lines }) => sum + lines.filter((line) => line.kind === kind).length, 0);
  return { hunks: shown, added: count("added"), removed: count("removed") };
}

function diffLine(line: string): DiffLine {
  const kind = line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "kept";
  return { kind, text: line.slice(1) };
}

// Whether a text ends with a line break is no change that anybody wants to read of.
function endLine(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
