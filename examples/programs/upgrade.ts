import * as pulumi from "@pulumi/pulumi";
import { FactoryImage, iscsiRequirements, parseTalosconfig, RollingUpgrade } from "talos-iscsi";

const config = new pulumi.Config();
const talosVersion = "v1.13.9";
const schematic = { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } };

const image = new FactoryImage("image", {
  factory: "https://factory.talos.dev",
  platform: "metal",
  secureBoot: false,
  schematic,
  talosVersion,
});

const rollout = new RollingUpgrade("upgrade", {
  nodes: [
    { name: "cp1", address: "10.0.0.11", role: "controlplane" as const },
    { name: "w1", address: "10.0.0.21", role: "worker" as const },
  ].map((node) => ({
    ...node,
    talosVersion,
    image: image.installerImage,
    requirements: iscsiRequirements(schematic, talosVersion),
  })),
  after: [image.confirmed],
  schematicId: image.schematicId,
  clientConfiguration: config.requireSecret("talosconfig").apply((text) => parseTalosconfig(text)),
  kubeconfig: config.requireSecret("kubeconfig"),
  drain: { enabled: true, timeoutSeconds: 300 },
  maxUnavailableWorkers: 1,
  timeoutSeconds: 1800,
  allowSkew: false,
  prePull: true,
});

export const nodes = rollout.table;
