import type { KubernetesPod } from "../../provider/kubernetes.ts";
import type { Attachment, Budget, StorageReader, Volume } from "../../provider/storage/reader.ts";
import type { WatchEvent, WatchSource } from "../../provider/watchedObjects.ts";

/** Objects in memory that can be listed and watched. */
export class FakeObjects<T extends { uid: string }> {
  #all: T[] = [];
  readonly #watches = new Set<() => void>();

  get all(): T[] {
    return this.#all;
  }

  set all(all: T[]) {
    this.#all = all;
    for (const changed of this.#watches) changed();
  }

  /** @param asked is called on each request; may throw */
  source(which: (object: T) => boolean, asked: (what: "list" | "watch") => void): WatchSource<T> {
    return {
      list: async () => {
        asked("list");
        return { objects: this.#all.filter(which), version: "1" };
      },
      watch: async (_version, onEvent, signal) => {
        asked("watch");
        await this.#follow(which, onEvent, signal);
      },
    };
  }

  async #follow(
    which: (object: T) => boolean,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<void> {
    let before = this.#all.filter(which);
    const changed = (): void => {
      const after = this.#all.filter(which);
      for (const object of before) {
        if (!after.some(({ uid }) => uid === object.uid)) onEvent({ type: "gone", object });
      }
      for (const object of after) if (!before.includes(object)) onEvent({ type: "there", object });
      before = after;
    };
    this.#watches.add(changed);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    this.#watches.delete(changed);
  }
}

/** A cluster's volumes, in memory. */
export class FakeStorage implements StorageReader {
  readonly attached = new FakeObjects<Attachment>();
  persistent: Volume[] = [];
  /** By node. */
  readonly drivers = new Map<string, string[]>();
  /** With the pods that each selects. */
  protecting: (Budget & { pods: string[] })[] = [];
  pending: KubernetesPod[] = [];
  readonly attachments: WatchSource<Attachment>;
  readonly #asked: (method: string) => void;

  /** @param asked is called with each request's name; may throw */
  constructor(asked: (method: string) => void) {
    this.#asked = asked;
    this.attachments = this.attached.source(
      () => true,
      (what) => asked(what === "list" ? "attachments" : "watchAttachments"),
    );
  }

  /** A volume of this driver with its claim, attached to a node. */
  attach(node: string, volume: string, change: Partial<Attachment> = {}): this {
    const driver = "iscsi.csi.joviandss.open-e.com";
    const plain = { name: `csi-${volume}`, driver, attached: true, error: "", metadata: [targetOf(volume)] };
    if (!this.persistent.some(({ name }) => name === volume)) {
      const claim = `default/claim-of-${volume}`;
      this.persistent.push({ name: volume, claim, driver, handle: `vp_${volume}`, attributes: [] });
    }
    this.attached.all = [
      ...this.attached.all,
      { uid: `uid-${volume}-${node}`, node, volume, ...plain, ...change },
    ];
    return this;
  }

  detach(volume: string, node?: string): void {
    this.attached.all = this.attached.all.filter(
      (one) => one.volume !== volume || (node !== undefined && one.node !== node),
    );
  }

  async driversOn(node: string): Promise<string[]> {
    this.#asked("driversOn");
    return this.drivers.get(node) ?? [];
  }

  async budgets(): Promise<Budget[]> {
    this.#asked("budgets");
    return this.protecting;
  }

  async podsOf(namespace: string, selector: string): Promise<string[]> {
    this.#asked("podsOf");
    const found = this.protecting.filter(
      (budget) => budget.namespace === namespace && budget.selector === selector,
    );
    return found.flatMap(({ pods }) => pods);
  }

  async pendingPods(): Promise<KubernetesPod[]> {
    this.#asked("pendingPods");
    return this.pending;
  }

  async volumes(): Promise<Volume[]> {
    this.#asked("volumes");
    return structuredClone(this.persistent);
  }
}

/** The name of a volume's target. */
export function targetOf(volume: string): string {
  return `iqn.2019-04.com.example:${volume}`;
}
