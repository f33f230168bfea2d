/** Identifies the CSI drivers deployed by this program: the only place for their names and ports. */
export const csiDrivers = {
  joviandss: {
    /** The published driver's name (open-e/joviandss-kubernetescsi pkg/common/common.go, PluginName). */
    driverName: "iscsi.csi.joviandss.open-e.com",
    /** The default namespace, and the prefix of its objects' names. */
    prefix: "joviandss-csi",
    /** The first of its health ports, by default. */
    healthPort: 29810,
  },
  synology: {
    /** The published driver's name (synology-csi pkg/driver/driver.go, DriverName). */
    driverName: "csi.san.synology.com",
    prefix: "synology-csi",
    healthPort: 29800,
  },
} as const;
