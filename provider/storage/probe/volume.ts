import type { Clock } from "../../clock.ts";
import { backoff } from "../../timeouts.ts";
import { Cancelled } from "../../errors.ts";
import { KubernetesError } from "../../kubernetes.ts";
import type { ProbeCluster, ProbePod, Toleration } from "./cluster.ts";
import type { PlannedVolume } from "./plan.ts";
import type { ProbeStep, VolumeRow } from "./report.ts";
import { parsePodResult, type PodResult } from "./script.ts";

/** What all volumes of a probe share. */
export interface VolumeSite {
  readonly cluster: ProbeCluster;
  readonly namespace: string;
  readonly image: string;
  readonly size: string;
  readonly timeoutSeconds: number;
  readonly tolerations: readonly Toleration[];
  /** Whether a driver's volumes are attached before they are mounted. */
  readonly attaches: (driver: string) => boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Creates a volume, writes it on one node, reads it on another, and deletes it. Failures are in the row; only an abort from outside is thrown. */
export async function probeVolume(
  site: VolumeSite,
  planned: PlannedVolume,
  number: number,
): Promise<VolumeRow> {
  const volume = new VolumeProbe(site, planned, number);
  const row = { storageClass: planned.storageClass.name, node: planned.node };
  try {
    await volume.run();
    return { ...row, readOn: planned.reader, result: "passed", seconds: volume.seconds };
  } catch (error) {
    if (!(error instanceof VolumeProblem) && !(error instanceof KubernetesError)) throw error;
    const text = error instanceof VolumeProblem ? error.message : await volume.refusal(error);
    await volume.giveUp();
    const reading = volume.reading ? { readOn: planned.reader } : {};
    return { ...row, ...reading, result: "failed", seconds: volume.seconds, problem: text };
  }
}

/** A failed step, with everything known about it. */
class VolumeProblem extends Error {
  override readonly name = "VolumeProblem";
}

class VolumeProbe {
  readonly #site: VolumeSite;
  readonly #planned: PlannedVolume;
  readonly #claim: string;
  readonly #pods: Record<"write" | "read", string>;
  readonly seconds: VolumeRow["seconds"] = {};
  #step: ProbeStep = "provision";
  #task: "write" | "read" = "write";
  /** The PersistentVolume, once it exists. */
  #volume = "";

  constructor(site: VolumeSite, planned: PlannedVolume, number: number) {
    this.#site = site;
    this.#planned = planned;
    this.#claim = `volume-${number}`;
    this.#pods = { write: `write-${number}`, read: `read-${number}` };
  }

  /** It has reached the second pod. */
  get reading(): boolean {
    return this.#task === "read";
  }

