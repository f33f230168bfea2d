import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Deployment, EngineEvent, Stack } from "@pulumi/pulumi/automation/index.js";
import type { UpgradeTimeline } from "../../components/nodeUpgrade.ts";
import { schematicId } from "../../talos/schematic.ts";
import { readLayout, stackOf } from "../layout.ts";
import { timingsFor } from "../node/machine/timings.ts";
import { runTool } from "../process.ts";
import { setWantedVersion } from "./crash.ts";
import { measureSeconds } from "./figures.ts";
import { inScratchLab } from "./scratch.ts";

// All of them use LifecycleService, and each image is new to the nodes when it is rolled out.
const versions = { before: "v1.13.7", rollout: "v1.13.9", talosctl: "v1.13.6" };
const schematic = { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } };

/**
 * Compares a rollout with the time that the machines themselves take, and with `talosctl upgrade --wait`, one node after the other. With one
 * worker at a time the lower bound is one pull, which all nodes do at once, plus each node's installation, reboot and boot.
 */
export async function benchRollout(nodeSeconds: number): Promise<void> {
  const { pullSeconds, installSeconds, rebootSeconds, bootSeconds } = timingsFor(nodeSeconds);
  const { nodes, factory } = readLayout(stackOf.running);
  const turn = installSeconds + rebootSeconds + bootSeconds;
  const bound = pullSeconds + nodes.length * turn;
  const say = (line: string) => process.stderr.write(`${line}\n`);
  await inScratchLab({ nodeSeconds, say }, async (dir) => {
    // The clone's own module and folder: the module knows the clone's lab, and the program resolves paths from its working directory.
    process.chdir(dir);
    const { openStack } = (await import(pathToFileURL(join(dir, "lab", "stack.ts")).href)) as {
      openStack: (name: string) => Promise<Stack>;
    };
    setWantedVersion(dir, versions.before);
    say(`bringing all nodes to ${versions.before}`);
    const stack = await openStack(stackOf.running); // one for both: each stack counts its program's runs
    await stack.up();

    say(`rollout to ${versions.rollout}`);
    setWantedVersion(dir, versions.rollout);
    let begun: number | undefined;
    let ended = 0;
    let upgraded = 0;
    const whole = await measureSeconds(() =>
      stack.up({
        onEvent: ({ resourcePreEvent, resOutputsEvent }: EngineEvent) => {
          const now = performance.now() / 1000;
          if (resourcePreEvent?.metadata.type === "talos-node:index:RolloutPreflight") begun ??= now;
          if (
            resOutputsEvent?.metadata.type === "talos-node:index:NodeUpgrade" &&
            resOutputsEvent.metadata.op === "update"
          ) {
            ended = now;
            upgraded += 1;
          }
        },
      }),
    );
    if (begun === undefined || upgraded !== nodes.length)
      throw new Error(`the rollout upgraded ${upgraded} nodes, not ${nodes.length}`);
    const rollout = ended - begun;
    const spent = stepsOf(await stack.exportStack());

    say(`talosctl upgrade --wait to ${versions.talosctl}`);
    const image = `${new URL(factory).host}/metal-installer/${schematicId(schematic)}:${versions.talosctl}`;
    const talosctl = await measureSeconds(async () => {
      for (const { address } of nodes) {
        // Through a control plane that stays up; a worker has no kubeconfig for talosctl to drain with.
        const endpoint = nodes.find((node) => node.role === "controlplane" && node.address !== address);
        await upgradeByHand(dir, address, endpoint?.address ?? address, image);
      }
    });
    const over = (100 * (rollout - bound)) / bound;
    process.stdout.write(
      [
        `nodes: ${nodes.length}, ${nodeSeconds} s each (pull ${pullSeconds.toFixed(1)} s, then ${turn.toFixed(1)} s), one at a time`,
        `lower bound:              ${bound.toFixed(2)} s`,
        `rollout:                  ${rollout.toFixed(2)} s, ${over.toFixed(1)} % over the bound; aim at 30 s a node: at most 3 %`,
        `the entire up:            ${whole.toFixed(2)} s`,
        `time by step:             ${describeSteps(spent, rollout)}`,
        `talosctl upgrade --wait:  ${talosctl.toFixed(2)} s; aim: the rollout takes less`,
        "",
      ].join("\n"),
    );
  });
}

/** Total time of each step across all nodes, in seconds, from the timelines in the state. */
function stepsOf(state: Deployment): Map<string, number> {
  const { resources = [] } = state.deployment as {
    resources?: { type: string; outputs?: { timeline?: UpgradeTimeline } }[];
  };
  const steps = resources
    .filter(({ type }) => type === "talos-node:index:NodeUpgrade")
    .flatMap(({ outputs }) => outputs?.timeline?.steps ?? []);
  const sums = new Map<string, number>();
  for (const { name, seconds } of steps) sums.set(name, (sums.get(name) ?? 0) + seconds);
  return sums;
}

function describeSteps(steps: Map<string, number>, rollout: number): string {
  const known = [...steps.values()].reduce((sum, seconds) => sum + seconds, 0);
  const parts = [...steps].map(([name, seconds]) => `${name} ${seconds.toFixed(2)} s`);
  return [...parts, `preflight and between nodes ${(rollout - known).toFixed(2)} s`].join(", ");
}

async function upgradeByHand(dir: string, address: string, endpoint: string, image: string): Promise<void> {
  const talosconfig = join(dir, ".lab", "talosconfig");
  await runTool(join(dir, ".lab", "bin", "talosctl"), [
    "--talosconfig", talosconfig, "--nodes", address, "--endpoints", endpoint,
    "upgrade", "--image", image, "--wait", "--timeout", "10m",
  ]); // prettier-ignore
}
