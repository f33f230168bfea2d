import { sidecarImages } from "../../components/csi/sidecars.ts";

/** What the reference and the template say beside the schema: about sections, and values where nothing is the default. */

/** For sections that say nothing about themselves in the schema. */
export const introductions: Readonly<Record<string, string>> = {
  image: "The image that the nodes run: the Image Factory, the platform and the schematic it is made from.",
  "cluster.pools.NAME": "One of them, by the name that nodes give.",
  "upgrade.pools.NAME": "One of cluster.pools.",
  "images.NAME": "One of them, by the name that nodes give.",
  cluster: "The cluster: its name, its nodes, their patches and, for a running cluster, its secrets.",
  "cluster.patches.all": "Patches for every node.",
  "cluster.patches.controlplane": "Patches for control planes, after those for every node.",
  "cluster.patches.worker": "Patches for workers, after those for every node.",
  "cluster.documents.all": "Documents for every node.",
  "cluster.documents.controlplane": "Documents for control planes.",
  "cluster.documents.worker": "Documents for workers.",
  upgrade: "How nodes are brought to the image.",
  outputs: "Outputs of the stack that are there on request.",
  "upgrade.drain": "How a node's pods and volumes leave it before the node is upgraded.",
  "upgrade.kubernetes": "The upgrade of Kubernetes, when `kubernetesVersion` changes.",
  "upgrade.storageGate":
    "What the next node waits for: CSI drivers registered, no attach errors, pods with claims running again.",
  "upgrade.workers": "How workers are upgraded. Control planes always go one at a time.",
};

function ofSelectors(...sections: string[]): Record<string, unknown> {
  const fields = {
    busPath: "00:*",
    hardwareAddr: "00:1a:2b:*",
    permanentAddr: "00:1a:2b:*",
    pciID: "8086:1533",
    driver: "virtio_net",
  };
  return Object.fromEntries(
    sections.flatMap((path) =>
      Object.entries(fields).map(([key, value]) => [`${path}.deviceSelector.${key}`, value]),
    ),
  );
}

const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

// The same wherever images are pulled.
const ofImages: Readonly<Record<string, unknown>> = {
  registry: "registry.example.com/mirror",
  imagePullSecrets: ["registry-credentials"],
  ...Object.fromEntries(Object.entries(sidecarImages).map(([name, image]) => [`images.${name}`, image])),
};

