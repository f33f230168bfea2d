import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { initialTalosVersion, labFiles, vanillaImage, type LabLayout, type LabOptions } from "./layout.ts";
import { runTool } from "./process.ts";

/**
 * Creates a cluster like the ones that users adopt: Talos from the vanilla image, with talosctl alone and nothing from this project.
 * So the lab adopts a cluster that this project did not create.
 */
export async function seedCluster(
  talosctl: string,
  layout: LabLayout,
  { talosVersion = initialTalosVersion, secrets }: LabOptions,
  say: (line: string) => void,
): Promise<void> {
  const contract = talosVersion.split(".").slice(0, 2).join(".");
  const controlPlanes = layout.nodes.filter((node) => node.role === "controlplane");
  const first = controlPlanes[0];
  if (first === undefined)
    throw new Error("the stack's file has no control plane to bootstrap the lab's cluster with");
  const scratch = mkdtempSync(join(labFiles.dir, "talosctl-"));
  try {
    say("talosctl gen secrets, gen config");
    if (secrets !== undefined) copyFileSync(secrets, labFiles.secretsBundle);
    else
      await runTool(talosctl, [
        ...["gen", "secrets", "--talos-version", contract],
        ...["--output-file", labFiles.secretsBundle, "--force"],
      ]);
    await runTool(talosctl, [
      "gen", "config", layout.clusterName, layout.endpoint,
      "--with-secrets", labFiles.secretsBundle,
      "--talos-version", contract,
      "--kubernetes-version", layout.kubernetesVersion.replace(/^v/, ""),
      "--install-image", vanillaImage(talosVersion),
      "--with-docs=false", "--with-examples=false",
      "--output", scratch, "--force",
    ]); // prettier-ignore
    const talosconfig = join(scratch, "talosconfig");
    await runTool(talosctl, [
      "--talosconfig",
      talosconfig,
      "config",
      "endpoint",
      ...controlPlanes.map((node) => node.address),
    ]);
    await runTool(talosctl, ["--talosconfig", talosconfig, "config", "node", first.address]);
    await runTool("cp", ["--", talosconfig, labFiles.talosconfig]);

    say(`talosctl apply-config --insecure to ${layout.nodes.map((node) => node.name).join(", ")}`);
    const applied = layout.nodes.map((node) =>
      applyOnce(talosctl, node.address, join(scratch, `${node.role}.yaml`)),
    );
    await Promise.all(applied);
    const authenticated = ["--talosconfig", labFiles.talosconfig];
    say(`talosctl bootstrap on ${first.name}`);
    await untilAccepted(() =>
      runTool(talosctl, [
        ...authenticated,
        "--nodes",
        first.address,
        "--endpoints",
        first.address,
        "bootstrap",
      ]),
    );
    say("talosctl health");
    await runTool(talosctl, [
      ...authenticated, "--nodes", first.address, "health", "--wait-timeout", "3m",
      "--control-plane-nodes", controlPlanes.map((node) => node.address).join(","),
      "--worker-nodes", layout.nodes.filter((node) => node.role === "worker").map((node) => node.address).join(","),
    ]); // prettier-ignore
    const kubeconfig = await runTool(talosctl, [
      ...authenticated,
      "--nodes",
      first.address,
      "kubeconfig",
      "-",
    ]);
    writeFileSync(labFiles.kubeconfig, kubeconfig, { mode: 0o600 });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Applies a machine's first configuration. Its API restarts with new certificates as soon as it has the configuration, and the reply may get
 * lost. After a failure, check whether the machine has its configuration; only one that still waits gets it again.
 */
async function applyOnce(talosctl: string, address: string, file: string): Promise<void> {
  await untilAccepted(async () => {
    try {
      await runTool(talosctl, ["apply-config", "--insecure", "--nodes", address, "--file", file]);
    } catch (error) {
      const asked = [
        "--talosconfig",
        labFiles.talosconfig,
        "--nodes",
        address,
        "--endpoints",
        address,
        "version",
      ];
      await runTool(talosctl, asked).catch(() => {
        throw error;
      });
    }
  });
}

/** A machine that has just installed Talos reboots before its API accepts a bootstrap; errors until then are expected. */
async function untilAccepted(attempt: () => Promise<unknown>, patienceMs = 120_000): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}
