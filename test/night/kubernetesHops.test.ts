import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { upWithKill } from "../../lab/bench/killing.ts";
import { RolloutWatch } from "../../lab/bench/rolloutWatch.ts";
import { kubernetesProblem } from "../../talos/releases.ts";
import { relabelledKubernetes } from "../lab/relabelledKubernetes.ts";
import { RolloutLab } from "../lab/rollout.ts";

/** Hops of Talos with upgrades of Kubernetes on the way and after it, by the real engine: one `up` is enough, and it is killed in the middle of each of those upgrades. */

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const [runs, between, last] = ["v1.31.4", "v1.32.9", "v1.33.5"] as const;
const [oldTalos, newTalos] = ["v1.12.7", "v1.14.1"] as const;
const nodes = ["cp1", "cp2", "cp3", "w1", "w2"];
const tools = process.env["TALOS_ISCSI_TOOLS"] ?? join(project, ".tools");
const builds: Awaited<ReturnType<typeof relabelledKubernetes>>[] = [];
let lab: RolloutLab;

beforeAll(async () => {
  const more: string[] = [];
  for (const release of [runs, between, last]) {
    const build = await relabelledKubernetes(tools, ["v1.35.4", release]);
    builds.push(build);
    more.push("--build", `${release}=${build.programs}`);
  }
  const kubernetes = `kubernetes: { releases: [${between}] }`;
  lab = await RolloutLab.start(1, ["drain: { timeout: 3s }", "through: automatic", kubernetes], {
    talosVersion: oldTalos,
    timeout: "60s", // a reboot restarts the node's own kube-apiserver
    more,
    change: (text) =>
      text
        .replace("kubernetesVersion: v1.35.4", `kubernetesVersion: ${runs}`)
        .replace(/talosVersion: \S+/, `talosVersion: ${oldTalos}`),
  });
  await lab.finish();
});
afterAll(async () => {
  await lab?.project.remove();
  for (const build of builds) build.remove();
});

interface Running {
  /** What Kubernetes says that each node's Talos and kubelet are. */
  nodes: { name: string; talos: string; kubelet: string }[];
  apiServers: string[];
}

/** Undefined while no kube-apiserver answers. */
async function running(): Promise<Running | undefined> {
  const read = async (...what: string[]): Promise<string[]> =>
    (await lab.project.tool("kubectl", "get", ...what)).split("\n").filter((line) => line !== "");
  try {
    const [found, apiServers] = await Promise.all([
      read(
        "nodes",
        '--output=jsonpath={range .items[*]}{.metadata.name} {.status.nodeInfo.osImage} {.status.nodeInfo.kubeletVersion}{"\\n"}{end}',
      ),
      read(
        ...["pods", "--namespace=kube-system", "--selector=component=kube-apiserver"],
        '--output=jsonpath={range .items[*]}{.spec.containers[0].image}{"\\n"}{end}',
      ),
    ]);
    return {
      nodes: found.map((line) => {
        const [, name = "", talos = "", kubelet = ""] = /^(\S+) Talos \((\S+)\) (\S+)$/.exec(line) ?? [];
        return { name, talos, kubelet };
      }),
      apiServers: apiServers.map((image) => image.split(":").at(-1) ?? ""),
    };
  } catch {
    return undefined;
  }
}

test("v1.12 to v1.14 with a Kubernetes upgrade on the way and one after it, kill -9 in each: nothing twice, no pair that does not go together", async () => {
  const misfits = new Set<string>();
  const look = async (): Promise<Running | undefined> => {
    const now = await running();
    for (const { name, talos, kubelet } of now?.nodes ?? []) {
      const problem = kubernetesProblem(talos, kubelet);
      if (problem !== undefined) misfits.add(`${name}: ${problem}`);
    }
    return now;
  };
  lab.want(newTalos);
  lab.wantKubernetes(last);
  const watch = new RolloutWatch(lab.project.file("lab.sock"));

  // Some kube-apiservers have it, others do not.
  const inApiServers = async (): Promise<boolean> => {
    const having = (await look())?.apiServers.filter((release) => release === between).length ?? 0;
    return having === 1 || having === 2;
  };
  const first = await upWithKill(lab.project.dir, { victim: "engine", when: inApiServers });
  expect(first.killed, first.text.slice(-3_000)).toBe(true);
  const onTheWay = await lab.upgrades();
  expect(new Set(Object.values(onTheWay)).size, JSON.stringify(onTheWay)).toBe(1);

  const inKubelets = async (): Promise<boolean> =>
    (await look())?.nodes.some(({ kubelet }) => kubelet === last) ?? false;
  const second = await upWithKill(lab.project.dir, { victim: "provider", when: inKubelets });
  expect(second.killed, second.text.slice(-3_000)).toBe(true);
  const once = Object.fromEntries(nodes.map((name) => [name, (onTheWay[name] ?? 0) + 1]));
  expect(await lab.upgrades()).toEqual(once);

  await lab.finish();
  expect(await lab.upgrades()).toEqual(once);
  const end = await look();
  expect(end?.nodes).toEqual(nodes.map((name) => ({ name, talos: newTalos, kubelet: last })));
  expect(end?.apiServers).toEqual([last, last, last]);
  expect([...misfits]).toEqual([]);
  const { controlPlanes, workers } = watch.stop();
  expect({ controlPlanes, workers }).toEqual({ controlPlanes: 1, workers: 1 });
  expect(await lab.cordoned()).toEqual([]);
  const again = await lab.project.pulumi("preview", "--stack", "dev", "--expect-no-changes");
  expect(again.code, again.text.slice(-3_000)).toBe(0);
});
