import type { DiffLine, TextDiff } from "../model/lineDiff.ts";
import type { PropertyChange } from "../model/propertyDiff.ts";
import { h, type Html } from "./html.ts";

const signs = { kept: " ", added: "+", removed: "-" } as const;

/** Changed lines with those around them. It scrolls inside its own box. */
export function diffBlock({ hunks }: TextDiff): Html {
  const lines = hunks.map(({ line, lines: own }) => [
    h`<span class="gap">line ${line}</span>`,
    ...own.map(
      (each, index) =>
        h`<span class="${each.kind}">${signs[each.kind]} ${highlightChange(each, counterpart(own, index))}</span>`,
    ),
  ]);
  return scrollBox(lines.flat(), "Changed lines");
}

/** The line that a changed one takes the place of, or that takes its place, where one stands for one. */
function counterpart(lines: readonly DiffLine[], index: number): string | undefined {
  const kindAt = (at: number) => lines[at]?.kind;
  const single = (first: number) =>
    kindAt(first) === "removed" &&
    kindAt(first + 1) === "added" &&
    kindAt(first - 1) !== "removed" &&
    kindAt(first + 2) !== "added";
  if (single(index)) return lines[index + 1]?.text;
  return single(index - 1) ? lines[index - 1]?.text : undefined;
}

/** A line with the part underlined that differs from its counterpart. */
function highlightChange({ text }: DiffLine, other: string | undefined): Html {
  if (other === undefined) return h`${text}`;
  const [own, theirs] = [[...text], [...other]];
  const least = Math.min(own.length, theirs.length);
  let start = 0;
  while (start < least && own[start] === theirs[start]) start += 1;
  let end = 0;
  while (end < least - start && own[own.length - 1 - end] === theirs[theirs.length - 1 - end]) end += 1;
  // Whole words: of two releases the release is read, not its last digits.
  const isWord = (at: number) => /[\w.]/.test(own[at] ?? "");
  while (start > 0 && isWord(start - 1)) start -= 1;
  while (end > 0 && isWord(own.length - end)) end -= 1;
  const part = (from: number, to: number) => own.slice(from, to).join("");
  const changed = part(start, own.length - end);
  return h`${part(0, start)}${changed === "" ? "" : h`<mark>${changed}</mark>`}${part(own.length - end, own.length)}`;
}

/** Lines that say themselves what they are. */
export function linesBlock(lines: readonly DiffLine[], label: string): Html {
  return scrollBox(
    lines.map(({ kind, text }) => h`<span class="${kind}">${text}</span>`),
    label,
  );
}

/** A text as it is. */
export function textBlock(text: string): Html {
  const lines = text.trimEnd().split("\n");
  return scrollBox(
    lines.map((line) => h`<span>${line}</span>`),
    "Text",
  );
}

function scrollBox(lines: Html[], label: string): Html {
  return h`<div class="diff"><div tabindex="0" role="region" aria-label="${label}"><pre>${lines}</pre></div></div>`;
}

/** What changes in a resource. */
export function propertyList(changes: PropertyChange[]): Html {
  if (changes.length === 0) return h``;
  return h`<div class="changes">${changes.map(propertyItem)}</div>`;
}

function propertyItem({ path, before, after, diff }: PropertyChange): Html {
  return h`<div>
    <span class="path mono">${path}</span>
    ${before === undefined ? "" : h`<span class="value before mono"><span aria-label="before">−</span> ${before}</span>`}
    ${after === undefined ? "" : h`<span class="value after mono"><span aria-label="after">+</span> ${after}</span>`}
    ${diff === undefined ? "" : diffBlock(diff)}
  </div>`;
}
