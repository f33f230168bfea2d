import { registerResources } from "../resource.ts";
import { Bootstrap } from "./bootstrap.ts";
import { ConfigurationApply } from "./configurationApply.ts";
import { Secrets } from "./secrets.ts";

export { Bootstrap, type BootstrapArgs, type BootstrapState } from "./bootstrap.ts";
export {
  ConfigurationApply,
  type ConfigurationApplyArgs,
  type ConfigurationApplyState,
} from "./configurationApply.ts";
export {
  getConfiguration,
  type GetConfigurationArgs,
  getConfigurationOutput,
  type GetConfigurationOutputArgs,
  type GetConfigurationResult,
} from "./getConfiguration.ts";
export {
  getDisks,
  type GetDisksArgs,
  getDisksOutput,
  type GetDisksOutputArgs,
  type GetDisksResult,
} from "./getDisks.ts";
export { Secrets, type SecretsArgs, type SecretsState } from "./secrets.ts";

registerResources({
  "talos:machine/bootstrap:Bootstrap": Bootstrap,
  "talos:machine/configurationApply:ConfigurationApply": ConfigurationApply,
  "talos:machine/secrets:Secrets": Secrets,
});
