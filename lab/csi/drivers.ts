import { JovianDssCsi } from "../../components/csi/joviandss.ts";
import { SynologyCsi } from "../../components/csi/synology.ts";
import type { StorageArray } from "../arrays/array.ts";
import { DsmArray } from "../arrays/dsm.ts";
import { JovianDssArray } from "../arrays/joviandss.ts";

/** A part of the sanity suite that a driver fails. */
export interface Defect {
  /** Text in the names of the affected cases. */
  cases: string;
  /** The reason, and its place in the driver's source. */
  why: string;
  /** The vendor's process exits. With the vendor's binary these cases are skipped, because all that follow would fail too. */
  ends?: true;
  /** The driver in tools/csi/driver does the same. */
  ours?: true;
}

// open-e/joviandss-kubernetescsi at commit c466239; its iSCSI manifests are those of v1.1.0
const joviandssDefects: readonly Defect[] = [
  {
    cases: "GetCapacity",
    why: "its context has no logger, and the process exits (pkg/controller/controllerplugin.go, GetCapacity)",
    ends: true,
  },
  ...["CreateSnapshot", "DeleteSnapshot", "ListSnapshots", "GetSnapshot", "existing source snapshot"].map(
    (cases): Defect => ({
      cases,
      why: "deleting a snapshot makes the process exit (pkg/driver/driver.go, DeleteSnapshot)",
      ends: true,
    }),
  ),
  {
    cases: "CreateVolume should create volume from an existing source volume",
    why: "it doesn't find the snapshot between a volume and its clone again, so the source stays busy (pkg/rest/entrielisters.go, GetVolumeSnapshotsEntries)",
  },
  ...[
    "volume source snapshot is not found",
    "volume source volume is not found",
    "DeleteVolume should succeed when an invalid volume id is used",
    "ValidateVolumeCapabilities should fail when the requested volume does not exist",
    "ControllerPublishVolume should fail when the volume does not exist",
  ].map((cases): Defect => ({
    cases,
    why: "it reports an ID of another form as InvalidArgument, not NotFound (pkg/driver/lunid.go, NewVolumeDescFromVDS)",
  })),
  {
    cases: "ValidateVolumeCapabilities should return appropriate values",
    why: "it confirms an empty list (pkg/controller/controllerplugin.go, ValidateVolumeCapabilities)",
  },
  {
    cases: "ControllerPublishVolume should fail when the node does not exist",
    why: "a target is open to every node, so the node isn't checked (pkg/driver/driver.go, PublishVolume)",
    ours: true,
  },
];

/** What it takes to run a driver's processes. */
export interface DriverUnderTest {
  /** Name of each workload and of the plugin's container in it; the image's entry point. */
  controller: { workload: string; container: string };
  node: { workload: string; container: string };
  entryPoint: string;
  /** Other programs of the image that matter. */
  programs: Readonly<Record<string, string>>;
  /** The CSI driver name, as in its socket's path. */
  driverName: string;
  /** The array it talks to. */
  array: (folder: string) => Promise<StorageArray>;
  /** Creates the driver's component for that array, as a stack's program does. */
  deploy: (port: number) => unknown;
  /** Parameters of its StorageClass. */
  parameters: Record<string, string>;
  /** Sanity cases it is known to fail. */
  defects: readonly Defect[];
  /** Volume size that the sanity suite requests. */
  volumeBytes: number;
}

const user = "kubernetes";
const password = "an-array's-password";

/** The drivers that this program deploys. */
export const drivers = {
  joviandss: {
    controller: { workload: "joviandss-csi-controller", container: "csi-controller" },
    node: { workload: "joviandss-csi-node", container: "csi-node" },
    // open-e/joviandss-kubernetescsi deploy/container/centos.Dockerfile
    entryPoint: "/usr/local/bin/jdss-csi-plugin",
    // Its iscsiadm runs the node's, using the strategy set in the environment; chroot is tested here.
    programs: {
      "/usr/local/bin/iscsiadm": '#!/bin/sh\nchroot /host "$ISCSIADM_HOST_PATH" "$@"\n',
    },
    driverName: "iscsi.csi.joviandss.open-e.com",
    array: (folder) => JovianDssArray.start({ folder, user, password, pool: "Pool-0" }),
    deploy: (port) =>
      new JovianDssCsi("joviandss", {
        image: "docker.io/opene/joviandss-csi:v1.1.0",
        endpoint: { addresses: ["127.0.0.1"], port, protocol: "http", allowHttp: true, user, password },
        iscsi: { addresses: ["127.0.0.1"] },
        pools: [{ name: "Pool-0" }],
        logLevel: "debug",
      }),
    parameters: {},
    defects: joviandssDefects,
    volumeBytes: 2 ** 26,
  },
  synology: {
    controller: { workload: "synology-csi-controller", container: "csi-plugin" },
    node: { workload: "synology-csi-node", container: "csi-plugin" },
    // SynologyOpenSource/synology-csi Dockerfile
    entryPoint: "/synology-csi-driver",
    programs: {},
    driverName: "csi.san.synology.com",
    array: (folder) => DsmArray.start({ folder, user, password }),
    deploy: (port) =>
      new SynologyCsi("synology", {
        arrays: [{ host: "127.0.0.1", port, https: false, allowHttp: true, username: user, password }],
        storageClasses: [{ name: "synology-iscsi-storage", location: "/volume1" }],
      }),
    defects: [],
    parameters: { protocol: "iscsi", location: "/volume1" },
    volumeBytes: 2 ** 30,
  },
} as const satisfies Record<string, DriverUnderTest>;

export type DriverName = keyof typeof drivers;
