/** A role, as in the organizations of a client certificate. */
export type Role = string;

export const admin: Role = "os:admin";
const operator: Role = "os:operator";
export const reader: Role = "os:reader";
/** apid's own role: it forwards calls on behalf of others. */
export const impersonator: Role = "os:impersonator";

const readers = [admin, operator, reader];
const operators = [admin, operator];

/** Who may call what (siderolabs/talos v1.13 services/machined.go). Calls that aren't listed are for administrators. */
const rules: Record<string, readonly Role[]> = {
  "/cluster.ClusterService/HealthCheck": readers,
  "/machine.ImageService/List": readers,
  "/machine.ImageService/Pull": operators,
  // A reader may apply only in maintenance mode; the call itself checks that.
  "/machine.MachineService/ApplyConfiguration": [admin, reader],
  "/machine.MachineService/Dmesg": readers,
  "/machine.MachineService/EtcdAlarmList": readers,
  "/machine.MachineService/EtcdAlarmDisarm": operators,
  "/machine.MachineService/EtcdMemberList": readers,
  "/machine.MachineService/EtcdSnapshot": operators,
  "/machine.MachineService/EtcdStatus": readers,
  "/machine.MachineService/Events": readers,
  "/machine.MachineService/Hostname": readers,
  "/machine.MachineService/ImageList": readers,
  "/machine.MachineService/ImagePull": operators,
  "/machine.MachineService/List": readers,
  "/machine.MachineService/Logs": readers,
  "/machine.MachineService/Memory": readers,
  "/machine.MachineService/Mounts": readers,
  "/machine.MachineService/Reboot": operators,
  "/machine.MachineService/ServiceList": readers,
  "/machine.MachineService/ServiceRestart": operators,
  "/machine.MachineService/ServiceStart": operators,
  "/machine.MachineService/ServiceStop": operators,
  "/machine.MachineService/Shutdown": operators,
  "/machine.MachineService/Version": readers,
  "/storage.StorageService/Disks": readers,
  "/cosi.resource.State/Get": readers,
  "/cosi.resource.State/List": readers,
  "/cosi.resource.State/Watch": readers,
};

export function mayCall(path: string, roles: ReadonlySet<Role>): boolean {
  return (rules[path] ?? [admin]).some((role) => roles.has(role));
}

/** The calls that the maintenance service of Talos 1.12 and older offers to network clients. */
export const oldMaintenanceApi: ReadonlySet<string> = new Set([
  "/machine.MachineService/ApplyConfiguration",
  "/storage.StorageService/Disks",
  "/cosi.resource.State/Get",
  "/cosi.resource.State/List",
  "/cosi.resource.State/Watch",
]);
