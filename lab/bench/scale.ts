import { stringify } from "yaml";
import { resolveTools } from "../../tools/resolve.ts";
import { choosePlugins } from "../pluginPaths.ts";
import { summarize } from "./figures.ts";
import type { Part } from "./scale/usage.ts";
import { deployedFigures } from "./scale/deployed.ts";
import { pluginInputs } from "./scale/bareState.ts";
import { ScaleProject, type Run } from "./scale/project.ts";

/** `npm run bench -- scale`: the cost of a stack with many nodes, compared with a bare program that has as many resources. */
export async function benchScale(nodes: number, deploy: boolean): Promise<void> {
  const tools = await resolveTools(["pulumi", "talosctl"]);
  const plugins = await choosePlugins();
  const project = ScaleProject.ofProgram(tools, plugins);
  try {
    await project.init("scale", stackFile(nodes));
    const first = await project.measured(["preview", "--stack", "scale", "--suppress-outputs"]);
    say(`first preview, ${nodes} nodes`, first);
    const bare = ScaleProject.ofBare(tools, plugins, await resourcesOf(project));
    try {
      await bare.init("bare", "config: {}");
      const run = await bare.measured(["preview", "--stack", "bare", "--suppress-outputs"]);
      say("bare program", run);
      sayRatio([{ program: first, bare: run }]);
    } finally {
      bare.remove();
    }
  } finally {
    project.remove();
  }
  if (deploy) await benchDeployed(nodes);
}

async function benchDeployed(nodes: number): Promise<void> {
  const deployed = await deployedFigures(nodes, (line) => process.stderr.write(`${line}\n`));
  if (deployed === undefined) return;
  const { up, unchanged, pairs, refresh, slowRefresh, newRelease } = deployed;
  for (const [what, run] of Object.entries({
    up,
    "preview without changes": unchanged,
    refresh,
    "refresh of nodes that answer late": slowRefresh,
    "preview of a new release": newRelease,
  })) {
    say(what, run);
    process.stdout.write(
      `  API calls per node: ${run.callsPerNode.toFixed(1)}; slowest node: ${run.slowestNodeSeconds.toFixed(1)} s\n`,
    );
  }
  const [last] = pairs.slice(-1);
  if (last !== undefined) say("the same resources in a bare program", last.bare);
  process.stdout.write("preview without changes against the bare program: ");
  sayRatio(pairs.map((pair) => ({ program: pair.unchanged, bare: pair.bare })));
  process.stdout.write(
    [
      `state: ${(deployed.stateBytesPerNode / 1024).toFixed(1)} KB per node`,
      ...deployed.largest.map(
        ([what, bytes]) => `  ${what}: ${(bytes / nodes / 1024).toFixed(2)} KB per node`,
      ),
      "",
    ].join("\n"),
  );
}

/** Medians over the pairs. CPU time covers all processes of the command: other programs on the machine hardly affect it. */
function sayRatio(pairs: readonly { program: Run; bare: Run }[]): void {
  const cpu = ({ cpuSeconds }: Run): number => Object.values(cpuSeconds).reduce((sum, part) => sum + part, 0);
  const ratio = (of: (run: Run) => number): string =>
    summarize(pairs.map(({ program, bare }) => of(program) / of(bare))).median.toFixed(2);
  process.stdout.write(`ratio of seconds ${ratio((run) => run.seconds)}, of CPU time ${ratio(cpu)}\n`);
}

function say(what: string, { seconds, cpuSeconds, peakMb }: Run): void {
  const parts = (Object.keys(peakMb) as Part[]).map(
    (part) => `${part} ${(cpuSeconds[part] ?? 0).toFixed(1)} s ${(peakMb[part] ?? 0).toFixed(0)} MB`,
  );
  process.stdout.write(`${what}: ${seconds.toFixed(1)} s; CPU and peak memory: ${parts.join(", ")}\n`);
}

/** How unknown values are encoded in the engine's JSON. */
const unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const credentials = { caCertificate: "Y2E=", clientCertificate: "Y2VydA==", clientKey: "a2V5" };

/** What the program registers, with plain values only. */
async function resourcesOf(project: ScaleProject): Promise<unknown[]> {
  const text = await project.plain(["preview", "--stack", "scale", "--json"]);
  const { steps } = JSON.parse(text) as {
    steps: { urn: string; newState: { type: string; custom: boolean; inputs?: Record<string, unknown> } }[];
  };
  // A node's checked inputs only have a digest of it.
  const rollout = steps.find(({ newState }) => newState.type.endsWith(":RolloutPreflight"))?.newState.inputs
    ?.rollout;
  return steps
    .filter(
      ({ newState }) =>
        newState.type !== "pulumi:pulumi:Stack" && !newState.type.endsWith(":ConfirmedSchematic"),
    )
    .map(({ urn, newState: { type, custom, inputs } }) => ({
      type,
      name: urn.split("::").at(-1),
      custom,
      inputs: JSON.parse(
        JSON.stringify(inputs ?? {}, (key, value: unknown) =>
          (pluginInputs as readonly string[]).includes(key)
            ? undefined
            : key === "clientConfiguration"
              ? credentials
              : key === "rollout"
                ? rollout
                : key === "patches" && typeof value === "string"
                  ? ["value"]
                  : value === unknownMark || value === "[secret]"
                    ? "value"
                    : value,
        ),
      ) as unknown,
    }));
}

/** A new cluster of this many nodes with the JovianDSS driver. */
function stackFile(nodes: number): string {
  const at = (index: number): string => `10.40.${(index >> 8) + 1}.${index & 255}`;
  return stringify({
    config: {
      "talos-iscsi:talosVersion": "v1.13.9",
      "talos-iscsi:kubernetesVersion": "v1.35.4",
      "talos-iscsi:cluster": {
        name: "scale",
        endpoint: "https://10.40.0.10:6443",
        nodes: Array.from({ length: nodes }, (_, index) => ({
          name: index < 3 ? `cp${index + 1}` : `w${index - 2}`,
          address: at(index),
          role: index < 3 ? "controlplane" : "worker",
        })),
      },
      "talos-iscsi:upgrade": { workers: { maxUnavailable: "5%" } },
      "talos-iscsi:joviandss": {
        image: "docker.io/opene/joviandss-csi:v1.1.0",
        pools: [{ name: "Pool-0" }],
        endpoint: { addresses: ["10.40.0.100"], user: "admin", password: "of the bench" },
        iscsi: { addresses: ["10.40.0.100"] },
      },
    },
  });
}
