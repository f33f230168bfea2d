import { csiDrivers } from "../../talos/csiDrivers.ts";
import { healthPorts, portsPerDriver, type HealthPorts } from "./iscsiDriver.ts";
import { slug } from "./naming.ts";

/** What distinguishes a driver from every other on the cluster. The component that deploys it and every check use this. */
export interface DriverIdentity {
  /** The CSI driver name: that of its CSIDriver object. */
  readonly driverName: string;
  /** Prefix of its objects' names. */
  readonly prefix: string;
  readonly namespace: string;
  readonly healthPorts: HealthPorts;
  /** Suffix of the names shared with another pool's driver; empty if there is only one. */
  readonly suffix: string;
}

/** The JovianDSS driver of one pool: with its own `driver`, it has its own names, namespace and ports. */
export function joviandssIdentity(
  settings: { readonly namespace: string; readonly healthPort: number },
  pool: {
    readonly name: string;
    readonly driver?: { readonly name: string } | undefined;
    readonly healthPort?: number | undefined;
  },
  index: number,
): DriverIdentity {
  const suffix = pool.driver === undefined ? "" : `-${slug(pool.name)}`;
  return {
    driverName: pool.driver?.name ?? csiDrivers.joviandss.driverName,
    prefix: `${csiDrivers.joviandss.prefix}${suffix}`,
    namespace: `${settings.namespace}${suffix}`,
    healthPorts: healthPorts(pool.healthPort ?? settings.healthPort + portsPerDriver * index),
    suffix,
  };
}

/** The Synology driver. */
export function synologyIdentity(settings: {
  readonly namespace: string;
  readonly healthPort: number;
}): DriverIdentity {
  return {
    driverName: csiDrivers.synology.driverName,
    prefix: csiDrivers.synology.prefix,
    namespace: settings.namespace,
    healthPorts: healthPorts(settings.healthPort),
    suffix: "",
  };
}
