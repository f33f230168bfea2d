import type * as pulumi from "@pulumi/pulumi";
import type * as k8s from "@pulumi/kubernetes";
import { withoutIscsiLabel } from "../../talos/iscsi.ts";
import { pluginDirectory } from "./iscsiDriver.ts";
import type { IscsiDriver } from "./iscsiDriver.ts";
import { shimChecksum, shimSecret, shimsOf } from "./shims.ts";
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
  withoutEmpty,
} from "./podParts.ts";

type Container = k8s.types.input.core.v1.Container;
type Volume = k8s.types.input.core.v1.Volume;
type VolumeMount = k8s.types.input.core.v1.VolumeMount;

/**
 * The driver's node plugin, one pod per node. It needs extensive access to the node because of iSCSI:
 *
 * - `hostNetwork`: iscsiadm reaches iscsid over an abstract socket, which belongs to a network namespace (open-iscsi issue 48).
 * - The node's root at /host, to run the extension's iscsiadm there, with new mounts propagating in.
 * - /var/lib/kubelet with bidirectional propagation, including the staging directory: otherwise a restarted driver doesn't find its staging record and reports
 *   "unstaged" without logging out.
 * - The socket outside plugins_registry: the kubelet treats every socket there as a registration.
 */
export function nodeDaemonSet(
  driver: IscsiDriver,
  checksum: pulumi.Input<string>,
): k8s.types.input.apps.v1.DaemonSet {
  const { node, prefix } = driver;
  const labels = labelsOf(driver, "node");
  const shims = shimsOf(driver);
  return {
    metadata: { name: `${prefix}-node`, namespace: driver.namespace, labels },
    spec: {
      selector: { matchLabels: { app: labels.app ?? "" } },
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: node.maxUnavailable } },
      template: {
        metadata: {
          labels,
          annotations: {
            ...templateAnnotations(node.plugin.readsSecret, checksum),
            ...(shims.length > 0 ? { "talos-iscsi/shims-checksum": shimChecksum(shims) } : {}),
          },
        },
        spec: {
          serviceAccountName: `${prefix}-node-service-account`,
          priorityClassName: "system-node-critical",
          hostNetwork: true,
          dnsPolicy: "ClusterFirstWithHostNet",
          ...(driver.iscsiadm.strategy === "nsenter" ? { hostPID: true } : {}),
          nodeSelector: { "kubernetes.io/os": "linux", ...node.nodeSelector },
          ...withoutEmpty({ tolerations: node.tolerations }),
          ...nodeAffinity(node),
          ...pullSecrets(driver),
          containers: [pluginContainer(driver), registrarContainer(driver), livenessContainer(driver)],
          volumes: hostVolumes(driver),
        },
      },
    },
  };
}

/** The nodes it avoids. All expressions of one term must match. */
function nodeAffinity({ controlPlanes, nodesWithoutIscsi = false }: IscsiDriver["node"]): {
  affinity?: k8s.types.input.core.v1.Affinity;
} {
  const matchExpressions = [
    ...(controlPlanes ? [] : [{ key: "node-role.kubernetes.io/control-plane", operator: "DoesNotExist" }]),
    ...(nodesWithoutIscsi
      ? [{ key: withoutIscsiLabel.key, operator: "NotIn", values: [withoutIscsiLabel.value] }]
      : []),
  ];
  if (matchExpressions.length === 0) return {};
  const required = { nodeSelectorTerms: [{ matchExpressions }] };
  return { affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: required } } };
}

function pluginContainer(driver: IscsiDriver): Container {
  const { plugin, mountsDev } = driver.node;
  const mounts: VolumeMount[] = [
    { name: "socket-dir", mountPath: socketDirectory },
    { name: "kubelet-dir", mountPath: "/var/lib/kubelet", mountPropagation: "Bidirectional" },
    { name: "host-root", mountPath: "/host", mountPropagation: "HostToContainer" },
  ];
  if (mountsDev) mounts.push({ name: "device-dir", mountPath: "/dev" });
  if (plugin.readsSecret) mounts.push(secretMount(driver));
  mounts.push(...pluginMounts(plugin));
  for (const { file, path } of shimsOf(driver)) {
    mounts.push({ name: "shims", mountPath: path, subPath: file, readOnly: true });
  }
  return {
    name: plugin.container,
    image: pluginImage(driver),
    imagePullPolicy: "IfNotPresent",
    args: plugin.args,
    env: [
      { name: "KUBE_NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
      ...pluginEnvironment(plugin),
    ],
    // Formatting and mounting for the kubelet needs a privileged container: only those may use Bidirectional mounts.
    securityContext: { privileged: true },
    resources: pluginResources,
    livenessProbe: healthCheck(driver.healthPorts.node, true).probe,
    volumeMounts: mounts,
  };
}

function registrarContainer(driver: IscsiDriver): Container {
  const { endpoint, probe } = healthCheck(driver.healthPorts.registrar, true);
  return sidecarContainer(driver, "registrar", {
    name: "csi-registrar",
    args: [
      `--csi-address=${socketPath}`,
      `--kubelet-registration-path=${pluginDirectory(driver.driverName)}/csi.sock`,
      `--http-endpoint=${endpoint}`,
    ],
    volumeMounts: [{ name: "registration-dir", mountPath: "/registration" }],
    livenessProbe: probe,
  });
}

function livenessContainer(driver: IscsiDriver): Container {
  const { endpoint } = healthCheck(driver.healthPorts.node, true);
  return sidecarContainer(driver, "livenessProbe", {
    name: "liveness-probe",
    args: [`--csi-address=${socketPath}`, `--http-endpoint=${endpoint}`],
  });
}

function hostVolumes(driver: IscsiDriver): Volume[] {
  const list: Volume[] = [
    {
      name: "socket-dir",
      hostPath: { path: `${pluginDirectory(driver.driverName)}/`, type: "DirectoryOrCreate" },
    },
    { name: "registration-dir", hostPath: { path: "/var/lib/kubelet/plugins_registry/", type: "Directory" } },
    { name: "kubelet-dir", hostPath: { path: "/var/lib/kubelet", type: "Directory" } },
    { name: "host-root", hostPath: { path: "/", type: "Directory" } },
  ];
  if (driver.node.mountsDev) list.push({ name: "device-dir", hostPath: { path: "/dev", type: "Directory" } });
  if (driver.node.plugin.readsSecret) list.push(secretVolume(driver));
  if (shimsOf(driver).length > 0) {
    list.push({ name: "shims", secret: { secretName: shimSecret(driver), defaultMode: 0o555 } });
  }
  list.push(...pluginVolumes(driver.node.plugin));
  return list;
}
