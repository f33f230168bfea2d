import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { SynologyCsi } from "talos-iscsi";

const config = new pulumi.Config();
const provider = new k8s.Provider("kubernetes", {
  kubeconfig: config.requireSecret("kubeconfig"),
  enableServerSideApply: true,
});

const synology = new SynologyCsi(
  "synology",
  {
    arrays: [{ host: "192.168.0.20", username: "kubernetes", password: config.requireSecret("password") }],
    storageClasses: [{ name: "synology-iscsi", default: true }],
  },
  { provider },
);

export const storageClasses = synology.storageClassNames;
