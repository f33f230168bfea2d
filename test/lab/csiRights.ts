import type { ClusterFixture } from "./clusterFixture.ts";

/** API group, resource (or resource/subresource), verbs. */
export type Right = [group: string, resource: string, verbs: string[]];

/** Each right as "verb resource.group". */
export const flattenRights = (rights: Right[]) =>
  rights.flatMap(([group, resource, verbs]) => verbs.map((verb) => `${verb} ${resource}.${group}`));

/** The verbs that a service account is denied, checked with one SelfSubjectAccessReview each. */
export function refusedRights(
  cluster: ClusterFixture,
  account: string,
  rights: Right[],
  namespace?: string,
): string[] {
  const items = rights.flatMap(([group, path, verbs]) => {
    const [resource, subresource] = path.split("/");
    return verbs.map((verb) => ({
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: { group, resource, subresource, verb, namespace } },
    }));
  });
  const answers = cluster
    .kubectl(
      [
        "create",
        `--as=system:serviceaccount:${account}`,
        "--output=jsonpath={.status.allowed}{'\\n'}",
        "--filename=-",
      ],
      JSON.stringify({ apiVersion: "v1", kind: "List", items }),
    )
    .trim()
    .split("\n");
  if (answers.length !== items.length)
    throw new Error(`${answers.length} answers to ${items.length} questions`);
  return flattenRights(rights).filter((_, index) => answers[index] !== "true");
}

const read = ["get", "list", "watch"];
// The API permissions each sidecar needs, from its deploy/kubernetes/rbac.yaml at the version in sidecars.ts.
export const provisioner: Right[] = [
  ["", "persistentvolumes", ["get", "list", "watch", "create", "patch", "delete"]],
  ["", "persistentvolumeclaims", ["get", "list", "watch", "update"]],
  ["", "nodes", read],
  ["", "events", ["list", "watch", "create", "update", "patch"]],
  ["storage.k8s.io", "storageclasses", read],
  ["storage.k8s.io", "csinodes", read],
  ["storage.k8s.io", "volumeattachments", read],
  ["snapshot.storage.k8s.io", "volumesnapshots", ["get", "list", "watch", "update"]],
  ["snapshot.storage.k8s.io", "volumesnapshotcontents", ["get", "list"]],
];
export const attacher: Right[] = [
  ["", "persistentvolumes", ["get", "list", "watch", "patch"]],
  ["storage.k8s.io", "csinodes", read],
  ["storage.k8s.io", "volumeattachments", ["get", "list", "watch", "patch"]],
  ["storage.k8s.io", "volumeattachments/status", ["patch"]],
];
export const snapshotter: Right[] = [
  ["", "events", ["list", "watch", "create", "update", "patch"]],
  ["snapshot.storage.k8s.io", "volumesnapshotclasses", read],
  ["snapshot.storage.k8s.io", "volumesnapshotcontents", ["get", "list", "watch", "update", "patch"]],
  ["snapshot.storage.k8s.io", "volumesnapshotcontents/status", ["update", "patch"]],
];
export const resizer: Right[] = [
  ["", "persistentvolumes", ["get", "list", "watch", "patch"]],
  ["", "persistentvolumeclaims", read],
  ["", "persistentvolumeclaims/status", ["patch"]],
  ["", "pods", read],
  ["storage.k8s.io", "volumeattributesclasses", read],
];
export const snapshotController: Right[] = [
  ["", "persistentvolumes", read],
  ["", "persistentvolumeclaims", ["get", "list", "watch", "update"]],
  [
    "snapshot.storage.k8s.io",
    "volumesnapshots",
    ["create", "get", "list", "watch", "update", "patch", "delete"],
  ],
  ["snapshot.storage.k8s.io", "volumesnapshots/status", ["update", "patch"]],
  [
    "snapshot.storage.k8s.io",
    "volumesnapshotcontents",
    ["create", "get", "list", "watch", "update", "patch", "delete"],
  ],
  ["snapshot.storage.k8s.io", "volumesnapshotcontents/status", ["patch"]],
  ["snapshot.storage.k8s.io", "volumesnapshotclasses", read],
];
export const leases: Right[] = [
  ["coordination.k8s.io", "leases", ["get", "watch", "list", "delete", "update", "create"]],
];
// Permissions with which a compromised controller would compromise the cluster.
export const forbiddenRights: Right[] = [
  ["", "secrets", ["get", "list", "watch", "create"]],
  ["", "pods", ["create", "delete"]],
  ["", "pods/exec", ["create"]],
  ["", "nodes", ["update", "patch", "delete"]],
  ["", "serviceaccounts/token", ["create"]],
  ["apps", "daemonsets", ["create", "patch"]],
  ["rbac.authorization.k8s.io", "clusterrolebindings", ["create"]],
  ["apiextensions.k8s.io", "customresourcedefinitions", ["create", "delete"]],
];
