import type { CheckFailure } from "../plugin.ts";
import { readFlag, readText, readTexts, requireObject, requireText } from "../read.ts";
import { secret } from "../values.ts";
import type { Properties } from "../values.ts";
import { defaultKubernetesVersion, defaultTalosContract, providerTalosVersion } from "./handler.ts";
import type { FunctionHandler } from "./handler.ts";
import { bundleFromMachineSecrets } from "./machineSecrets.ts";
import { Workspace } from "./talosctl.ts";

const TALOSCTL_TIMEOUT_MS = 60_000;
const PATCH_FLAG = { controlplane: "--config-patch-control-plane", worker: "--config-patch-worker" } as const;

/** talos:machine/getConfiguration. The same arguments produce the same YAML: it contains nothing random and no timestamps. */
export const getMachineConfiguration: FunctionHandler = async ({ args, signal }) => {
  const failures = problems(args);
  if (failures.length > 0) {
    return { failures };
  }
  const role = readText(args, "machineType") === "worker" ? "worker" : "controlplane";
  const bundle = bundleFromMachineSecrets(requireObject(args, "machineSecrets"));
  const machineConfiguration = await Workspace.use(signal, async (workspace) => {
    const patches = await writePatches(workspace, readTexts(args, "configPatches"));
    return workspace.talosctl(
      [
        ...["gen", "config", requireText(args, "clusterName"), requireText(args, "clusterEndpoint")],
        ...["--with-secrets", await workspace.write("secrets.yaml", bundle)],
        ...["--output-types", role, "--output", "-"],
        ...["--talos-version", readText(args, "talosVersion") ?? defaultTalosContract],
        ...[
          "--kubernetes-version",
          (readText(args, "kubernetesVersion") ?? defaultKubernetesVersion).replace(/^v/, ""),
        ],
        // The provider's own release, regardless of the contract: a program must set the image itself.
        ...["--install-image", `ghcr.io/siderolabs/installer:${providerTalosVersion}`],
        `--with-docs=${readFlag(args, "docs") ?? false}`,
        `--with-examples=${readFlag(args, "examples") ?? false}`,
        ...patches.flatMap((file) => [PATCH_FLAG[role], `@${file}`]),
      ],
      { timeoutMs: TALOSCTL_TIMEOUT_MS },
    );
  });
  return {
    result: {
      ...args,
      id: requireText(args, "clusterName"),
      machineConfiguration: secret(machineConfiguration),
    },
  };
};

async function writePatches(workspace: Workspace, patches: string[]): Promise<string[]> {
  return Promise.all(patches.map((patch, index) => workspace.write(`patch-${index}.yaml`, patch)));
}

function problems(args: Properties): CheckFailure[] {
  const failures: CheckFailure[] = [];
  for (const property of ["clusterName", "clusterEndpoint", "machineType"]) {
    if ((readText(args, property) ?? "") === "") {
      failures.push({ property, reason: "is required" });
    }
  }
  if (args["machineSecrets"] === undefined) {
    failures.push({ property: "machineSecrets", reason: "is required" });
  }
  const machineType = readText(args, "machineType");
  if (machineType !== undefined && !(machineType in PATCH_FLAG)) {
    failures.push({ property: "machineType", reason: "must be controlplane or worker" });
  }
  const endpoint = readText(args, "clusterEndpoint");
  if (endpoint !== undefined && !endpoint.startsWith("https://")) {
    failures.push({
      property: "clusterEndpoint",
      reason: `must be a URL with https://, such as https://${endpoint.replace(/^.*:\/\//, "")}`,
    });
  }
  return failures;
}
