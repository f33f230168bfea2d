import type { Clock } from "./clock.ts";
import { backoff, type Timeouts } from "./timeouts.ts";

/** A change of an object. */
export interface WatchEvent<T> {
  type: "there" | "gone";
  object: T;
}

/** Lists objects and watches changes from a version on. The watch resolves when it ends for any reason, and never fails. */
export interface WatchSource<T> {
  list(): Promise<{ objects: T[]; version: string }>;
  watch(version: string, onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal): Promise<void>;
}

/** Wakes a waiter when any of several things has changed. */
export class WakeSignal {
  #ring: () => void = () => undefined;
  #rung = false;

  ring(): void {
    this.#rung = true;
    this.#ring();
  }

  /** Waits until it is signaled, or was since the last wait; up to the limit. */
  async wait(limitMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
    const waited = new AbortController();
    const rung = new Promise<void>((resolve) => (this.#ring = resolve));
    try {
      if (this.#rung) return;
      await Promise.race([rung, clock.sleep(limitMs, AbortSignal.any([signal, waited.signal]))]);
    } finally {
      this.#rung = false;
      this.#ring = () => undefined;
      waited.abort();
    }
  }
}

/** Objects of the cluster, listed once and kept up to date by a watch. When the watch ends, they are listed and watched again. */
export class Watched<T extends { uid: string }> {
  readonly #source: WatchSource<T>;
  readonly #clock: Clock;
  #objects: Map<string, T> | undefined;
  #watch: AbortController | undefined;
  readonly #wake: WakeSignal;
  /** When to list again after a watch has ended; never while it is active. */
  #relistAt = Infinity;
  readonly #pause: () => number;

  constructor(
    source: WatchSource<T>,
    { clock, timeouts }: { clock: Clock; timeouts: Pick<Timeouts, "pollMs" | "evictMaxMs"> },
    wake = new WakeSignal(),
  ) {
    this.#wake = wake;
    this.#pause = backoff(clock, timeouts.pollMs, timeouts.evictMaxMs / 2);
    this.#source = source;
    this.#clock = clock;
  }

  async objects(): Promise<T[]> {
    if (this.#clock.now() >= this.#relistAt) this.forget();
    this.#objects ??= await this.#list();
    return [...this.#objects.values()];
  }

  /** The same, for a decision: if the watch has ended, lists them at once. */
  async objectsNow(): Promise<T[]> {
    if (this.#relistAt !== Infinity) this.forget();
    return this.objects();
  }

  /** Drops an object that turned out to be gone. */
  gone({ uid }: T): void {
    this.#objects?.delete(uid);
  }

  /** Cached state may be stale: the next read lists the objects again. */
  forget(): void {
    this.#watch?.abort();
    this.#objects = undefined;
  }

  /** Waits until something changes, up to the limit. */
  async change(limitMs: number, signal: AbortSignal): Promise<void> {
    const pauseMs = Math.max(1, Math.min(limitMs, this.#relistAt - this.#clock.now()));
    await this.#wake.wait(pauseMs, this.#clock, signal);
  }

  close(): void {
    this.#watch?.abort();
  }

  async #list(): Promise<Map<string, T>> {
    const { objects, version } = await this.#source.list();
    const known = new Map(objects.map((object) => [object.uid, object]));
    const watch = new AbortController();
    this.#watch = watch;
    const ended = this.#source.watch(
      version,
      (event) => {
        if (watch.signal.aborted) return;
        if (event.type === "gone") known.delete(event.object.uid);
        else known.set(event.object.uid, event.object);
        this.#wake.ring();
      },
      watch.signal,
    );
    this.#relistAt = Infinity;
    void ended.then(() => {
      if (!watch.signal.aborted) this.#relistAt = this.#clock.now() + this.#pause();
    });
    return known;
  }
}
