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

/** What a process without need of the node gets. Root, because the plugin's socket is root's; but root without any power. */
export const unprivileged: k8s.types.input.core.v1.SecurityContext = {
  privileged: false,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

/** Labels of a driver's pods and objects; `app` is what selectors use. */
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

/** A sidecar's container. Resources are what the helpers need on clusters of ordinary size; memory is bounded, CPU is not. */
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
 * A health check over HTTP. In the node's network it listens on loopback and the kubelet asks there: nothing of it is
 * reachable from outside, and no `ports` entry makes a host port of it. In a pod's own network the kubelet comes from
 * outside the pod, so it has to listen on the pod's address.
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

/** The volume with the driver's configuration file: readable by root only, as in the Secret itself. */
export function secretVolume(driver: IscsiDriver): Volume {
  return { name: "config", secret: { secretName: driver.secret.name, defaultMode: 0o400 } };
}

/** Where a plugin finds it. */
export function secretMount(driver: IscsiDriver): VolumeMount {
  return { name: "config", mountPath: driver.secret.mountPath, readOnly: true };
}

/** The environment of a plugin, as a container has it. */
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

/** Where a plugin finds them. */
export function pluginMounts({ volumes = [] }: PluginProcess): VolumeMount[] {
  return volumes.map(({ name, mountPath, mountPropagation, source, readOnly }) => ({
    name,
    mountPath,
    ...((readOnly ?? ("secret" in source || "configMap" in source)) ? { readOnly: true } : {}),
    ...(mountPropagation === undefined ? {} : { mountPropagation }),
  }));
}

/** `imagePullSecrets` of a pod, left out when there are none. */
export function pullSecrets(driver: IscsiDriver): { imagePullSecrets?: { name: string }[] } {
  return driver.imagePullSecrets.length === 0
    ? {}
    : { imagePullSecrets: driver.imagePullSecrets.map((name) => ({ name })) };
}

/** Annotations of a pod template: the configuration's checksum where the pod reads it, so that a change restarts it. */
export function templateAnnotations(
  readsSecret: boolean,
  checksum: pulumi.Input<string>,
): Record<string, pulumi.Input<string>> {
  return readsSecret ? { [checksumAnnotation]: checksum } : {};
}

/**
 * A list that is left out where it is empty, as the Kubernetes plugin leaves it out once all of the object is known: an object of the first preview,
 * whose checksum is not known yet, is compared with that one by a saved plan (`pulumi up --plan`).
 */
export function withoutEmpty<Lists extends Record<string, readonly unknown[]>>(lists: Lists): Partial<Lists> {
  return Object.fromEntries(Object.entries(lists).filter(([, list]) => list.length > 0)) as Partial<Lists>;
}