/** For keys that have no default: a value of the right form. */
export const examples: Readonly<Record<string, unknown>> = {
  talosVersion: "v1.13.9",
  talosContract: "v1.13",
  kubernetesVersion: "v1.35.4",
  "upgrade.storageGate.enabled": true,
  "cluster.name": "prod",
  "cluster.endpoint": "https://10.0.0.10:6443",
  "cluster.nodes[].name": "cp1",
  "cluster.nodes[].address": "10.0.0.11",
  "cluster.nodes[].role": "controlplane",
  "cluster.nodes[].talosVersion": "v1.13.9",
  "images.NAME": "gpu",
  "images.NAME.factory": "https://factory.talos.dev",
  "images.NAME.platform": "metal",
  "images.NAME.architecture": "amd64",
  "images.NAME.secureBoot": false,
  "images.NAME.schematic": {
    customization: {
      systemExtensions: {
        officialExtensions: [
          "siderolabs/iscsi-tools",
          "siderolabs/nvidia-open-gpu-kernel-modules-lts",
          "siderolabs/nvidia-container-toolkit-lts",
        ],
      },
    },
  },
  "cluster.nodes[].image": "gpu",
  "cluster.nodes[].pool": "gpu",
  "cluster.pools.NAME": "gpu",
  "cluster.pools.NAME.image": "gpu",
  "cluster.pools.NAME.iscsi": true,
  "cluster.pools.NAME.talosVersion": "v1.13.9",
  "upgrade.pools.NAME": "gpu",
  "upgrade.pools.NAME.maxUnavailable": "25%",
  "cluster.checkHardware": "warn",
  "cluster.nodes[].endpoint": "203.0.113.7:50021",
  "cluster.nodes[].installDisk": "/dev/sda",
  "cluster.nodes[].diskSelector.size": ">= 100GB",
  "cluster.nodes[].diskSelector.name": "SD16G",
  "cluster.nodes[].diskSelector.model": "WDC*",
  "cluster.nodes[].diskSelector.serial": "S4EVNX0R",
  "cluster.nodes[].diskSelector.modalias": "nvme:*",
  "cluster.nodes[].diskSelector.uuid": "7f3a*",
  "cluster.nodes[].diskSelector.wwid": "eui.0025*",
  "cluster.nodes[].diskSelector.type": "nvme",
  "cluster.nodes[].diskSelector.busPath": "/pci0000:00/*",
  "cluster.nodes[].diskSelector.match": 'disk.transport == "nvme"',
  "cluster.nodes[].hostname": "cp1",
  "cluster.nodes[].network.interfaces[].interface": "enp1s0",
  "cluster.nodes[].network.interfaces[].routes[].network": "10.20.0.0/16",
  "cluster.nodes[].network.interfaces[].routes[].gateway": "10.0.0.1",
  "cluster.nodes[].network.interfaces[].routes[].metric": 1024,
  "cluster.nodes[].network.interfaces[].mtu": 9000,
  "cluster.nodes[].config": "…",
  "cluster.nodes[].configFile": "cp1.yaml",
  "cluster.nodes[].onRemove": "keep",
  "cluster.vip.address": "10.0.0.10",
  "upgrade.gates[].apiVersion": "longhorn.io/v1beta2",
  "upgrade.gates[].kind": "Volume",
  "upgrade.gates[].namespace": "longhorn-system",
  "upgrade.gates[].name": "pvc-1",
  "upgrade.gates[].labelSelector": "app=db",
  "upgrade.gates[].condition": "Ready",
  "upgrade.gates[].jsonPath": "{.status.robustness}",
  "upgrade.gates[].value": ["healthy", "unknown"],
  "upgrade.windows[].from": "22:00",
  "upgrade.windows[].to": "04:00",
  "upgrade.windows[].timeZone": "Europe/Berlin",
  "upgrade.etcdSnapshot.directory": "etcd-snapshots",
  "upgrade.etcdSnapshot.ageRecipients": ["age1yvjm90t4x0xyxgwxwkq9uql73rg4flllj07m0mcp6dh4j4m7ccgs35mt5t"],
  "cluster.vip.interface": "enp1s0",
  "cluster.secrets.bundle": "…",
  "cluster.secrets.bundleFile": "secrets.yaml",
  "cluster.secrets.controlplane": "…",
  "cluster.secrets.controlplaneFile": "controlplane.yaml",
  "cluster.secrets.worker": "…",
  "cluster.secrets.workerFile": "worker.yaml",
  "cluster.secrets.talosconfig": "…",
  "cluster.secrets.talosconfigFile": "talosconfig",
  ...ofSelectors("cluster.nodes[].network.interfaces[]", "cluster.vip"),
  "cluster.podSubnets": ["10.244.0.0/16"],
  "cluster.serviceSubnets": ["10.96.0.0/12"],
  "joviandss.image": `docker.io/opene/joviandss-csi@${digest}`,
  "joviandss.endpoint.addresses": ["192.168.21.100"],
  "joviandss.endpoint.user": "admin",
  "joviandss.endpoint.password": "…",
  "joviandss.iscsi.addresses": ["192.168.21.100"],
  "joviandss.pools[].name": "Pool-0",
  "joviandss.pools[].storageClasses[].name": "joviandss-sc",
  "joviandss.pools[].driver.name": "pool-1.csi.joviandss.open-e.com",
  "joviandss.pools[].driver.image": `registry.example.com/joviandss-csi-pool-1@${digest}`,
  "joviandss.iscsiadm.strategy": "chroot",
  "namespaces[].name": "longhorn-system",
  "synology.iscsiadm.strategy": "chroot",
  "synology.arrays[].host": "192.168.21.20",
  "synology.arrays[].port": 5001,
  "synology.arrays[].username": "kubernetes",
  "synology.arrays[].password": "…",
  "synology.storageClasses[].name": "synology-iscsi-storage",
  "synology.storageClasses[].array": "192.168.21.20",
  "synology.storageClasses[].location": "/volume1",
  "synology.storageClasses[].formatOptions": "-O ^metadata_csum",
  "synology.storageClasses[].lunType": "THIN",
  "synology.storageClasses[].spaceReclamation": true,
  "synology.storageClasses[].fuaSyncCache": true,
  "synology.snapshots.description": "made by Kubernetes",
  ...Object.fromEntries(
    ["joviandss", "synology", "snapshotController"].flatMap((section) =>
      Object.entries(ofImages).map(([path, value]) => [`${section}.${path}`, value]),
    ),
  ),
};
