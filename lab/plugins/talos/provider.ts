import type { InvokeCall, InvokeResult, ProviderPlugin } from "../plugin.ts";
import { diffInputs } from "../diff.ts";
import { readText } from "../read.ts";
import { unknown } from "../values.ts";
import type { Properties, PropertyValue } from "../values.ts";
import { bootstrapResource } from "./bootstrap.ts";
import { getClientConfiguration } from "./clientConfiguration.ts";
import { configurationApplyResource } from "./configurationApply.ts";
import { FactoryClient } from "./factoryClient.ts";
import { factoryFunctions } from "./factoryFunctions.ts";
import type { FunctionHandler, ResourceHandler } from "./handler.ts";
import { getHealth } from "./health.ts";
import { getKubeconfig, kubeconfigResource } from "./kubeconfig.ts";
import { getMachineConfiguration } from "./machineConfiguration.ts";
import { schematicResource } from "./schematic.ts";
import { secretsResource } from "./secrets.ts";

/** Resources with a second schema version: the state says which version it has, as Pulumi's Terraform bridge writes it. */
const SECOND_SCHEMA = new Set(["Secrets", "ConfigurationApply", "Bootstrap", "Kubeconfig"]);

/** What the bridge adds to every resource's outputs. */
function asBridged({ type }: { type: string }, id: PropertyValue, state: Properties): Properties {
  const versioned = SECOND_SCHEMA.has(type.split(":").at(-1) ?? "");
  return { ...state, id, ...(versioned ? { __meta: '{"schema_version":"1"}' } : {}) };
}

const DEFAULT_FACTORY = "https://factory.talos.dev";

/**
 * Stands in for the published Talos provider 0.8.1 where that can't be installed. The real talosctl does all work on machines and
 * configurations.
 */
export function talosPlugin(): ProviderPlugin {
  let factoryUrl = DEFAULT_FACTORY;
  const factory = () => new FactoryClient(factoryUrl);
  const { getVersions, getExtensionsVersions, getOverlaysVersions, getUrls } = factoryFunctions(factory);

  const resources: Record<string, ResourceHandler> = {
    "talos:machine/secrets:Secrets": secretsResource,
    "talos:machine/configurationApply:ConfigurationApply": configurationApplyResource,
    "talos:machine/bootstrap:Bootstrap": bootstrapResource,
    "talos:cluster/kubeconfig:Kubeconfig": kubeconfigResource,
    "talos:imageFactory/schematic:Schematic": schematicResource(factory),
  };
  const functions: Record<string, FunctionHandler | undefined> = {
    "talos:client/getConfiguration:getConfiguration": getClientConfiguration,
    "talos:machine/getConfiguration:getConfiguration": getMachineConfiguration,
    "talos:cluster/getHealth:getHealth": getHealth,
    "talos:cluster/getKubeconfig:getKubeconfig": getKubeconfig,
    "talos:imageFactory/getVersions:getVersions": getVersions,
    "talos:imageFactory/getExtensionsVersions:getExtensionsVersions": getExtensionsVersions,
    "talos:imageFactory/getOverlaysVersions:getOverlaysVersions": getOverlaysVersions,
    "talos:imageFactory/getUrls:getUrls": getUrls,
  };

  const handlerOf = ({ type }: { type: string }): ResourceHandler => {
    const handler = resources[type];
    if (handler === undefined) {
      throw new Error(`the stand-in of the talos plugin has no resource ${type}`);
    }
    return handler;
  };

  return {
    name: "talos",
    version: "0.8.1",
    configure(config: Properties) {
      factoryUrl = readText(config, "imageFactoryUrl") ?? DEFAULT_FACTORY;
    },
    check: (call) => handlerOf(call).check?.(call) ?? { inputs: call.inputs },
    diff: (call) =>
      handlerOf(call).diff?.(call) ?? diffInputs(call.oldInputs, call.inputs, { ignore: call.ignoreChanges }),
    create: async (call) => {
      const { id, state } = await handlerOf(call).create(call);
      return { id, state: asBridged(call, call.preview ? unknown : id, state) };
    },
    read: async (call) => {
      const { read } = handlerOf(call);
      if (read !== undefined) {
        const found = await read(call);
        return found && { ...found, state: asBridged(call, found.id, found.state) };
      }
      if (Object.keys(call.state).length === 0) {
        throw new Error(`${call.type} cannot be imported`);
      }
      return { id: call.id, state: call.state, inputs: call.inputs };
    },
    update: async (call) => {
      const { update } = handlerOf(call);
      if (update === undefined) {
        throw new Error(`${call.type} cannot be updated`);
      }
      return asBridged(call, call.id, await update(call));
    },
    delete: async (call) => handlerOf(call).delete?.(call),
    invoke: async (call: InvokeCall): Promise<InvokeResult> => {
      const fn = functions[call.token];
      if (fn === undefined) {
        throw new Error(`the stand-in of the talos plugin has no function ${call.token}`);
      }
      return fn(call);
    },
  };
}
