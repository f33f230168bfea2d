import type * as k8s from "@pulumi/kubernetes";
import { IscsiCsiDriver } from "../components/csi/iscsiCsiDriver.ts";
import type { IscsiDriver } from "../components/csi/iscsiDriver.ts";
import { healthPorts } from "../components/csi/iscsiDriver.ts";

/** A driver that this program does not know: its name, containers and storage classes. */
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
  // chroot into the node's root at /host, to run the iscsiadm of the iscsi-tools extension.
  iscsiadm: { strategy: "chroot", path: "/usr/local/sbin/iscsiadm" },
  wrapperPath: "/usr/local/bin/iscsiadm",
  restagesUnsafely: false,
  // Three loopback ports that no other driver in the cluster uses.
  healthPorts: healthPorts(29830),
  controller: {
    nodeSelector: {},
    tolerations: [],
    replicas: 2,
    hostNetwork: false,
    sidecars: ["provisioner", "attacher", "resizer"],
    sidecarArgs: { provisioner: ["--enable-capacity", "--capacity-ownerref-level=2"] },
    // Reads node labels to place volumes.
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
    // A token with permission to read Node objects.
    apiRules: [{ apiGroups: [""], resources: ["nodes"], verbs: ["get"] }],
    plugin: {
      container: "acme-node",
      args: ["--mode=node", "--endpoint=unix:///csi/csi.sock", "--node=$(KUBE_NODE_NAME)"],
      env: [{ name: "ISCSIADM", value: "chroot /host /usr/local/sbin/iscsiadm" }],
      // On Talos, only /var is persistent.
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

/** Deploys the driver to the provider's cluster. */
export function deployAcme(provider?: k8s.Provider): IscsiCsiDriver {
  return new IscsiCsiDriver("acme", { driver: acme }, provider === undefined ? {} : { provider });
}
