import { registerResources } from "../resource.ts";
import { Kubeconfig } from "./kubeconfig.ts";

export {
  getHealth,
  type GetHealthArgs,
  getHealthOutput,
  type GetHealthOutputArgs,
  type GetHealthResult,
} from "./getHealth.ts";
export {
  getKubeconfig,
  type GetKubeconfigArgs,
  getKubeconfigOutput,
  type GetKubeconfigOutputArgs,
  type GetKubeconfigResult,
} from "./getKubeconfig.ts";
export { Kubeconfig, type KubeconfigArgs, type KubeconfigState } from "./kubeconfig.ts";

registerResources({ "talos:cluster/kubeconfig:Kubeconfig": Kubeconfig });
