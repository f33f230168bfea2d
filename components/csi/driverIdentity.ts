import { csiDrivers } from "../../talos/csiDrivers.ts";
import { healthPorts, portsPerDriver, type HealthPorts } from "./iscsiDriver.ts";
import { slug } from "./naming.ts";

/** What tells a driver from every other on the cluster. The component that deploys it and every check ask here. */
export interface DriverIdentity {
  /** The name it answers with: that of its CSIDriver object. */
  readonly driverName: string;
  /** First part of the names of its objects. */
  readonly prefix: string;
  readonly namespace: string;
  readonly healthPorts: HealthPorts;
  /** What stands at the end of the names that it shares with the driver of another pool; empty for the only one. */
  readonly suffix: string;
}

/** The JovianDSS driver of one pool: one with a `driver` of its own has names, a namespace and ports of its own. */
export function joviandssIdentity(
  settings: { readonly namespace: string; readonly healthPort: number },
  pool: { readonly name: string; readonly driver?: { readonly name: string } | undefined },
  index: number,
): DriverIdentity {
  const suffix = pool.driver === undefined ? "" : `-${slug(pool.name)}`;
  return {
    driverName: pool.driver?.name ?? csiDrivers.joviandss.driverName,
    prefix: `${csiDrivers.joviandss.prefix}${suffix}`,
    namespace: `${settings.namespace}${suffix}`,
    healthPorts: healthPorts(settings.healthPort + portsPerDriver * index),
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
