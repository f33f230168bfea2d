import type { Clock } from "../clock.ts";
import { backoff, type Patience } from "../context.ts";
import type { KubernetesClient, KubernetesPod } from "../kubernetes.ts";

/** The pods of one node, listed once and kept by a watch. Where the watch ends, they are listed again and it begins again. */
export class PodWatch {
  readonly #kubernetes: KubernetesClient;
  readonly #node: string;
  readonly #clock: Clock;
  #pods: Map<string, KubernetesPod> | undefined;
  #watch: AbortController | undefined;
  #wake: () => void = () => undefined;
  #changed = false;
  /** When to list again after a watch has ended; never while it stands. */
  #relistAt = Infinity;
  readonly #pause: () => number;

  constructor(
    kubernetes: KubernetesClient,
    node: string,
    { clock, patience }: { clock: Clock; patience: Pick<Patience, "pollMs" | "evictMaxMs"> },
  ) {
    this.#pause = backoff(clock, patience.pollMs, patience.evictMaxMs / 2);
    this.#kubernetes = kubernetes;
    this.#node = node;
    this.#clock = clock;
  }

  async pods(): Promise<KubernetesPod[]> {
    if (this.#clock.now() >= this.#relistAt) this.forget();
    this.#pods ??= await this.#list();
    return [...this.#pods.values()];
  }

  /** A pod that turned out not to be there any more. */
  gone({ uid }: KubernetesPod): void {
    this.#pods?.delete(uid);
  }

  /** What is known may be old: the next question lists the pods again. */
  forget(): void {
    this.#watch?.abort();
    this.#pods = undefined;
  }

  /** Waits until something changes, at most for so long. */
  async change(limitMs: number, signal: AbortSignal): Promise<void> {
    const pauseMs = Math.max(1, Math.min(limitMs, this.#relistAt - this.#clock.now()));
    const waited = new AbortController();
    const changed = new Promise<void>((resolve) => (this.#wake = resolve));
    try {
      if (this.#changed) return;
      await Promise.race([changed, this.#clock.sleep(pauseMs, AbortSignal.any([signal, waited.signal]))]);
    } finally {
      this.#changed = false;
      this.#wake = () => undefined;
      waited.abort();
    }
  }

  close(): void {
    this.#watch?.abort();
  }

  async #list(): Promise<Map<string, KubernetesPod>> {
    const { pods, version } = await this.#kubernetes.podsOn(this.#node);
    const known = new Map(pods.map((pod) => [pod.uid, pod]));
    const watch = new AbortController();
    this.#watch = watch;
    const ended = this.#kubernetes.watchPods(
      this.#node,
      version,
      (event) => {
        if (watch.signal.aborted) return;
        if (event.type === "gone") known.delete(event.pod.uid);
        else known.set(event.pod.uid, event.pod);
        this.#tell();
      },
      watch.signal,
    );
    this.#relistAt = Infinity;
    void ended.then(() => {
      if (!watch.signal.aborted) this.#relistAt = this.#clock.now() + this.#pause();
    });
    return known;
  }

  #tell(): void {
    this.#changed = true;
    this.#wake();
  }
}
