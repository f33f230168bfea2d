import type * as pulumi from "@pulumi/pulumi";
import type * as k8s from "@pulumi/kubernetes";
import { inRegistry } from "./imageReference.ts";
import type { IscsiDriver, PluginProcess } from "./iscsiDriver.ts";
import { sidecarImage } from "./sidecars.ts";
import type { Sidecar } from "./sidecars.ts";

type Container = k8s.types.input.core.v1.Container;
type VolumeMount = k8s.types.input.core.v1.VolumeMount;
type Volume = k8s.types.input.core.v1.Volume;
type Probe = k8s.types.input.core.v1.Probe;

/** Where every container of a driver's pods finds the plugin's socket. */
export const socketDirectory = "/csi";
/** The socket itself. */
export const socketPath = `${socketDirectory}/csi.sock`;

/** The annotation that changes with the driver's configuration. */
const checksumAnnotation = "talos-iscsi/config-checksum";

/** For a process that needs nothing from the node. Root, because the plugin's socket belongs to root; but without any privileges. */
export const unprivileged: k8s.types.input.core.v1.SecurityContext = {
  privileged: false,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

/** Labels of a driver's pods and objects; selectors use `app`. */
export function labelsOf(driver: IscsiDriver, component: "controller" | "node"): Record<string, string> {
  return {
    app: `${driver.prefix}-${component}`,
    "app.kubernetes.io/name": driver.prefix,
    "app.kubernetes.io/component": component,
    "app.kubernetes.io/part-of": "talos-iscsi",
  };
}

/** The driver's own image, from the mirror if there is one. */
export function pluginImage(driver: IscsiDriver): string {
  return inRegistry(driver.image, driver.imageSource.registry);
}

/** A sidecar's container. Its resources fit clusters of ordinary size; memory is limited, CPU is not. */
export function sidecarContainer(
  driver: IscsiDriver,
  sidecar: Sidecar,
  container: {
    name: string;
    args: string[];
    env?: Container["env"];
    volumeMounts?: VolumeMount[];
    livenessProbe?: Probe;
  },
): Container {
  const { volumeMounts = [], ...rest } = container;
  return {
    ...rest,
    image: sidecarImage(sidecar, driver.imageSource),
    imagePullPolicy: "IfNotPresent",
    securityContext: unprivileged,
    resources: { requests: { cpu: "10m", memory: "32Mi" }, limits: { memory: "256Mi" } },
    volumeMounts: [{ name: "socket-dir", mountPath: socketDirectory }, ...volumeMounts],
  };
}

/** Resources of a driver's plugin. */
export const pluginResources = { requests: { cpu: "10m", memory: "64Mi" }, limits: { memory: "512Mi" } };

/**
 * An HTTP health check. With host networking it listens on loopback, where the kubelet probes it: it isn't reachable from outside, and no `ports` entry turns
 * it into a host port. In a pod's own network the kubelet connects from outside the pod, so it must listen on the pod's address.
 */
export function healthCheck(port: number, hostNetwork: boolean): { endpoint: string; probe: Probe } {
  return {
    endpoint: hostNetwork ? `127.0.0.1:${port}` : `:${port}`,
    probe: {
      httpGet: { path: "/healthz", port, ...(hostNetwork ? { host: "127.0.0.1" } : {}) },
      initialDelaySeconds: 10,
      periodSeconds: 20,
      timeoutSeconds: 10,
      failureThreshold: 5,
    },
  };
}

/** The volume with the driver's configuration file: readable by root only. */
export function secretVolume(driver: IscsiDriver): Volume {
  return { name: "config", secret: { secretName: driver.secret.name, defaultMode: 0o400 } };
}

/** Where the plugin mounts it. */
export function secretMount(driver: IscsiDriver): VolumeMount {
  return { name: "config", mountPath: driver.secret.mountPath, readOnly: true };
}

/** A plugin's environment as container variables. */
export function pluginEnvironment({ env = [] }: PluginProcess): k8s.types.input.core.v1.EnvVar[] {
  return env.map((entry) =>
    "secret" in entry
      ? { name: entry.name, valueFrom: { secretKeyRef: entry.secret } }
      : { name: entry.name, value: entry.value },
  );
}

/** A plugin's own volumes. */
export function pluginVolumes({ volumes = [] }: PluginProcess): Volume[] {
  return volumes.map(({ name, source }) => {
    if ("secret" in source) return { name, secret: { secretName: source.secret, defaultMode: 0o400 } };
    if ("configMap" in source) return { name, configMap: { name: source.configMap } };
    if ("hostPath" in source) {
      const { hostPath, type } = source;
      return { name, hostPath: { path: hostPath, ...(type === undefined ? {} : { type }) } };
    }
    return { name, emptyDir: {} };
  });
}

/** Where the plugin mounts them. */
export function pluginMounts({ volumes = [] }: PluginProcess): VolumeMount[] {
  return volumes.map(({ name, mountPath, mountPropagation, source, readOnly }) => ({
    name,
    mountPath,
    ...((readOnly ?? ("secret" in source || "configMap" in source)) ? { readOnly: true } : {}),
    ...(mountPropagation === undefined ? {} : { mountPropagation }),
  }));
}

/** `imagePullSecrets` of a pod; omitted if there are none. */
export function pullSecrets(driver: IscsiDriver): { imagePullSecrets?: { name: string }[] } {
  return driver.imagePullSecrets.length === 0
    ? {}
    : { imagePullSecrets: driver.imagePullSecrets.map((name) => ({ name })) };
}

/** Annotations of a pod template: the configuration's checksum if the pod reads it, so that a change restarts it. */
export function templateAnnotations(
  readsSecret: boolean,
  checksum: pulumi.Input<string>,
): Record<string, pulumi.Input<string>> {
  return readsSecret ? { [checksumAnnotation]: checksum } : {};
}

/**
 * Omits empty lists, as the Kubernetes plugin does once the whole object is known: a saved plan (`pulumi up --plan`) compares that with the first preview's
 * object, whose checksum is still unknown.
 */
export function withoutEmpty<Lists extends Record<string, readonly unknown[]>>(lists: Lists): Partial<Lists> {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)) as Partial<Lists>;
}
