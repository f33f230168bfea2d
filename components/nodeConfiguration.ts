import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import {
  machineConfigPatches,
  ownPatches,
  type MachineConfigPatchSpec,
} from "../talos/machineConfigPatches.ts";
import { mergeConfig } from "../talos/mergeConfig.ts";
import { newInBase } from "../talos/newInBase.ts";
import type { MachineSecrets } from "../talos/secretsBundle.ts";

export interface NodeConfigurationArgs {
  clusterName: string;
  endpoint: string;
  kubernetesVersion: string | undefined;
  machineSecrets: pulumi.Output<MachineSecrets>;
  contract: pulumi.Output<string>;
  installerImage: pulumi.Input<string>;
  /** The node's own machine configuration, as it was given to it so far. Absent: one is generated from the secrets. */
  base: string | undefined;
  /** What is patched into it, but for what only the deployment knows. */
  patches: Omit<MachineConfigPatchSpec, "contract" | "installerImage">;
}

/** A node's machine configuration, and the patches that are in it. Both are secret. */
export interface NodeConfiguration {
  text: pulumi.Output<string>;
  patches: pulumi.Output<string[]>;
}

/** The node's machine configuration with every patch, each applied exactly once: lists grow when a patch is applied twice. */
export function nodeConfiguration(args: NodeConfigurationArgs, parent: pulumi.Resource): NodeConfiguration {
  return args.base === undefined ? generated(args, parent) : patched(args, args.base);
}

function generated(args: NodeConfigurationArgs, parent: pulumi.Resource): NodeConfiguration {
  const configPatches = pulumi
    .all([args.contract, args.installerImage])
    .apply(([contract, installerImage]) =>
      machineConfigPatches({ ...args.patches, contract, installerImage }),
    );
  const { machineConfiguration } = talos.machine.getConfigurationOutput(
    {
      clusterName: args.clusterName,
      clusterEndpoint: args.endpoint,
      machineType: args.patches.role,
      machineSecrets: args.machineSecrets,
      talosVersion: args.contract,
      ...(args.kubernetesVersion === undefined ? {} : { kubernetesVersion: args.kubernetesVersion }),
      configPatches,
      docs: false,
      examples: false,
    },
    { parent },
  );
  return { text: pulumi.secret(machineConfiguration), patches: pulumi.secret(configPatches) };
}

/**
 * The file keeps all that this program does not manage. The merge is done here, not by the provider: the guard has to know the result before anything
 * is applied, and what it judged is what the node gets. It holds for contracts too whose documents the provider does not know.
 */
function patched(args: NodeConfigurationArgs, base: string): NodeConfiguration {
  const patches = pulumi
    .all([args.contract, args.installerImage])
    .apply(([contract, installerImage]) => [
      ...newInBase(base, ownPatches({ ...args.patches, contract, installerImage }, base)),
      ...args.patches.user,
    ]);
  return {
    text: pulumi.secret(patches.apply((all) => mergeConfig(base, all))),
    patches: pulumi.secret(patches),
  };
}
