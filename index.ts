import { problemCode } from "./settings/problemCode.ts";
import { coded } from "./talos/errorCodes.ts";
import * as pulumi from "@pulumi/pulumi";
import { declareCluster } from "./components/iscsiCluster.ts";
import { loadSettings } from "./config.ts";

const settings = loadSettings();
for (const { path, reason } of settings.warnings)
  void pulumi.log.warn(coded(problemCode(path), `${path} ${reason}`));

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
