import { PROVIDER_LINE, type Line } from "../../../talos/mergeRules.ts";
import { MergeError, mergeConfig, mergeGenerated } from "../../../talos/mergeConfig.ts";
import { drawSequence, type Sequence } from "./draw.ts";
import type { Answer, Judge } from "./judge.ts";

/** The outcome of a run. */
export interface Outcome {
  /** Number of sequences that Talos merged into a configuration. */
  compared: number;
  /** How many of those a machine would accept. */
  valid: number;
  /** Number of sequences that Talos refuses, by phase. */
  readonly refused: Record<string, number>;
  /** The differences, and the numbers that reproduce those sequences. */
  readonly divergences: Divergence[];
}

export interface Divergence extends Sequence {
  readonly seed: number;
  readonly what: string;
  readonly answer: Answer;
}

/** Our own result, or why it was refused. */
export interface Merged {
  readonly text: string | null;
  /** As the machinery of the line writes it, if this program does that. */
  readonly written?: string;
  readonly refused?: string;
}

export function mergeHere({ base, patches }: Sequence, line: Line): Merged {
  try {
    const text = mergeConfig(base, patches, line);
    return line === PROVIDER_LINE ? { text, written: mergeGenerated(base, patches) } : { text };
  } catch (error) {
    if (error instanceof MergeError) return { text: null, refused: error.message };
    throw error;
  }
}

/** How the two results differ; undefined if they are the same. */
export function describeDivergence(
  answer: Answer,
  { refused, written }: Merged,
  line: Line,
): string | undefined {
  // When asked to delete a missing document, Talos 1.13 leaves a broken one, and fixes it if a later patch deletes that.
  if (line === "v1.13" && /: deletes (?!from)\S+, which does not exist \[patch\]$/.test(refused ?? ""))
    return undefined;
  // A case that makes talosctl panic has no correct result: deleting an item by a URL that another item does not have.
  if (answer.refused?.startsWith("panic: ") === true) return undefined;
  if (answer.phase === "merge" && refused === undefined) return `only Talos refuses: ${answer.refused}`;
  if (answer.theirs === undefined) return undefined;
  if (refused !== undefined) return `only we refuse: ${refused}`;
  if (answer.oursRefused !== undefined) return `Talos cannot read ours: ${answer.oursRefused}`;
  if (answer.ours !== answer.theirs) return "the results differ";
  // Talos drops the encryption of a volume without a provider, which has no effect, by the type's own IsZero.
  if (written !== undefined && written !== answer.theirs && !/^ {4}provider: none$/m.test(written))
    return `the machinery writes it differently from:\n${written}`;
  return answer.valid && !answer.oursValid ? `ours is not valid: ${answer.invalid}` : undefined;
}

/** Draws `count` sequences, starting with number `first`, and judges each. */
export async function fuzz(judge: Judge, line: Line, first: number, count: number): Promise<Outcome> {
  const outcome: Outcome = { compared: 0, valid: 0, refused: {}, divergences: [] };
  const batch = 100;
  for (let start = first; start < first + count; start += batch) {
    const seeds = Array.from({ length: Math.min(batch, first + count - start) }, (_, index) => start + index);
    await Promise.all(
      seeds.map(async (seed) => {
        const sequence = drawSequence(line, seed);
        const merged = mergeHere(sequence, line);
        const answer = await judge.ask({ ...sequence, ours: merged.text });
        if (answer.phase !== undefined)
          outcome.refused[answer.phase] = (outcome.refused[answer.phase] ?? 0) + 1;
        if (answer.theirs !== undefined) outcome.compared += 1;
        if (answer.theirs !== undefined && answer.valid) outcome.valid += 1;
        const what = describeDivergence(answer, merged, line);
        if (what !== undefined) outcome.divergences.push({ ...sequence, seed, what, answer });
      }),
    );
  }
  return outcome;
}
