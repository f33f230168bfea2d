import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { labReport } from "../../lab/control.ts";
import { LabProject, type Finished } from "../lab/project.ts";

/** Follows "Rotate the CAs" in docs/adopt.md step by step, with the real talosctl, engine and kube-apiserver. */

const controlPlanes = ["127.10.0.11", "127.10.0.12", "127.10.0.13"];
const workers = ["127.10.0.21", "127.10.0.22"];
const first = "127.10.0.11";
let lab: LabProject;

beforeAll(async () => {
  lab = await LabProject.make();
  await lab.labOk("start", "--node-seconds", "1");
  await lab.labOk("up", "--skip-preview");
});
afterAll(async () => lab?.remove());

async function boots(): Promise<Record<string, number>> {
  const report = await labReport(lab.file("lab.sock"));
  return Object.fromEntries((report?.nodes ?? []).map((node) => [node.name, node.boots]));
}

const rotate = (...more: string[]): Promise<string> =>
  lab.tool(
    ...([
      "talosctl",
      "--nodes",
      first,
      "rotate-ca",
      "--control-plane-nodes",
      controlPlanes.join(","),
    ] as const),
    ...["--worker-nodes", workers.join(","), "--dry-run=false", ...more],
  );

/** Step 3: writes the cluster's current secrets to where the stack file expects them. */
async function takeSecrets(): Promise<void> {
  const read = ["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"];
  writeFileSync(lab.file("controlplane.yaml"), await lab.tool("talosctl", "--nodes", first, ...read));
  const from = ["--from-controlplane-config", lab.file("controlplane.yaml")];
  const into = ["--output-file", lab.file("secrets.yaml"), "--force"];
  const made = await lab.run(join(lab.dir, ".lab", "bin", "talosctl"), ["gen", "secrets", ...from, ...into]);
  expect(made.code, made.text).toBe(0);
}

async function succeed(...args: string[]): Promise<Finished> {
  const finished = await lab.pulumi(...args, "--stack", "dev");
  expect(finished.code, finished.text.slice(-4_000)).toBe(0);
  return finished;
}

interface State {
  inputs?: { changes?: string[] };
}

interface Steps {
  steps: { urn: string; oldState?: State; newState?: State }[];
}

/** Nodes for which a preview shows changed configuration lines. Their resources do change, because credentials are inputs too. */
async function changedConfigurations(): Promise<string[]> {
  const { steps } = JSON.parse((await succeed("preview", "--json", "--show-sames")).stdout) as Steps;
  const configurations = steps.filter(({ urn }) => urn.includes("talos-node:index:NodeConfiguration::"));
  expect(configurations).toHaveLength(5);
  // Without a change, the resource keeps the lines of the last change.
  const lines = (state?: State): string => JSON.stringify(state?.inputs?.changes);
  return configurations.filter((step) => lines(step.oldState) !== lines(step.newState)).map(({ urn }) => urn);
}

test("Talos CA: the stack works with the new secrets, and no configuration changes", async () => {
  const before = await boots();
  await rotate("--kubernetes=false", "--output", lab.file("talosconfig.new"));
  copyFileSync(lab.file("talosconfig.new"), lab.file("talosconfig"));
  await takeSecrets();
  expect(await changedConfigurations()).toEqual([]);
  await succeed("up", "--yes", "--skip-preview");
  await succeed("preview", "--refresh", "--expect-no-changes");
  expect(await boots()).toEqual(before);
});

test("Kubernetes CA: one up replaces only the kubeconfig, and the stack works again", async () => {
  const before = await boots();
  await rotate("--talos=false");
  await takeSecrets();
  expect(await changedConfigurations()).toEqual([]);
  const urns = (await succeed("stack", "--show-urns")).stdout;
  const urn = /urn:pulumi:\S+:Kubeconfig::\S+/.exec(urns)?.[0] ?? "";
  const renewed = await succeed("up", "--yes", "--skip-preview", "--replace", urn);
  expect(renewed.text).toMatch(/1 replaced/);
  await succeed("preview", "--refresh", "--expect-no-changes");
  expect(await boots()).toEqual(before);
  const { stdout } = await lab.pulumi("stack", "output", "kubeconfig", "--show-secrets", "--stack", "dev");
  writeFileSync(lab.file("kubeconfig"), stdout, { mode: 0o600 });
  expect((await lab.tool("kubectl", "get", "nodes", "--no-headers")).trim().split("\n")).toHaveLength(5);
});
