import { coded } from "../../talos/errorCodes.ts";
import { isTransient } from "../../talos/api/errors.ts";
import {
  imageForRelease,
  readImages,
  releaseOfImage,
  setImages,
  type KubernetesComponent,
} from "../../talos/kubernetesImages.ts";
import { nodeLabel } from "../inputs.ts";
import { talosctlCommand } from "../talosctl.ts";
import { minorOf } from "./releases.ts";
import { KubernetesUpgradeError, type Work, type WorkNode } from "./work.ts";

/**
 * Sets one component's image in a node's machine configuration to the target release if it isn't there yet. The rest stays as the node has it.
 * @param runs the running image, for a configuration that names none
 * @param onAct called right before the configuration is sent: from then on the node may have it
 */
export async function setComponentImage(
  work: Work,
  one: WorkNode,
  component: KubernetesComponent,
  runs: string | undefined,
  onAct: () => void = () => undefined,
): Promise<void> {
  const { node, context } = one;
  const { talos, gate, timeouts, signal } = context;
  const target = work.inputs.kubernetesVersion;
  const where = `${nodeLabel(node)}, ${component}`;
  const call = { deadlineMs: timeouts.probeMs * 5, signal };
  const config = await talos.machineConfiguration(call);
  if (config === undefined)
    throw new KubernetesUpgradeError(
      where,
      coded("config-unreadable", "the node has no machine configuration"),
      "Run `pulumi up` again.",
    );
  const image = readImages(config)[component];
  if (releaseOfImage(image) === target) return;
  requireNotAhead(where, image ?? runs, target);
  await work.requireOpen(one);
  const data = setImages(config, { [component]: imageForRelease(component, image ?? runs, target) });
  const { mode } = await gate.tryConfiguration(data, call);
  if (mode !== "NO_REBOOT") {
    // The new image alone never needs a reboot: something else waits for one, and this change would activate it.
    throw new KubernetesUpgradeError(
      where,
      coded("config-staged", "a change to its machine configuration is waiting for a reboot"),
      `Reboot the node at a convenient time (${talosctlCommand("reboot", node.node)}), then run \`pulumi up\` again.`,
    );
  }
  onAct();
  try {
    await gate.applyConfiguration(
      { data, mode: "NO_REBOOT", disturbs: true, changes: true, as: "kubernetes" },
      call,
    );
  } catch (error) {
    // A lost response is not a failure if the node has the configuration.
    if (!isTransient(error)) throw error;
    const has = await talos.machineConfiguration(call).catch(() => undefined);
    if (has === undefined || releaseOfImage(readImages(has)[component]) !== target) throw error;
  }
}

/** Never goes back a minor release: another run, or a person, has upgraded the component further since this run read the cluster. */
function requireNotAhead(where: string, image: string | undefined, target: string): void {
  const release = releaseOfImage(image);
  if (release === undefined || minorOf(release) <= minorOf(target)) return;
  throw new KubernetesUpgradeError(
    where,
    coded(
      "kubernetes-downgrade",
      `it now runs ${release}, and ${target} would be a downgrade by a minor release`,
    ),
    "Is another stack or a person upgrading this cluster at the same time? Stop one of them, set kubernetesVersion to the wanted release, and run `pulumi up` again.",
  );
}
