import { problemCode } from "./settings/problemCode.ts";
import { coded } from "./talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import { declareCluster } from "./components/iscsiCluster.ts";
import { loadSettings } from "./config.ts";

const settings = loadSettings();
for (const warning of settings.warnings)
  void pulumi.log.warn(coded(problemCode(warning), `${warning.path} ${warning.reason}`));

/** The outputs of the stack; IscsiClusterOutputs says what each is. */
export const {
  schematicId,
  installerImage,
  isoUrl,
  pxeUrl,
  images,
  endpoint,
  talosconfig,
  kubeconfig,
  machineConfigurations,
  nodes,
  etcdSnapshot,
  postponed,
  storageClasses,
  storageProbe,
} = declareCluster(settings);
