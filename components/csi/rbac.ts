import type { ControllerSidecar } from "./iscsiDriver.ts";

/** A rule of a Role or ClusterRole. */
export interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

const readVerbs = ["get", "list", "watch"];
const coreRule = (resources: string[], verbs: string[]): Rule => ({ apiGroups: [""], resources, verbs });
const storageRule = (resources: string[], verbs: string[]): Rule => ({
  apiGroups: ["storage.k8s.io"],
  resources,
  verbs,
});
const snapshotRule = (resources: string[], verbs: string[]): Rule => ({
  apiGroups: ["snapshot.storage.k8s.io"],
  resources,
  verbs,
});

const events = coreRule(["events"], ["list", "watch", "create", "update", "patch"]);

/**
 * Each sidecar's API permissions, at the versions in sidecars.ts (their own deploy/kubernetes/rbac.yaml). None for Secrets: only the kubelet reads those that
 * StorageClasses reference for staging.
 */
const sidecarRules: Readonly<Record<ControllerSidecar, readonly Rule[]>> = {
  provisioner: [
    coreRule(["persistentvolumes"], ["get", "list", "watch", "create", "patch", "delete"]),
    coreRule(["persistentvolumeclaims"], ["get", "list", "watch", "update"]),
    coreRule(["nodes"], readVerbs),
    storageRule(["storageclasses", "csinodes", "volumeattachments"], readVerbs),
    events,
  ],
  attacher: [
    coreRule(["persistentvolumes"], ["get", "list", "watch", "patch"]),
    storageRule(["csinodes"], readVerbs),
    storageRule(["volumeattachments"], ["get", "list", "watch", "patch"]),
    storageRule(["volumeattachments/status"], ["patch"]),
  ],
  resizer: [
    coreRule(["persistentvolumes"], ["get", "list", "watch", "patch"]),
    coreRule(["persistentvolumeclaims", "pods"], readVerbs),
    coreRule(["persistentvolumeclaims/status"], ["patch"]),
    storageRule(["volumeattributesclasses"], readVerbs),
    events,
  ],
  snapshotter: [
    snapshotRule(["volumesnapshotclasses"], readVerbs),
    snapshotRule(["volumesnapshotcontents"], ["get", "list", "watch", "update", "patch"]),
    snapshotRule(["volumesnapshotcontents/status"], ["update", "patch"]),
    events,
  ],
};

// The provisioner creates volumes from snapshots, if the driver supports them.
const restoreRules: readonly Rule[] = [
  snapshotRule(["volumesnapshots"], ["get", "list", "watch", "update"]),
  snapshotRule(["volumesnapshotcontents"], ["get", "list"]),
];

/** The minimal cluster-wide permissions of a controller with these sidecars and plugin: one rule per resource, with the combined verbs. */
export function controllerRules(
  sidecars: readonly ControllerSidecar[],
  plugin: readonly Rule[] = [],
): Rule[] {
  const rules = [...sidecars.flatMap((sidecar) => sidecarRules[sidecar]), ...plugin];
  return uniteRules(sidecars.includes("snapshotter") ? [...rules, ...restoreRules] : rules);
}

/** The API permissions of the cluster's snapshot controller (external-snapshotter v8.6.0, without group snapshots). */
export const snapshotControllerRules: readonly Rule[] = [
  coreRule(["persistentvolumes"], readVerbs),
  coreRule(["persistentvolumeclaims"], ["get", "list", "watch", "update"]),
  events,
  snapshotRule(["volumesnapshotclasses"], readVerbs),
  snapshotRule(["volumesnapshotcontents"], ["create", "get", "list", "watch", "update", "delete", "patch"]),
  snapshotRule(["volumesnapshotcontents/status"], ["patch"]),
  snapshotRule(["volumesnapshots"], ["create", "get", "list", "watch", "update", "patch", "delete"]),
  snapshotRule(["volumesnapshots/status"], ["update", "patch"]),
];

/** Read access to nodes, for the Synology driver's NFS staging (synology-csi v1.2.1 pkg/driver/nodeserver.go). */
export const readNodes: Rule = coreRule(["nodes"], ["get", "list"]);

/** For leader election in the driver's own namespace. */
export const leaderElectionRules: readonly Rule[] = [
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    verbs: ["get", "watch", "list", "delete", "update", "create"],
  },
];

/** The `roleRef` of a binding. */
export function roleReference(kind: "Role" | "ClusterRole", name: string) {
  return { apiGroup: "rbac.authorization.k8s.io", kind, name };
}

function uniteRules(rules: readonly Rule[]): Rule[] {
  const verbs = new Map<string, { group: string; resource: string; verbs: Set<string> }>();
  for (const rule of rules) {
    for (const group of rule.apiGroups) {
      for (const resource of rule.resources) {
        const key = `${group}/${resource}`;
        const entry = verbs.get(key) ?? { group, resource, verbs: new Set<string>() };
        for (const verb of rule.verbs) entry.verbs.add(verb);
        verbs.set(key, entry);
      }
    }
  }
  return [...verbs.values()].map((entry) => ({
    apiGroups: [entry.group],
    resources: [entry.resource],
    verbs: [...entry.verbs],
  }));
}
