import * as pulumi from "@pulumi/pulumi";
import { IscsiCluster, parseSettings } from "talos-iscsi";

const settings = parseSettings({
  talosVersion: "v1.13.9",
  cluster: {
    name: "edge",
    endpoint: "https://10.0.0.10:6443",
    nodes: [
      { name: "cp1", address: "10.0.0.11", role: "controlplane" },
      { name: "w1", address: "10.0.0.21", role: "worker" },
    ],
  },
  joviandss: {
    image: "docker.io/opene/joviandss-csi:v1.0",
    endpoint: {
      addresses: ["192.168.0.100"],
      user: "admin",
      password: { fromEnvironment: "JOVIANDSS_PASSWORD" },
    },
    iscsi: { addresses: ["192.168.0.100"] },
    pools: [{ name: "Pool-0", storageClasses: [{ name: "joviandss-sc", default: true }] }],
  },
});

const edge = new IscsiCluster("edge", settings);

export const kubeconfig = pulumi.secret(edge.outputs.kubeconfig);
export const nodes = edge.outputs.nodes;
