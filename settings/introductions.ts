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
