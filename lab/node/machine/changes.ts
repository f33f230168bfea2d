import { setTimeout as delay } from "node:timers/promises";

/** Notifies everything that watches a node of a change. */
export class Changes {
  readonly #listeners = new Set<() => void>();

  notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** @returns a function that ends the subscription */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Waits for the next change, up to this limit.
   * @throws AbortError if the signal aborts first
   */
  async next(seconds: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const unsubscribe = this.subscribe(() => woken.abort());
    try {
      await delay(seconds * 1000, undefined, { signal: AbortSignal.any([woken.signal, signal]) });
    } catch (error) {
      if (signal.aborted) throw error;
    } finally {
      unsubscribe();
    }
  }
}
