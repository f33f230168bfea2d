import type * as pulumi from "@pulumi/pulumi";
import type * as k8s from "@pulumi/kubernetes";
import type { ControllerSidecar, IscsiDriver } from "./iscsiDriver.ts";
import {
  healthCheck,
  labelsOf,
  pluginEnvironment,
  pluginImage,
  pluginMounts,
  pluginResources,
  pluginVolumes,
  pullSecrets,
  secretMount,
  secretVolume,
  sidecarContainer,
  socketDirectory,
  socketPath,
  templateAnnotations,
  unprivileged,
  withoutEmpty,
} from "./podParts.ts";

type Container = k8s.types.input.core.v1.Container;

/** Arguments of a sidecar besides the socket and leader election. */
const sidecarArgs: Readonly<Record<ControllerSidecar, readonly string[]>> = {
  // A claim's metadata helps to recognize its volume on the storage.
  provisioner: ["--timeout=60s", "--extra-create-metadata"],
  attacher: ["--timeout=60s"],
  resizer: ["--timeout=60s"],
  snapshotter: ["--timeout=60s", "--extra-create-metadata"],
};

/** The driver's controller. It only talks to the Kubernetes API and the storage's API: no host path, no privileges, and host networking only on request. */
export function controllerDeployment(
  driver: IscsiDriver,
  checksum: pulumi.Input<string>,
): k8s.types.input.apps.v1.Deployment {
  const { controller, prefix } = driver;
  const labels = labelsOf(driver, "controller");
  const several = controller.replicas > 1;
  return {
    metadata: { name: `${prefix}-controller`, namespace: driver.namespace, labels },
    spec: {
      replicas: controller.replicas,
      selector: { matchLabels: { app: labels.app ?? "" } },
      // Without leader election, two pods at once would both answer a claim, so a single replica stops before the next one starts.
      strategy: several
        ? { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } }
        : { type: "Recreate" },
      template: {
        metadata: { labels, annotations: templateAnnotations(controller.plugin.readsSecret, checksum) },
        spec: {
          serviceAccountName: `${prefix}-controller-service-account`,
          priorityClassName: "system-cluster-critical",
          ...(controller.hostNetwork ? { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" } : {}),
          nodeSelector: { "kubernetes.io/os": "linux", ...controller.nodeSelector },
          ...withoutEmpty({ tolerations: controller.tolerations }),
          ...(several ? { affinity: spreadAffinity(labels.app ?? "", controller.hostNetwork) } : {}),
          ...pullSecrets(driver),
          containers: [
            pluginContainer(driver),
            ...controller.sidecars.map((sidecar) => controllerSidecar(driver, sidecar, several)),
            livenessContainer(driver),
          ],
          volumes: [
            { name: "socket-dir", emptyDir: {} },
            ...(controller.plugin.readsSecret ? [secretVolume(driver)] : []),
            ...pluginVolumes(controller.plugin),
          ],
        },
      },
    },
  };
}

function pluginContainer(driver: IscsiDriver): Container {
  const { plugin, hostNetwork } = driver.controller;
  return {
    name: plugin.container,
    image: pluginImage(driver),
    imagePullPolicy: "IfNotPresent",
    args: plugin.args,
    ...withoutEmpty({ env: pluginEnvironment(plugin) }),
    securityContext: unprivileged,
    resources: pluginResources,
    livenessProbe: healthCheck(driver.healthPorts.controller, hostNetwork).probe,
    volumeMounts: [
      { name: "socket-dir", mountPath: socketDirectory },
      ...(plugin.readsSecret ? [secretMount(driver)] : []),
      ...pluginMounts(plugin),
    ],
  };
}

function controllerSidecar(
  driver: IscsiDriver,
  sidecar: ControllerSidecar,
  leaderElection: boolean,
): Container {
  return sidecarContainer(driver, sidecar, {
    name: `csi-${sidecar}`,
    args: [
      `--csi-address=${socketPath}`,
      ...sidecarArgs[sidecar],
      ...(sidecar === "provisioner" && driver.controller.defaultFsType !== undefined
        ? [`--default-fstype=${driver.controller.defaultFsType}`]
        : []),
      ...(leaderElection ? ["--leader-election", `--leader-election-namespace=${driver.namespace}`] : []),
      ...(driver.controller.sidecarArgs?.[sidecar] ?? []),
    ],
  });
}

function livenessContainer(driver: IscsiDriver): Container {
  const { endpoint } = healthCheck(driver.healthPorts.controller, driver.controller.hostNetwork);
  return sidecarContainer(driver, "livenessProbe", {
    name: "liveness-probe",
    args: [`--csi-address=${socketPath}`, `--http-endpoint=${endpoint}`],
  });
}

/**
 * Preferred, not required: a cluster with a single worker still gets all replicas. With host networking it is required, because two replicas on one node would
 * compete for the health check's port.
 */
function spreadAffinity(app: string, hostNetwork: boolean): k8s.types.input.core.v1.Affinity {
  const term = { labelSelector: { matchLabels: { app } }, topologyKey: "kubernetes.io/hostname" };
  if (hostNetwork) return { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
  return {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }],
    },
  };
}
