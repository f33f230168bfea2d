import type { CustomGate } from "../../talos/inputs/rolloutPolicy.ts";
import { coded } from "../../talos/errorCodes.ts";
import { formatDuration } from "../clock.ts";
import { stepError, throwIfCancelled, type UpgradeContext } from "../context.ts";
import { backoff } from "../timeouts.ts";
import type { StepName } from "../errors.ts";
import { KubernetesError, type KubernetesClient } from "../kubernetes.ts";

interface GatedObject {
  metadata?: { name?: string; namespace?: string };
  status?: { conditions?: { type?: string; status?: string; reason?: string; message?: string }[] };
}

/** What keeps a gate closed. */
interface GateObstacle {
  problem: string;
  /** It may clear by itself. */
  mayPass: boolean;
  /** It doesn't keep the gate closed. */
  harmless?: boolean;
}

/** Waits until every gate is open, each up to the limit in its settings. */
export async function requireGates(context: UpgradeContext, step: StepName): Promise<void> {
  const { wanted, clock, timeouts, progress, signal } = context;
  const begun = clock.now();
  for (const [index, gate] of wanted.rollout.gates.entries()) {
    const pause = backoff(clock, timeouts.pollMs, timeouts.pollMaxMs * 5);
    for (;;) {
      throwIfCancelled(context);
      const obstacles = await findObstacles(context, gate);
      if (obstacles.length === 0) break;
      const problem = obstacles.map((obstacle) => obstacle.problem).join("; ");
      const left = begun + gate.timeoutSeconds * 1000 - clock.now();
      if (left <= 0 || obstacles.some(({ mayPass }) => !mayPass)) {
        throw stepError(
          context,
          step,
          coded(
            "upgrade-gate",
            `${problem} (upgrade.gates[${index}], waited ${formatDuration(clock.now() - begun)})`,
          ),
          "The rollout stops here; the node was not taken down. Once the gate is open, run `pulumi up` again: it continues from here.",
        );
      }
      progress.detail(`waiting: ${problem}`);
      await clock.sleep(Math.min(pause(), left), signal);
    }
  }
}

/** For a preview: what keeps the gates closed right now, and gates that match nothing. */
export async function previewGates(context: UpgradeContext): Promise<string[]> {
  const texts = await Promise.all(
    context.wanted.rollout.gates.map(async (gate, index) => {
      const obstacles = await findObstacles(context, gate, true);
      return obstacles.map(({ problem, harmless }) => {
        const text = `upgrade.gates[${index}]: ${problem}`;
        return harmless === true
          ? text
          : coded("upgrade-gate", `the rollout would wait right now, and then stop: ${text}`);
      });
    }),
  );
  return texts.flat();
}

/** @param strict also report a gate that matches no object at all */
async function findObstacles(
  context: UpgradeContext,
  gate: CustomGate,
  strict = false,
): Promise<GateObstacle[]> {
  const kubernetes = await context.kubernetes();
  if (kubernetes === undefined) {
    return strict
      ? [{ problem: "not checked, since no kubeconfig is known yet", mayPass: true, harmless: true }]
      : [{ problem: "a gate needs the kubeconfig, and there is none", mayPass: false }];
  }
  const objects = await listGatedObjects(kubernetes, gate);
  if (!Array.isArray(objects)) return [objects];
  if (objects.length === 0 && gate.name !== undefined)
    return [{ problem: `${describeGate(gate)} does not exist`, mayPass: true }];
  if (objects.length === 0 && strict)
    return [{ problem: `there is no ${gate.kind} to check`, mayPass: true, harmless: true }];
  const problems = await Promise.all(objects.map((object) => whyUnmet(gate, object as GatedObject)));
  const closed = problems.filter((problem) => problem !== undefined);
  const shown = closed.slice(0, 5);
  const more = closed.length > shown.length ? [`and ${closed.length - shown.length} more`] : [];
  return [...shown, ...more].map((problem) => ({ problem, mayPass: true }));
}

async function listGatedObjects(
  kubernetes: KubernetesClient,
  gate: CustomGate,
): Promise<object[] | GateObstacle> {
  try {
    return await kubernetes.objects(gate);
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error;
    return { problem: `${describeGate(gate)} cannot be read: ${error.message}`, mayPass: error.transient };
  }
}

async function whyUnmet(gate: CustomGate, object: GatedObject): Promise<string | undefined> {
  const name = [object.metadata?.namespace, object.metadata?.name].filter((part) => part !== undefined);
  const of = `${gate.kind} ${name.join("/")}`;
  if (gate.condition !== undefined) {
    const [type, status = "True"] = gate.condition.split("=");
    const has = object.status?.conditions?.find((condition) => condition.type === type);
    if (has?.status === status) return undefined;
    const why = has?.message ?? has?.reason ?? "";
    return `${of}: ${type} is ${has === undefined ? "not reported" : `${has.status}`}, not ${status}${why === "" ? "" : ` (${why})`}`;
  }
  const path = gate.jsonPath ?? "";
  // Loaded only if such a gate exists.
  const { evaluateJsonPath } = await import("../../talos/jsonPath.ts");
  const wanted = [gate.value ?? ""].flat();
  const values = evaluateJsonPath(path, object);
  const wrong = values.filter((value) => !wanted.some((one) => one === value || String(one) === value));
  if (values.length > 0 && wrong.length === 0) return undefined;
  const is =
    values.length === 0 ? "is missing" : `is ${wrong.map((value) => JSON.stringify(value)).join(", ")}`;
  return `${of}: ${path} ${is}, not ${wanted.map((one) => JSON.stringify(one)).join(" or ")}`;
}

/** `CephCluster rook-ceph/rook-ceph`, `Volume longhorn-system` */
function describeGate({ kind, namespace, name }: CustomGate): string {
  return [kind, [namespace, name].filter((part) => part !== undefined).join("/")]
    .filter((part) => part !== "")
    .join(" ");
}
