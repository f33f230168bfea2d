/** HTML that is safe by the way it is made: whatever is put into a template is escaped unless it is HTML itself. */

export class Html {
  readonly text: string;

  /** @param text markup that is known to be safe. */
  constructor(text: string) {
    this.text = text;
  }
}

type Part = Html | string | number | undefined | readonly Part[];

/** h`<b>${text}</b>` */
export function h(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((string, index) => string + toMarkup(parts[index])).join(""));
}

function toMarkup(part: Part): string {
  if (part === undefined) return "";
  if (part instanceof Html) return part.text;
  if (typeof part === "string" || typeof part === "number") return escapeHtml(String(part));
  return part.map(toMarkup).join("");
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as it may stand in an element and in a quoted attribute. Characters that a page may not hold are shown as a mark. */
function escapeHtml(text: string): string {
  return (
    text
      .toWellFormed()
      // eslint-disable-next-line no-control-regex -- these are what is looked for
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, "\ufffd")
      // Marks that turn the direction of writing could show another text than is there.
      .replace(/[\u202a-\u202e\u2066-\u2069]/g, "\ufffd")
      .replace(/[&<>"']/g, (character) => entities[character] ?? character)
  );
}

/** A text for people, what stands in backquotes as code. */
export function prose(text: string): Html {
  const parts = text.split(/`([^`\n]+)`/);
  return h`${parts.map((part, index) => (index % 2 === 0 ? part : h`<code>${part}</code>`))}`;
}
