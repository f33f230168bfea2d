/** The forms that a machine configuration uses. Its owner may have kept old ones, or moved on, whatever its original contract. */
import { Configuration } from "./configuration.ts";
import type { TreeMap } from "./configTree.ts";
import { configurationForms, type ConfigurationForms } from "./features.ts";
import { podSecurityPlugins } from "./podSecurity.ts";

/** Each part's form: the one the configuration uses, else the contract's. For most parts Talos rejects a mix of both. */
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
