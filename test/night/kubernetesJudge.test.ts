import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RolloutLab } from "../lab/rollout.ts";
import { kubernetesUpgradeType } from "../../provider/kubernetesUpgrade/resource.ts";
import type { KubernetesTimeline } from "../../provider/kubernetesUpgrade/timeline.ts";
import { resolveTools } from "../../tools/resolve.ts";
import { ApiWatch, type Gaps } from "./apiWatch.ts";
import { clusterState, type ClusterState } from "./clusterState.ts";

/**
 * Compares Kubernetes upgrades: the real `talosctl upgrade-k8s` upgrades one cluster to the next patch release, and this program upgrades another one with the same
 * secrets. This program created both clusters. Each control plane runs its own kube-apiserver, of the release that its configuration names.
 */

const from = "v1.35.4";
const to = "v1.35.5";
const addresses = {
  ...{ cp1: "127.10.0.11", cp2: "127.10.0.12", cp3: "127.10.0.13" },
  ...{ w1: "127.10.0.21", w2: "127.10.0.22" },
};
const endpoint = "127.10.0.10";

interface Outcome {
  before: ClusterState;
  after: ClusterState;
  seconds: number;
  gaps: Gaps;
  text: string;
  /** The duration of each of this program's own steps. */
  steps: string[];
}

let scratch: string;
let build: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "talos-iscsi-judge-"));
  const names = ["kube-apiserver-next", "kube-controller-manager-next", "kube-scheduler-next"] as const;
  build = dirname((await resolveTools(names))["kube-apiserver-next"]);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Creates a cluster that runs `from`, with everything that Talos would have applied, and upgrades it. */
async function taken(
  secrets: string | undefined,
  upgrade: (lab: RolloutLab) => Promise<string>,
): Promise<Outcome> {
  const more = ["--build", `${to}=${build}`, ...(secrets === undefined ? [] : ["--secrets", secrets])];
  const lab = await RolloutLab.start(1, ["drain: { timeout: 3s }"], { talosVersion: "v1.13.9", more });
  try {
    await lab.finish();
    if (secrets === undefined) copyFileSync(lab.project.file("secrets.yaml"), bundle());
    // On a real cluster, Talos applied its manifests when the cluster was created. This does the same.
    await talosctlUpgrade(lab, from);
    const before = await clusterState(lab.project, addresses);
    const watch = new ApiWatch(lab.project.file("kubeconfig"), [
      endpoint,
      ...Object.values(addresses).slice(0, 3),
    ]);
    const begun = Date.now();
    let text: string;
    let gaps: Gaps;
    try {
      text = await upgrade(lab);
    } finally {
      gaps = watch.stop();
    }
    const seconds = (Date.now() - begun) / 1000;
    const after = await clusterState(lab.project, addresses);
    return { before, after, seconds, gaps, text, steps: await stepsOf(lab) };
  } finally {
    await lab.project.remove();
  }
}

const bundle = (): string => join(scratch, "secrets.yaml");

async function talosctlUpgrade(lab: RolloutLab, release: string, ...more: string[]): Promise<string> {
  const target = ["--nodes", addresses.cp1, "upgrade-k8s", "--to", release.slice(1), ...more];
  return lab.project.tool("talosctl", ...target);
}

test("the real talosctl upgrade-k8s and this program produce the same cluster", async () => {
  const theirs = await taken(undefined, async (lab) => {
    const planned = await talosctlUpgrade(lab, to, "--dry-run");
    expect(planned).toMatch(/update kube-apiserver: v1\.35\.4 -> 1\.35\.5/);
    return talosctlUpgrade(lab, to);
  });
  const ours = await taken(bundle(), async (lab) => {
    lab.wantKubernetes(to);
    return (await lab.finish()).text;
  });
  process.stdout.write(
    `${JSON.stringify({ talosctl: figures(theirs), program: figures(ours) }, undefined, 1)}\n`,
  );
  expect(ours.before.configurations).toEqual(theirs.before.configurations);
  expect(ours.before.objects).toEqual(theirs.before.objects);
  expect(ours.after.configurations).toEqual(theirs.after.configurations);
  expect(ours.after.objects).toEqual(theirs.after.objects);
  expect(ours.after.kubelets).toEqual(theirs.after.kubelets);
  expect(Object.values(ours.after.kubelets)).toEqual(Array(5).fill(to));
});

/** From the state; empty if this program has not upgraded anything. */
async function stepsOf({ project }: RolloutLab): Promise<string[]> {
  const { stdout } = await project.pulumi("stack", "export", "--stack", "dev");
  const { deployment } = JSON.parse(stdout) as {
    deployment: { resources: { type: string; outputs?: { timeline?: KubernetesTimeline } }[] };
  };
  const upgrade = deployment.resources.find(({ type }) => type === kubernetesUpgradeType);
  return (upgrade?.outputs?.timeline?.steps ?? []).map(({ name, seconds }) => `${name}: ${seconds} s`);
}

const figures = ({ seconds, gaps, steps }: Outcome): object => ({ seconds, gaps, steps });
