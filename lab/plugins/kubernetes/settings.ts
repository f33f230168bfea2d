import { readText } from "../read.ts";
import { containsUnknown, Unknown } from "../values.ts";
import type { Properties } from "../values.ts";
import { Cluster } from "./cluster.ts";
import { Kubectl } from "./kubectl.ts";

/** The provider's own settings, as far as this stand-in follows them. */
export interface Settings {
  /** Undefined where the kubeconfig is not known yet: a preview of a cluster that does not exist. */
  cluster: Cluster | undefined;
  /** For objects that name none: the provider's, else that of the kubeconfig's context. */
  namespace: () => Promise<string>;
  configMapMutable: boolean;
  secretMutable: boolean;
  patchForce: boolean;
  upsert: boolean;
  deleteUnreachable: boolean;
}

/** Reads them as the engine sends them: flags are JSON in a string. */
export function readSettings(config: Properties): Settings {
  const flag = (key: string) => (config[key] instanceof Unknown ? false : readText(config, key) === "true");
  const { kubeconfig } = config;
  const kubectl = containsUnknown(kubeconfig)
    ? undefined
    : new Kubectl({
        kubeconfig: readText(config, "kubeconfig"),
        context: readText(config, "context"),
        cluster: readText(config, "cluster"),
      });
  const namespace = containsUnknown(config["namespace"]) ? undefined : readText(config, "namespace");
  return {
    cluster: kubectl === undefined ? undefined : new Cluster(kubectl),
    namespace: async () => namespace ?? (await kubectl?.contextNamespace()) ?? "default",
    configMapMutable: flag("enableConfigMapMutable"),
    secretMutable: flag("enableSecretMutable"),
    patchForce: flag("enablePatchForce"),
    upsert: flag("upsertExistingObjects"),
    deleteUnreachable: flag("deleteUnreachable"),
  };
}
