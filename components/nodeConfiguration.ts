import { coded } from "../talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import {
  machineConfigPatches,
  ownPatches,
  type MachineConfigPatchSpec,
} from "../talos/machineConfigPatches.ts";
import { mergeConfig, mergeGenerated } from "../talos/mergeConfig.ts";
import { isGeneratedHere } from "../talos/iscsi.ts";
import { generatedConfig } from "../talos/skeleton.ts";
import { dropKnownParts } from "../talos/dropKnownParts.ts";
import { secretOnce } from "./outputs.ts";
import type { MachineSecrets } from "../talos/secretsBundle.ts";

export interface NodeConfigurationArgs {
  clusterName: string;
  endpoint: string;
  kubernetesVersion: string | undefined;
  machineSecrets: pulumi.Output<MachineSecrets>;
  contract: pulumi.Output<string>;
  installerImage: pulumi.Input<string>;
  /** Whether the Talos provider can't generate the contract. Default: false. */
  generateHere?: boolean | undefined;
  /** The node's own machine configuration, as applied so far. Absent: one is generated from the secrets. */
  base: string | undefined;
  /** What is patched into it, except for values only known in the deployment. */
  patches: Omit<MachineConfigPatchSpec, "contract" | "installerImage">;
}

/** A node's machine configuration, and the patches it contains. Both are secret. */
export interface MergedConfiguration {
  text: pulumi.Output<string>;
  patches: pulumi.Output<string[]>;
}

/** The node's machine configuration with every patch applied exactly once: lists grow if a patch is applied twice. */
export function mergedConfiguration(
  args: NodeConfigurationArgs,
  parent: pulumi.Resource,
): MergedConfiguration {
  if (args.base !== undefined) return patchOwnFile(args, args.base);
  return args.generateHere === true ? generateHere(args) : generateByProvider(args, parent);
}

/** Nodes of a role start from the same configuration: the provider generates it once, and each node's patches are applied here. */
function generateByProvider(args: NodeConfigurationArgs, parent: pulumi.Resource): MergedConfiguration {
  const patches = sharedBasis(args).apply(([contract, installerImage]) =>
    machineConfigPatches({ ...args.patches, contract, installerImage }),
  );
  const text = pulumi
    .all([generatedByRole(args, parent), patches])
    .apply(([generated, all]) => mergeGenerated(generated, all));
  return { text: secretOnce(text), patches: secretOnce(patches) };
}

const generatedConfigurations = new WeakMap<object, Map<string, pulumi.Output<string>>>();

/** The configuration of a role before any patch. */
function generatedByRole(args: NodeConfigurationArgs, parent: pulumi.Resource): pulumi.Output<string> {
  const {
    machineSecrets,
    patches: { role },
  } = args;
  const known = generatedConfigurations.get(machineSecrets) ?? new Map<string, pulumi.Output<string>>();
  generatedConfigurations.set(machineSecrets, known);
  const generated = known.get(role) ?? generate(args, parent);
  known.set(role, generated);
  return generated;
}

function generate(args: NodeConfigurationArgs, parent: pulumi.Resource): pulumi.Output<string> {
  const { machineConfiguration } = talos.machine.getConfigurationOutput(
    {
      clusterName: args.clusterName,
      clusterEndpoint: args.endpoint,
      machineType: args.patches.role,
      machineSecrets: args.machineSecrets,
      talosVersion: args.contract.apply(providerContract),
      ...(args.kubernetesVersion === undefined ? {} : { kubernetesVersion: args.kubernetesVersion }),
      docs: false,
      examples: false,
    },
    { parent },
  );
  return secretOnce(machineConfiguration);
}

/** The provider would silently generate the older form, which is a different cluster configuration. */
function providerContract(contract: string): string {
  if (!isGeneratedHere(contract)) return contract;
  throw new Error(
    coded(
      "settings-versions",
      `talosContract is missing: the cluster was created with ${contract}, so set talosContract: ${contract}`,
    ),
  );
}

/** For a contract the provider doesn't know: the same output as Talos's machinery, from the same secrets. */
function generateHere(args: NodeConfigurationArgs): MergedConfiguration {
  const { clusterName, endpoint, kubernetesVersion, patches: spec } = args;
  if (kubernetesVersion === undefined) {
    const reason = coded(
      "arguments",
      "is missing; the Talos provider, which has a default, does not generate configurations of this contract",
    );
    throw new pulumi.InputPropertyError({ propertyPath: "kubernetesVersion", reason });
  }
  const patches = sharedBasis(args).apply(([contract, installerImage]) =>
    machineConfigPatches({ ...spec, contract, installerImage }),
  );
  const text = pulumi
    .all([args.contract, args.machineSecrets, patches])
    .apply(([contract, machineSecrets, all]) =>
      mergeConfig(
        generatedConfig(contract, spec.role, { clusterName, endpoint, kubernetesVersion, machineSecrets }),
        all,
      ),
    );
  return { text: secretOnce(text), patches: secretOnce(patches) };
}

/**
 * Everything in the file that this program doesn't manage stays. The merge is done here, not by the provider: the guard must know the result before anything is
 * applied, and the node gets exactly what was checked. It also works for contracts whose documents the provider doesn't know.
 */
function patchOwnFile(args: NodeConfigurationArgs, base: string): MergedConfiguration {
  const patches = sharedBasis(args).apply(([contract, installerImage]) => [
    ...dropKnownParts(base, ownPatches({ ...args.patches, contract, installerImage }, base)),
    ...args.patches.user,
  ]);
  return {
    text: secretOnce(patches.apply((all) => mergeConfig(base, all))),
    patches: secretOnce(patches),
  };
}

type Basis = pulumi.Output<[contract: string, installerImage: string]>;
const sharedBases = new WeakMap<object, WeakMap<object, Basis>>();

/** Contract and installer image: one Output for all nodes of a cluster that run the image. */
function sharedBasis({ contract, installerImage }: NodeConfigurationArgs): Basis {
  if (!pulumi.Output.isInstance(installerImage)) return pulumi.all([contract, installerImage]);
  const ofContract = sharedBases.get(contract) ?? new WeakMap<object, Basis>();
  sharedBases.set(contract, ofContract);
  const basis = ofContract.get(installerImage) ?? pulumi.all([contract, installerImage]);
  ofContract.set(installerImage, basis);
  return basis;
}