  async run(): Promise<void> {
    const { cluster, namespace } = this.#site;
    const written = await this.#write();
    await this.#detach(this.#planned.node, "detach");
    this.#task = "read";
    this.#step = "read";
    await this.#timed("read", async () => {
      await this.#request(() => cluster.createPod(namespace, this.#pod()));
      const { found } = await this.#awaitPodEnd();
      if (found === "")
        throw this.#problem(`data loss: the file written on ${this.#planned.node} is not in the volume`);
      if (found !== written)
        throw this.#problem(
          `the data read differs from the data written on ${this.#planned.node}: SHA-256 ${found}, not ${written}`,
        );
    });
    await this.#detach(this.#planned.reader);
    await this.#timed("delete", async () => {
      await this.#request(() => cluster.deleteClaim(namespace, this.#claim));
      await this.#pollUntil(async () =>
        (await cluster.volume(this.#volume)) === undefined ? true : undefined,
      );
    });
  }

  /** What Kubernetes rejected, and at which step. */
  async refusal(error: KubernetesError): Promise<string> {
    const hint = error.status === 403 ? ". The probe needs admin rights" : "";
    return (await this.#problemWithCause(`the Kubernetes API refused: ${error.message}${hint}`, false))
      .message;
  }

  /** Requests the removal of what exists; the namespace is removed after all volumes. */
  async giveUp(): Promise<void> {
    const { cluster, namespace } = this.#site;
    const requests = [
      cluster.deletePod(namespace, this.#pods.write),
      cluster.deletePod(namespace, this.#pods.read),
      cluster.deleteClaim(namespace, this.#claim),
    ];
    await Promise.allSettled(requests);
  }

  /** The first pod. @returns the checksum of what it wrote */
  async #write(): Promise<string> {
    const { cluster, namespace, size } = this.#site;
    const { storageClass, accessMode } = this.#planned;
    const claim = { name: this.#claim, storageClass: storageClass.name, accessMode, size };
    const bound = (): Promise<string | undefined> => cluster.volumeOf(namespace, this.#claim);
    const createPod = (): Promise<void> => this.#request(() => cluster.createPod(namespace, this.#pod()));
    if (storageClass.waitsForConsumer) {
      await this.#request(() => cluster.createClaim(namespace, claim));
      await createPod();
      this.#volume = await this.#timed("provision", () => this.#pollUntil(bound));
    } else {
      this.#volume = await this.#timed("provision", async () => {
        await this.#request(() => cluster.createClaim(namespace, claim));
        return this.#pollUntil(bound);
      });
    }
    // Done at once, so that the volume goes with its claim whatever happens to this process.
    await this.#request(() => cluster.deleteWithClaim(this.#volume));
    if (!storageClass.waitsForConsumer) await createPod();
    const attaches = this.#site.attaches(storageClass.provisioner);
    if (attaches) await this.#timed("attach", () => this.#pollUntil(() => this.#attached()));
    await this.#timed("mount", () =>
      this.#pollUntil(async () => ((await this.#state()).started ? true : undefined)),
    );
    this.#step = "write";
    const { written, found, seconds } = await this.#awaitPodEnd();
    this.seconds.write = seconds;
    if (written === undefined || written !== found)
      throw this.#problem(
        `the data read differs from the data just written: SHA-256 ${found}, not ${written}`,
      );
    return written;
  }

  #pod() {
    const { image, tolerations } = this.#site;
    const { node, reader, storageClass } = this.#planned;
    return {
      name: this.#pods[this.#task],
      claim: this.#claim,
      node: this.#task === "write" ? node : reader,
      image,
      task: this.#task,
      asRoot: storageClass.isShare,
      tolerations,
    };
  }

  async #state(): Promise<ProbePod> {
    const { cluster, namespace } = this.#site;
    const pod = await cluster.pod(namespace, this.#pods[this.#task]);
    if (pod === undefined) throw this.#problem("the pod was deleted by someone else");
    return pod;
  }

  /** A running pod has its volume: a short pod may end, and its volume detach, between two polls. */
  async #attached(): Promise<true | undefined> {
    const { cluster } = this.#site;
    const here = (await cluster.attachments()).some(
      ({ volume, node, attached }) => volume === this.#volume && node === this.#planned.node && attached,
    );
    return here || (await this.#state()).started ? true : undefined;
  }

  async #awaitPodEnd(): Promise<PodResult> {
    const { exitCode = 0, message } = await this.#pollUntil(async () => {
      const pod = await this.#state();
      return pod.exitCode === undefined ? undefined : pod;
    });
    if (exitCode !== 0) throw this.#problem(`the pod failed (exit code ${exitCode}): ${message}`);
    const result = parsePodResult(message);
    if (result === undefined) throw this.#problem(`the pod returned no result: ${JSON.stringify(message)}`);
    return result;
  }

  async #detach(node: string, timed?: "detach"): Promise<void> {
    const { cluster, namespace } = this.#site;
    const pod = this.#pods[this.#task];
    const work = async (): Promise<void> => {
      await this.#request(() => cluster.deletePod(namespace, pod));
      await this.#pollUntil(async () => {
        if ((await cluster.pod(namespace, pod)) !== undefined) return undefined;
        const attachments = await cluster.attachments();
        const isHere = attachments.some((one) => one.volume === this.#volume && one.node === node);
        return isHere ? undefined : true;
      });
    };
    if (timed === undefined) {
      this.#step = "detach";
      await work();
    } else await this.#timed(timed, work);
  }

  async #timed<T>(step: ProbeStep, work: () => Promise<T>): Promise<T> {
    const { clock } = this.#site;
    this.#step = step;
    const begun = clock.now();
    const result = await work();
    this.seconds[step] = Math.round((clock.now() - begun) / 100) / 10;
    return result;
  }

  /** Retries requests that the API server was too busy for; all of them are safe to repeat. */
  async #request(make: () => Promise<void>): Promise<void> {
    await this.#pollUntil(async () => {
      await make();
      return true;
    });
  }

  /** Polls until there is a result, up to the step's time limit. */
  async #pollUntil<T>(look: () => Promise<T | undefined>): Promise<T> {
    const { clock, signal, timeoutSeconds } = this.#site;
    const end = clock.now() + timeoutSeconds * 1000;
    const pause = backoff(clock, 250, 2_000);
    for (;;) {
      let unanswered = "";
      if (signal.aborted) throw new Cancelled();
      try {
        const found = await look();
        if (found !== undefined) return found;
      } catch (error) {
        if (!(error instanceof KubernetesError) || !error.transient) throw error;
        unanswered = `; the Kubernetes API does not answer: ${error.message}`;
      }
      if (clock.now() >= end)
        throw await this.#problemWithCause(
          `${lateText[this.#step]} within ${timeoutSeconds} s${unanswered}`,
          true,
        );
      await clock.sleep(Math.min(pause(), Math.max(1, end - clock.now())), signal);
    }
  }

  #problem(what: string): VolumeProblem {
    const { namespace } = this.#site;
    const { node, reader } = this.#planned;
    const where = [
      `claim ${namespace}/${this.#claim}`,
      `pod ${this.#pods[this.#task]}`,
      `node ${this.#task === "write" ? node : reader}`,
      ...(this.#volume === "" ? [] : [`volume ${this.#volume}`]),
    ];
    return new VolumeProblem(`step "${this.#step}": ${what} (${where.join(", ")})`);
  }

  /** The same, with the cluster's explanation. */
  async #problemWithCause(what: string, asks: boolean): Promise<VolumeProblem> {
    const { message } = this.#problem(what);
    const seen = asks ? await this.#clusterEvidence() : [];
    const silent = asks && seen.length === 0 ? ["Kubernetes reports no reason; check the driver's logs"] : [];
    return new VolumeProblem([message, ...seen, ...silent].join("; "));
  }

  /** Events, the attachment's error, and what the pod waits for: each once. */
  async #clusterEvidence(): Promise<string[]> {
    const { cluster, namespace } = this.#site;
    const none = (): undefined => undefined;
    const [warnings, attachments, pod, volume] = await Promise.all([
      cluster.warnings(namespace).catch(none),
      cluster.attachments().catch(none),
      cluster.pod(namespace, this.#pods[this.#task]).catch(none),
      this.#volume === "" || this.#step !== "delete" ? undefined : cluster.volume(this.#volume).catch(none),
    ]);
    const own = [this.#claim, this.#pods[this.#task]];
    const all = [
      ...(pod === undefined || pod.waiting === "" ? [] : [`the pod waits: ${pod.waiting}`]),
      ...(attachments ?? []).flatMap(({ volume: name, node, error }) =>
        name === this.#volume && error !== "" ? [`its attachment to ${node}: ${error}`] : [],
      ),
      ...(volume === undefined ? [] : [`the volume is ${volume.state}; delete it by hand`]),
      ...(warnings ?? [])
        .filter(({ object }) => own.includes(object))
        .map(({ reason, message }) => `${reason}: ${message}`)
        .slice(-5),
    ];
    return [...new Set(all)];
  }
}

/** What had not happened when a step timed out. */
const lateText: Readonly<Record<ProbeStep, string>> = {
  provision: "no volume was created",
  attach: "the volume was not attached",
  mount: "the pod did not start",
  write: "the pod did not finish writing",
  detach: "the volume was not detached",
  read: "the second pod did not finish reading",
  delete: "the volume was not deleted",
};
