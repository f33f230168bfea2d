import { readFlag, readTexts } from "../read.ts";
import { readClientConfiguration, talosconfigYaml } from "./credentials.ts";
import { withSecretClientKey } from "./handler.ts";
import type { FunctionHandler } from "./handler.ts";
import { operationTimeoutMs } from "./node.ts";
import { Workspace } from "./talosctl.ts";

/** talos:cluster/getHealth: waits until the cluster is healthy, checking from here and not from one of its machines. */
export const getHealth: FunctionHandler = async ({ args, signal }) => {
  if (readFlag(args, "skipKubernetesChecks") === true) {
    throw new Error(
      "skipKubernetesChecks: talosctl cannot leave these checks out, nor can the stand-in of the talos plugin",
    );
  }
  const [controlPlanes, workers] = [readTexts(args, "controlPlaneNodes"), readTexts(args, "workerNodes")];
  const endpoints = readTexts(args, "endpoints");
  const timeoutMs = operationTimeoutMs(args, "read");
  await Workspace.use(signal, async (workspace) => {
    const talosconfig = await workspace.write(
      "talosconfig",
      talosconfigYaml("dynamic", readClientConfiguration(args)),
    );
    await workspace.talosctl(
      [
        ...["health", "--talosconfig", talosconfig, "--server=false"],
        ...["--endpoints", endpoints.join(","), "--nodes", controlPlanes[0] ?? ""],
        ...["--control-plane-nodes", controlPlanes.join(",")],
        ...(workers.length > 0 ? ["--worker-nodes", workers.join(",")] : []),
        ...["--wait-timeout", `${Math.ceil(timeoutMs / 1000)}s`],
      ],
      // talosctl exits by itself and then says which check failed.
      { timeoutMs: timeoutMs + 10_000 },
    );
  });
  return { result: { ...withSecretClientKey(args), id: "cluster_health" } };
};
