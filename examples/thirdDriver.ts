import type * as k8s from "@pulumi/kubernetes";
import { IscsiCsiDriver } from "../components/csi/iscsiCsiDriver.ts";
import type { IscsiDriver } from "../components/csi/iscsiDriver.ts";
import { healthPorts } from "../components/csi/iscsiDriver.ts";

/** A driver that this program knows nothing of: what it is, what it runs, and what it offers. */
export const acme: IscsiDriver = {
  driverName: "csi.acme.example",
  prefix: "acme-csi",
  namespace: "acme-csi",
  image: "registry.example.com/acme-csi:v3.2.1",
  imageSource: {},
  imagePullSecrets: [],
  secret: {
    name: "acme-array",
    key: "array.json",
    content: JSON.stringify({ address: "192.168.0.30", user: "kubernetes" }),
    mountPath: "/etc/acme",
  },
  csiDriver: {
    attachRequired: true,
    podInfoOnMount: false,
    fsGroupPolicy: "File",
    more: { storageCapacity: true },
  },
  // chroot into the node's root at /host, for the iscsiadm of the extension iscsi-tools.
  iscsiadm: { strategy: "chroot", path: "/usr/local/sbin/iscsiadm" },
  wrapperPath: "/usr/local/bin/iscsiadm",
  restagesUnsafely: false,
  // Three loopback ports that no other driver of the cluster uses.
  healthPorts: healthPorts(29830),
  controller: {
    nodeSelector: {},
    tolerations: [],
    replicas: 2,
    hostNetwork: false,
    sidecars: ["provisioner", "attacher", "resizer"],
    sidecarArgs: { provisioner: ["--enable-capacity", "--capacity-ownerref-level=2"] },
    // It looks at the nodes' labels to place volumes.
    apiRules: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get", "list", "watch"] }],
    plugin: {
      container: "acme-controller",
      args: ["--mode=controller", "--endpoint=unix:///csi/csi.sock", "--array=/etc/acme/array.json"],
      env: [{ name: "ACME_API_KEY", secret: { name: "acme-api", key: "key" } }],
      volumes: [{ name: "array-ca", mountPath: "/etc/acme-ca", source: { secret: "acme-ca" } }],
      readsSecret: true,
    },
  },
  node: {
    nodeSelector: {},
    tolerations: [{ operator: "Exists" }],
    controlPlanes: true,
    maxUnavailable: 1,
    mountsDev: true,
    // A token, and the right to read its own Node object.
    apiRules: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get"] }],
    plugin: {
      container: "acme-node",
      args: ["--mode=node", "--endpoint=unix:///csi/csi.sock", "--node=$(KUBE_NODE_NAME)"],
      env: [{ name: "ISCSIADM", value: "chroot /host /usr/local/sbin/iscsiadm" }],
      // Talos keeps nothing outside of /var.
      volumes: [
        {
          name: "state",
          mountPath: "/var/lib/acme",
          source: { hostPath: "/var/lib/acme", type: "DirectoryOrCreate" },
        },
      ],
      readsSecret: false,
    },
  },
  storageClasses: [
    {
      name: "acme",
      reclaimPolicy: "Delete",
      volumeBindingMode: "WaitForFirstConsumer",
      default: false,
      mountOptions: [],
      allowVolumeExpansion: true,
      parameters: { "csi.storage.k8s.io/fstype": "ext4" },
    },
  ],
};

/** Deploys it to the cluster of a provider. */
export function deployAcme(provider?: k8s.Provider): IscsiCsiDriver {
  return new IscsiCsiDriver("acme", { driver: acme }, provider === undefined ? {} : { provider });
}
