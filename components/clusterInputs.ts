import * as pulumi from "@pulumi/pulumi";
import { redactMachineConfig } from "../talos/redact.ts";
import type { TalosClusterArgs, TalosClusterNode } from "./talosCluster.ts";

/**
 * What a preview shows of the cluster: all that is asked for and no secret. For a new cluster the configurations themselves are unknown
 * until its secrets are made, and this is all that a reviewer sees of them.
 */
export function previewInputs({
  clusterName,
  endpoint,
  contract,
  initialContract,
  kubernetesVersion,
  ...args
}: TalosClusterArgs) {
  // Marks are made with the cluster's own secret or tell nothing: with any other key a list of guesses finds out what was marked.
  const key = pulumi.output(args.existing?.machineSecrets).apply((secrets) => secrets?.cluster.secret);
  const withoutSecrets = (patches: string[]) =>
    pulumi.unsecret(
      key.apply((known) =>
        patches.map((patch) => redactMachineConfig(patch, { key: known, hidden: args.hidden })),
      ),
    );
  return {
    clusterName,
    endpoint,
    contract: contract ?? (args.existing === undefined ? initialContract : undefined),
    kubernetesVersion,
    exemptNamespaces: args.exemptNamespaces,
    kernelModules: args.kernelModules,
    podSubnets: args.podSubnets,
    serviceSubnets: args.serviceSubnets,
    vip: args.vip,
    nodes: args.nodes.map(({ patches, ...node }) => ({
      ...nodeInputs(node),
      patches: withoutSecrets(patches),
    })),
    patches: {
      all: withoutSecrets(args.patches.all),
      controlplane: withoutSecrets(args.patches.controlplane),
      worker: withoutSecrets(args.patches.worker),
    },
  };
}

/** What is asked for a node, and nothing else that its object may hold. */
function nodeInputs(node: Omit<TalosClusterNode, "patches">) {
  const { name, address, role, installerImage, installDisk, diskSelector, hostname, network } = node;
  const { kernelModules, labels, taints } = node;
  return {
    ...{ name, address, role, installerImage, installDisk, diskSelector, hostname, network },
    ...{ kernelModules, labels, taints },
  };
}
