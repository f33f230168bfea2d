import type { Boot } from "../machine/boot.ts";
import type { Machine } from "../machine/machine.ts";
import type { ClusterRuntime, NodeIdentity } from "../machine/runtime.ts";

/** What a node reports to Kubernetes, in order. */
export class KubernetesLink {
  readonly #node: Machine;
  readonly #runtime: ClusterRuntime;
  readonly #life: AbortSignal;
  #kubelet: Promise<void> = Promise.resolve();
  #staticPods = "";
  /** Aborts the attempts of a kubelet that hasn't come up yet. */
  #starting = new AbortController();

  /** @param life aborts when the node is stopped for good; from then on, nothing is reported to Kubernetes */
  constructor(node: Machine, runtime: ClusterRuntime, life: AbortSignal) {
    this.#node = node;
    this.#runtime = runtime;
    this.#life = life;
    node.changes.subscribe(() => this.#tellStaticPods());
  }

  #tellStaticPods(): void {
    const { boot } = this.#node;
    if (boot === undefined || !boot.kubelet || this.#life.aborted) return;
    const pods = boot.staticPods.running();
    const news = JSON.stringify([boot.id, pods]);
    if (news === this.#staticPods || pods.length === 0) return;
    this.#staticPods = news;
    void this.#runtime
      .staticPods(this.#node.identity(), pods)
      .catch((error: unknown) => this.#complain(error));
  }

  /** Calls the Kubernetes side repeatedly until a call succeeds or the power goes. */
  async tell(call: (runtime: ClusterRuntime) => Promise<void>, power: AbortSignal): Promise<void> {
    while (!power.aborted) {
      try {
        await call(this.#runtime);
        return;
      } catch (error) {
        this.#complain(error);
        await this.#node.changes.next(1, AbortSignal.any([power, this.#life])).catch(() => {});
      }
    }
  }

  #complain(error: unknown): void {
    this.#node.log(`Kubernetes: ${error instanceof Error ? error.message : String(error)}`);
  }

  kubeletUp(boot: Boot): void {
    boot.kubelet = true;
    this.#starting = new AbortController();
    const until = AbortSignal.any([boot.power, this.#starting.signal]);
    this.#kubelet = this.#kubelet.then(() =>
      this.tell((runtime) => runtime.kubeletUp(this.#node.identity()), until),
    );
  }

  kubeletDown(boot: Boot): void {
    if (!boot.kubelet || this.#life.aborted) return;
    boot.kubelet = false;
    this.#starting.abort();
    const identity = this.#node.identity();
    this.#kubelet = this.#kubelet
      .then(() => this.#runtime.kubeletDown(identity))
      .catch((error: unknown) => this.#complain(error));
  }

  /** The kubelet restarts; its node stays Ready meanwhile, because that takes less time than the controller manager waits. */
  async restartKubelet(boot: Boot, start: () => Promise<void>): Promise<void> {
    await start();
    if (!boot.power.aborted) this.kubeletUp(boot);
  }

  /** The kubelet stops while the machine still runs, as before an installation. */
  async stopKubelet(boot: Boot): Promise<void> {
    this.kubeletDown(boot);
    // An unresponsive Kubernetes must not keep a machine from going down.
    await Promise.race([this.#kubelet, this.#node.changes.next(5, boot.power).catch(() => {})]);
  }

  async removed(identity: NodeIdentity): Promise<void> {
    await this.#runtime.removed(identity).catch((error: unknown) => this.#complain(error));
  }

  async health(): Promise<{ apiServer: boolean; nodeReady: boolean }> {
    return await this.#runtime
      .health(this.#node.identity())
      .catch(() => ({ apiServer: false, nodeReady: false }));
  }
}
