import { randomBytes } from "node:crypto";
import type { V1Namespace, V1PersistentVolumeClaim, V1Pod } from "@kubernetes/client-node";
import type { ClaimSpec, PodSpec } from "./cluster.ts";
import { probeEnvironment, probeScripts } from "./script.ts";

/** Label on all objects of a probe; its value is the run. */
export const probeLabel = "talos-iscsi/probe";
/** Changes while the probe is running. */
export const beatAnnotation = "talos-iscsi/probe-beat";

/** The namespace of a new probe. */
export function probeNamespace(): string {
  return `talos-iscsi-probe-${randomBytes(4).toString("hex")}`;
}

/** Could a probe have created this namespace? */
export function isProbeNamespace(name: string): boolean {
  return /^talos-iscsi-probe-[0-9a-f]{8}$/.test(name);
}

/** Neither root nor a real user. */
const nobody = 65534;

export function namespaceBody(name: string, labels: Record<string, string>): V1Namespace {
  return { metadata: { name, labels } };
}

/** @param run the probe's label */
export function claimBody({ name, storageClass, accessMode, size }: ClaimSpec, run: string) {
  return {
    metadata: { name, labels: { [probeLabel]: run } },
    spec: {
      storageClassName: storageClass,
      accessModes: [accessMode],
      resources: { requests: { storage: size } },
    },
  } satisfies V1PersistentVolumeClaim;
}

/** A pod that PodSecurity admits as `restricted`, or as `baseline` if it must be root. It declares small resource requests, for namespaces with a quota. */
export function podBody({ name, claim, node, image, task, asRoot, tolerations }: PodSpec, run: string) {
  const resources = { cpu: "10m", memory: "64Mi" };
  return {
    metadata: { name, labels: { [probeLabel]: run } },
    spec: {
      restartPolicy: "Never",
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 1,
      // Goes through the scheduler: a class that waits for its first consumer only gets a node from it.
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [node] }] }],
          },
        },
      },
      ...(tolerations.length > 0 ? { tolerations: [...tolerations] } : {}),
      securityContext: {
        ...(asRoot
          ? { runAsUser: 0 }
          : // The kubelet gives the volume's root folder to this group.
            { runAsNonRoot: true, runAsUser: nobody, runAsGroup: nobody, fsGroup: nobody }),
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: "probe",
          image,
          command: ["sh", "-c", probeScripts[task]],
          env: Object.entries(probeEnvironment).map(([key, value]) => ({ name: key, value })),
          // Reports the last output of a failed script with the pod.
          terminationMessagePolicy: "FallbackToLogsOnError",
          resources: { requests: resources, limits: { memory: resources.memory } },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          volumeMounts: [
            { name: "volume", mountPath: probeEnvironment.VOLUME, readOnly: task === "read" },
            { name: "memory", mountPath: probeEnvironment.MEMORY },
          ],
        },
      ],
      volumes: [
        { name: "volume", persistentVolumeClaim: { claimName: claim } },
        { name: "memory", emptyDir: { medium: "Memory", sizeLimit: "32Mi" } },
      ],
    },
  } satisfies V1Pod;
}
