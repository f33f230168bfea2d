/** Parses the text of a patch so that every problem has a line number. */
import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document, type Node } from "yaml";

/** A problem with a patch. */
export interface PatchProblem {
  /** Its index in the list, from 0. */
  readonly patch: number;
  /** The line in the patch, from 1; absent if unknown. */
  readonly line?: number | undefined;
  readonly reason: string;
}

/** One document of a patch. */
export interface PatchDocument {
  readonly root: Document.Parsed;
  readonly problem: (node: Node | undefined, reason: string) => PatchProblem;
}

/** The text of a patch: its documents, and syntax problems. */
export class PatchSource {
  readonly problems: PatchProblem[] = [];
  readonly #text: string;
  readonly #patch: number;

  constructor(text: string, patch: number) {
    this.#text = text;
    this.#patch = patch;
  }

  parts(): PatchDocument[] {
    const lines = new LineCounter();
    const parsed = parseAllDocuments(this.#text, { lineCounter: lines, prettyErrors: false });
    const documents = Array.isArray(parsed) ? parsed : [];
    const at = (offset: number | undefined): number => Math.max(1, lines.linePos(offset ?? 0).line);
    for (const { errors } of documents) {
      for (const { pos, message } of errors)
        this.#report(at(pos[0]), `is not YAML: ${withoutQuotedText(message)}`);
    }
    if (this.problems.length > 0) return [];
    const filled = documents.filter(
      ({ contents }) => contents !== null && !(isScalar(contents) && contents.value === null),
    );
    if (filled.length === 0) this.#report(1, "is empty");
    return filled.map((root) => ({
      root: root,
      problem: (node, reason) => ({
        patch: this.#patch,
        line: at((node ?? root.contents)?.range?.[0]),
        reason,
      }),
    }));
  }

  #report(line: number, reason: string): void {
    this.problems.push({ patch: this.#patch, line, reason });
  }
}

/** The kind of a document; empty for the v1alpha1 one. */
export function kindOf({ root }: PatchDocument): { kind: string; node: Node | undefined } {
  const node = isMap(root.contents) ? root.get("kind", true) : undefined;
  return { kind: isScalar(node) ? String(node.value) : "", node: isScalar(node) ? node : undefined };
}

/** The node of a field in the text. */
export function nodeAt({ root }: PatchDocument, path: readonly string[]): Node | undefined {
  const node = root.getIn(path, true);
  return isMap(node) || isSeq(node) || isScalar(node) ? node : undefined;
}

/** A parser's message without the quoted text, which may be a secret. */
function withoutQuotedText(message: string): string {
  return message.split(/: |"/)[0] ?? "";
}
