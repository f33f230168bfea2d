import * as pulumi from "@pulumi/pulumi";
import { redactMachineConfig } from "../talos/redact.ts";
import type { TalosClusterArgs, TalosClusterNode } from "./talosCluster.ts";

/**
 * What a preview shows of the cluster: every setting, no secret. For a new cluster the configurations are unknown until its secrets are created, so this is all
 * that reviewers see of them.
 */
export function previewInputs({
  clusterName,
  endpoint,
  contract,
  initialContract,
  kubernetesVersion,
  ...args
}: TalosClusterArgs) {
  // Redaction marks are keyed with the cluster's own secret or reveal nothing: with any other key, a list of guesses would reveal what was redacted.
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

/** A node's settings, without anything else its object may hold. */
function nodeInputs(node: Omit<TalosClusterNode, "patches">) {
  const { name, address, role, installerImage, installDisk, diskSelector, hostname, network } = node;
  const { kernelModules, labels, taints } = node;
  return {
    ...{ name, address, role, installerImage, installDisk, diskSelector, hostname, network },
    ...{ kernelModules, labels, taints },
  };
}
