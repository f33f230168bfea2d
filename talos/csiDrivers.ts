/** What tells the CSI drivers that this program deploys from all others: the only place for their names and ports. */
export const csiDrivers = {
  joviandss: {
    /** The name in the published driver (open-e/joviandss-kubernetescsi pkg/common/common.go, PluginName). */
    driverName: "iscsi.csi.joviandss.open-e.com",
    /** The default namespace, and the first part of the names of its objects. */
    prefix: "joviandss-csi",
    /** The first of its health ports, by default. */
    healthPort: 29810,
  },
  synology: {
    /** The name in the published driver (synology-csi pkg/driver/driver.go, DriverName). */
    driverName: "csi.san.synology.com",
    prefix: "synology-csi",
    healthPort: 29800,
  },
} as const;
