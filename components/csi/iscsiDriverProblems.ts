import { imageProblem } from "./imageReference.ts";
import type { IscsiDriver } from "./iscsiDriver.ts";
import { belongsToKubernetes } from "./naming.ts";
import type { Problem } from "./problems.ts";

/** What no iSCSI driver on Talos may request. Paths are those of the description. */
export function driverProblems(driver: IscsiDriver, workloadIsolation: boolean): Problem[] {
  const problems: Problem[] = [];
  const image = imageProblem(driver.image);
  if (image !== undefined) problems.push({ path: "image", reason: image });
  if (workloadIsolation && driver.iscsiadm.strategy === "nsenter") {
    problems.push({ path: "iscsiadm.strategy", reason: nsenterReason });
  }
  if (belongsToKubernetes(driver.namespace)) {
    problems.push({
      path: "namespace",
      reason: `${driver.namespace} belongs to Kubernetes and would be deleted with the driver; use a dedicated namespace`,
    });
  }
  for (const part of ["controller", "node"] as const) {
    for (const [index, { name }] of (driver[part].plugin.volumes ?? []).entries()) {
      const path = `${part}.plugin.volumes[${index}].name`;
      if (ownVolumes.includes(name)) {
        problems.push({
          path,
          reason: `${name} is a volume name that every driver already uses; use another name`,
        });
      }
    }
  }
  return problems;
}

const ownVolumes = [
  "socket-dir",
  "registration-dir",
  "kubelet-dir",
  "host-root",
  "device-dir",
  "config",
  "shims",
];

/** Why nsenter cannot work with workload isolation. */
export const nsenterReason =
  "nsenter needs to see the process iscsid, but with workload isolation (clusters created with Talos 1.14 or newer) no pod can, even with hostPID. Use chroot or, if the driver does not support it, turn isolation off on every node with a patch (kind: SecurityProfileConfig, workloadIsolation: false)";
