import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { healthPorts, IscsiCsiDriver, type IscsiDriver } from "talos-iscsi";

const config = new pulumi.Config();
const kubeconfig = config.requireSecret("kubeconfig");
const provider = new k8s.Provider("kubernetes", { kubeconfig, enableServerSideApply: true });

const acme: IscsiDriver = {
  driverName: "csi.acme.example",
  prefix: "acme-csi",
  namespace: "acme-csi",
  image: "registry.example.com/acme-csi:v3.2.1",
  imageSource: {},
  imagePullSecrets: [],
  secret: {
    name: "acme-array",
    key: "array.json",
    content: pulumi.jsonStringify({ address: "192.168.0.30", password: config.requireSecret("password") }),
    mountPath: "/etc/acme",
  },
  csiDriver: { attachRequired: true, podInfoOnMount: false, fsGroupPolicy: "File" },
  iscsiadm: { strategy: "chroot", path: "/usr/local/sbin/iscsiadm" },
  wrapperPath: "/usr/local/bin/iscsiadm",
  restagesUnsafely: false,
  healthPorts: healthPorts(29830),
  controller: {
    nodeSelector: {},
    tolerations: [],
    replicas: 2,
    hostNetwork: false,
    sidecars: ["provisioner", "attacher", "resizer"],
    plugin: { container: "acme-controller", args: ["--mode=controller"], readsSecret: true },
  },
  node: {
    nodeSelector: {},
    tolerations: [{ operator: "Exists" }],
    controlPlanes: true,
    maxUnavailable: 1,
    mountsDev: true,
    plugin: { container: "acme-node", args: ["--mode=node"], readsSecret: false },
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

const driver = new IscsiCsiDriver("acme", { driver: acme }, { provider });

export const storageClasses = driver.storageClassNames;
