import { parse } from "yaml";
import { diffInputs } from "../diff.ts";
import { durationMs } from "../duration.ts";
import type { ResourceLog } from "../plugin.ts";
import { readObject, readText, requireText } from "../read.ts";
import { secret, unknown } from "../values.ts";
import type { Properties } from "../values.ts";
import { expiresWithin } from "./certificate.ts";
import { withSecretClientKey } from "./handler.ts";
import type { FunctionHandler, ResourceHandler } from "./handler.ts";
import { readTarget, operationTimeoutMs, withNode } from "./node.ts";
import { retryUntil } from "./retry.ts";

// talos:cluster/kubeconfig:Kubeconfig and talos:cluster/getKubeconfig. Like the published provider: the machine
// signs a new client certificate for every request, so the resource keeps its kubeconfig until its certificate is about to expire.

const DEFAULT_RENEWAL = "720h";

interface Fetched {
  clusterName: string;
  properties: Properties;
}

export const kubeconfigResource: ResourceHandler = {
  check({ inputs }) {
    const failures = ["node", "clientConfiguration"]
      .filter((property) => inputs[property] === undefined)
      .map((property) => ({ property, reason: "is required" }));
    return { inputs, failures };
  },

  diff({ inputs, oldInputs, state, ignoreChanges }) {
    const result = diffInputs(oldInputs, inputs, { ignore: ignoreChanges });
    return needsRenewal(inputs, state)
      ? { ...result, diffs: [...result.diffs, "kubeconfigRaw", "kubernetesClientConfiguration"] }
      : result;
  },

  async create({ inputs, preview, signal, log, timeoutSeconds }) {
    if (preview) {
      return { id: "", state: { ...echoInputs(inputs), ...notYetKnown } };
    }
    const timeoutMs = operationTimeoutMs(inputs, "create", timeoutSeconds);
    const { clusterName, properties } = await fetchKubeconfig(inputs, { timeoutMs, signal, log });
    return { id: clusterName, state: { ...echoInputs(inputs), ...properties } };
  },

  async update({ inputs, state, preview, signal, log, timeoutSeconds }) {
    if (!needsRenewal(inputs, state)) {
      const { kubeconfigRaw, kubernetesClientConfiguration } = state;
      return { ...echoInputs(inputs), kubeconfigRaw, kubernetesClientConfiguration };
    }
    if (preview) {
      return { ...echoInputs(inputs), ...notYetKnown };
    }
    const timeoutMs = operationTimeoutMs(inputs, "update", timeoutSeconds);
    const { properties } = await fetchKubeconfig(inputs, { timeoutMs, signal, log });
    return { ...echoInputs(inputs), ...properties };
  },
};

export const getKubeconfig: FunctionHandler = async ({ args, signal, log }) => {
  const timeoutMs = operationTimeoutMs(args, "read");
  const { clusterName, properties } = await fetchKubeconfig(args, { timeoutMs, signal, log });
  const { certificateRenewalDuration: _renewal, ...given } = echoInputs(args);
  return { result: { ...given, id: clusterName, ...properties } };
};

const notYetKnown: Properties = { kubeconfigRaw: secret(unknown), kubernetesClientConfiguration: unknown };

function echoInputs(inputs: Properties): Properties {
  return {
    ...withSecretClientKey(inputs),
    endpoint: inputs["endpoint"] ?? inputs["node"],
    certificateRenewalDuration: inputs["certificateRenewalDuration"] ?? DEFAULT_RENEWAL,
  };
}

function needsRenewal(inputs: Properties, state: Properties): boolean {
  const renewal = readText(inputs, "certificateRenewalDuration") ?? DEFAULT_RENEWAL;
  const certificate = readText(readObject(state, "kubernetesClientConfiguration") ?? {}, "clientCertificate");
  return expiresWithin(certificate, durationMs(renewal, "certificateRenewalDuration"), new Date());
}

async function fetchKubeconfig(
  inputs: Properties,
  wait: { timeoutMs: number; signal: AbortSignal; log: ResourceLog },
): Promise<Fetched> {
  const target = readTarget(inputs);
  const { stdout } = await withNode(target, wait.signal, (node) =>
    retryUntil({ what: `get the kubeconfig from node ${target.node}`, ...wait }, (remaining) =>
      node.secure(["kubeconfig", "-", "--merge=false"], remaining),
    ),
  );
  return kubeconfigParts(stdout);
}

interface KubeconfigFile {
  "current-context": string;
  contexts: { name: string; context: { cluster: string; user: string } }[];
  clusters: { name: string; cluster: { server: string; "certificate-authority-data": string } }[];
  users: { name: string; user: { "client-certificate-data": string; "client-key-data": string } }[];
}

function kubeconfigParts(raw: string): Fetched {
  const file = parse(raw) as KubeconfigFile;
  const context = file.contexts.find(({ name }) => name === file["current-context"])?.context;
  const cluster = file.clusters.find(({ name }) => name === context?.cluster);
  const user = file.users.find(({ name }) => name === context?.user)?.user;
  if (cluster === undefined || user === undefined) {
    throw new Error("the kubeconfig that the machine sent has no cluster or no user for its current context");
  }
  return {
    clusterName: cluster.name,
    properties: {
      kubeconfigRaw: secret(raw),
      kubernetesClientConfiguration: {
        host: requireText(cluster.cluster, "server"),
        caCertificate: requireText(cluster.cluster, "certificate-authority-data"),
        clientCertificate: requireText(user, "client-certificate-data"),
        clientKey: secret(requireText(user, "client-key-data")),
      },
    },
  };
}
