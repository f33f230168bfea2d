import type { ControllerSidecar } from "./iscsiDriver.ts";

/** A rule of a Role or ClusterRole. */
export interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

const read = ["get", "list", "watch"];
const core = (resources: string[], verbs: string[]): Rule => ({ apiGroups: [""], resources, verbs });
const storage = (resources: string[], verbs: string[]): Rule => ({
  apiGroups: ["storage.k8s.io"],
  resources,
  verbs,
});
const snapshot = (resources: string[], verbs: string[]): Rule => ({
  apiGroups: ["snapshot.storage.k8s.io"],
  resources,
  verbs,
});

const events = core(["events"], ["list", "watch", "create", "update", "patch"]);

/**
 * What each sidecar does with the API, at the versions in sidecars.ts (their own deploy/kubernetes/rbac.yaml).
 * Nothing about Secrets: only the kubelet reads those that StorageClasses name for staging.
 */
const sidecarRules: Readonly<Record<ControllerSidecar, readonly Rule[]>> = {
  provisioner: [
    core(["persistentvolumes"], ["get", "list", "watch", "create", "patch", "delete"]),
    core(["persistentvolumeclaims"], ["get", "list", "watch", "update"]),
    core(["nodes"], read),
    storage(["storageclasses", "csinodes", "volumeattachments"], read),
    events,
  ],
  attacher: [
    core(["persistentvolumes"], ["get", "list", "watch", "patch"]),
    storage(["csinodes"], read),
    storage(["volumeattachments"], ["get", "list", "watch", "patch"]),
    storage(["volumeattachments/status"], ["patch"]),
  ],
  resizer: [
    core(["persistentvolumes"], ["get", "list", "watch", "patch"]),
    core(["persistentvolumeclaims", "pods"], read),
    core(["persistentvolumeclaims/status"], ["patch"]),
    storage(["volumeattributesclasses"], read),
    events,
  ],
  snapshotter: [
    snapshot(["volumesnapshotclasses"], read),
    snapshot(["volumesnapshotcontents"], ["get", "list", "watch", "update", "patch"]),
    snapshot(["volumesnapshotcontents/status"], ["update", "patch"]),
    events,
  ],
};

// The provisioner makes volumes from snapshots, where the driver has any.
const restoreRules: readonly Rule[] = [
  snapshot(["volumesnapshots"], ["get", "list", "watch", "update"]),
  snapshot(["volumesnapshotcontents"], ["get", "list"]),
];

/** The least a controller with these sidecars and plugin needs in the whole cluster: one rule a resource, its verbs united. */
export function controllerRules(
  sidecars: readonly ControllerSidecar[],
  plugin: readonly Rule[] = [],
): Rule[] {
  const rules = [...sidecars.flatMap((sidecar) => sidecarRules[sidecar]), ...plugin];
  return united(sidecars.includes("snapshotter") ? [...rules, ...restoreRules] : rules);
}

/** What the cluster's snapshot controller does with the API (external-snapshotter v8.6.0, without group snapshots). */
export const snapshotControllerRules: readonly Rule[] = [
  core(["persistentvolumes"], read),
  core(["persistentvolumeclaims"], ["get", "list", "watch", "update"]),
  events,
  snapshot(["volumesnapshotclasses"], read),
  snapshot(["volumesnapshotcontents"], ["create", "get", "list", "watch", "update", "delete", "patch"]),
  snapshot(["volumesnapshotcontents/status"], ["patch"]),
  snapshot(["volumesnapshots"], ["create", "get", "list", "watch", "update", "patch", "delete"]),
  snapshot(["volumesnapshots/status"], ["update", "patch"]),
];

/** Looking up nodes, which the Synology driver's NFS staging does (synology-csi v1.2.1 pkg/driver/nodeserver.go). */
export const readNodes: Rule = core(["nodes"], ["get", "list"]);

/** What leader election needs in the driver's own namespace. */
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

function united(rules: readonly Rule[]): Rule[] {
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
