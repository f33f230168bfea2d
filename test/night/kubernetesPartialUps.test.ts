import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Finished } from "../lab/project.ts";
import { RolloutLab } from "../lab/rollout.ts";

/** Kubernetes upgrades with more than a plain `up`, with the real engine: `--target`, and a saved and approved plan. */

const [from, to, back] = ["v1.35.4", "v1.35.5", "v1.35.3"] as const;
const nodes = ["cp1", "cp2", "cp3", "w1", "w2"];
let lab: RolloutLab;

beforeAll(async () => {
  lab = await RolloutLab.start(1);
  await lab.finish();
});
afterAll(async () => lab?.project.remove());

/** @param approvedPlan set in the environment unless empty */
function pulumi(approvedPlan: string, ...args: string[]): Promise<Finished> {
  return lab.project.run(
    join(lab.project.dir, ".lab", "bin", "pulumi"),
    [...args, "--stack", "dev", "--non-interactive"],
    {
      ...lab.project.pulumiEnvironment(),
      ...(approvedPlan === "" ? {} : { TALOS_ISCSI_APPROVED_PLAN: approvedPlan }),
      PULUMI_EXPERIMENTAL: "true",
    },
  );
}

const up = (approvedPlan: string, ...args: string[]): Promise<Finished> =>
  pulumi(approvedPlan, "up", "--yes", "--skip-preview", ...args);

/** The engine's errors, for assertion messages. */
const errors = ({ text }: Finished): string =>
  text.match(/^.*error: .*(?:\n.*){0,6}/gm)?.join("\n") ?? text.slice(-3_000);

async function kubelets(): Promise<Record<string, string>> {
  const read =
    '--output=jsonpath={range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion}{"\\n"}{end}';
  const lines = (await lab.project.tool("kubectl", "get", "nodes", read)).trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split(" ") as [string, string]));
}

const all = (release: string): Record<string, string> =>
  Object.fromEntries(nodes.map((name) => [name, release]));

async function applies(): Promise<Record<string, number>> {
  return Object.fromEntries((await lab.nodes()).map((node) => [node.name, node.applies]));
}

interface Preview {
  steps: { urn: string; op: string; newState?: { inputs?: { planDigest?: string } } }[];
}

async function preview(...args: string[]): Promise<Preview> {
  const shown = await pulumi("none", "preview", "--json", "--show-sames", ...args);
  expect(shown.code, errors(shown)).toBe(0);
  return JSON.parse(shown.stdout) as Preview;
}

const urnOf = ({ steps }: Preview, type: string, name = ""): string =>
  steps.find(({ urn }) => urn.includes(`talos-node:index:${type}::`) && urn.endsWith(name))?.urn ?? "";
const digestOf = ({ steps }: Preview): string =>
  steps.find(({ urn }) => urn.includes("RolloutReadiness"))?.newState?.inputs?.planDigest ?? "";

async function expectNothingLeft(): Promise<void> {
  const again = await pulumi("", "preview", "--expect-no-changes");
  expect(again.code, errors(again)).toBe(0);
}

test("--target of a configuration upgrades no kubelet, --target of the upgrade upgrades all components, and a plain up has nothing left to do", async () => {
  lab.wantKubernetes(to);
  const planned = await preview();
  const before = await applies();
  const configuration = await up("", "--target", urnOf(planned, "NodeConfiguration", "w1"));
  expect(configuration.code, errors(configuration)).toBe(0);
  expect(await kubelets()).toEqual(all(from));
  expect(await applies()).toEqual(before);

  const upgrade = await up("", "--target", urnOf(planned, "KubernetesUpgrade"));
  expect(upgrade.code, errors(upgrade)).toBe(0);
  expect(await kubelets()).toEqual(all(to));
  // Three static pods, kube-proxy and the kubelet on a control plane; only the kubelet on a worker.
  const after = await applies();
  expect(after).toEqual(
    Object.fromEntries(nodes.map((name) => [name, (before[name] ?? 0) + (name.startsWith("cp") ? 5 : 1)])),
  );

  const plain = await up("");
  expect(plain.code, errors(plain)).toBe(0);
  expect(await applies()).toEqual(after);
  await expectNothingLeft();
});

test("up does what the saved plan with the approved digest says, and a manually changed kubelet stops it", async () => {
  lab.wantKubernetes(back);
  const plan = join(lab.project.dir, "kubernetes.plan");
  const digest = digestOf(await preview("--save-plan", plan));
  expect(digest).toMatch(/^[0-9a-f]{64}$/);

  const patch = (release: string): Promise<string> =>
    lab.project.tool(
      ...(["talosctl", "--nodes", "127.10.0.22", "patch", "machineconfig", "--patch"] as const),
      JSON.stringify({ machine: { kubelet: { image: `ghcr.io/siderolabs/kubelet:${release}` } } }),
    );
  const reported = async (release: string): Promise<void> => {
    for (let left = 100; (await kubelets())["w2"] !== release && left > 0; left--)
      await new Promise((resolve) => setTimeout(resolve, 200));
  };
  await patch(from);
  await reported(from);
  const stopped = await up(digest, "--plan", plan);
  expect(stopped.code).not.toBe(0);
  expect(stopped.text).toMatch(/w2/);
  expect(await kubelets()).toEqual({ ...all(to), w2: from });

  await patch(to);
  await reported(to);
  // The engine also compares a plan with the state, which the stopped run has changed: a plan is only good for one `up`.
  expect(digestOf(await preview("--save-plan", plan))).toBe(digest);
  const done = await up(digest, "--plan", plan);
  expect(done.code, errors(done)).toBe(0);
  expect(await kubelets()).toEqual(all(back));
  await expectNothingLeft();
});
