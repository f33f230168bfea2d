/** The forms that a machine configuration has. Its owner may have kept old ones, or moved on, whatever contract it began with. */
import { Configuration } from "./configuration.ts";
import type { TreeMap } from "./configTree.ts";
import { configurationForms, type ConfigurationForms } from "./features.ts";
import { podSecurityPlugins } from "./podSecurity.ts";

/** The form of each part: the one that the configuration has, else that of the contract. Talos refuses to have both for most of them. */
export function formsOfFile(documents: readonly TreeMap[], contract: string): ConfigurationForms {
  const config = new Configuration(documents);
  const usual = configurationForms(contract);
  const old = (...keys: string[]): boolean => config.at(...keys) !== undefined;
  const has = (kind: string): boolean => config.of(kind).length > 0;
  const form = <Kind extends string>(
    kind: Kind,
    ofContract: Kind | "v1alpha1",
    isOld: boolean,
  ): Kind | "v1alpha1" => (has(kind) ? kind : isOld ? "v1alpha1" : ofContract);
  return {
    admission:
      podSecurityPlugins(documents)[0]?.form ??
      form("KubeAdmissionControlConfig", usual.admission, old("cluster", "apiServer", "admissionControl")),
    modules: form("KernelModuleConfig", usual.modules, old("machine", "kernel", "modules")),
    install: form("UnattendedInstallConfig", usual.install, old("machine", "install")),
    hostname: form(
      "HostnameConfig",
      usual.hostname,
      old("machine", "network", "hostname") ||
        config.text("machine", "features", "stableHostname")?.toLowerCase() === "true",
    ),
    node: form(
      "KubeNodeConfig",
      usual.node,
      old("machine", "nodeLabels") || old("machine", "nodeTaints") || old("machine", "nodeAnnotations"),
    ),
    network: form("KubeNetworkConfig", usual.network, old("cluster", "network")),
  };
}
