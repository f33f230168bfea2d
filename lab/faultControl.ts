import { isClusterFaultId } from "./clusterFaults.ts";
import { isFaultId } from "./node/machine/faults.ts";
import type { Lab } from "./lab.ts";
import { isStorageFaultId } from "./storageFaults.ts";

/** A fault to set or lift, on one machine or in its Kubernetes. */
export interface FaultRequest {
  node: string;
  fault: string;
  value?: number;
  once?: boolean;
  /** Lift it instead of setting it; `fault: "all"` lifts every fault. */
  lift?: boolean;
}

/** Answers the fault commands in the lab's process. */
export async function handleFault(lab: Lab, path: string, body: unknown): Promise<unknown> {
  if (path !== "/fault") throw new Error(`the lab knows no ${path}`);
  const { node: name, fault, value, once, lift } = body as FaultRequest;
  const node = lab.node(name);
  const { clusterFaults, storageFaults } = lab;
  if (lift === true) {
    if (fault !== "all" && !isFaultId(fault) && !isClusterFaultId(fault) && !isStorageFaultId(fault))
      throw new Error(`there is no fault "${fault}"; see: npm run lab -- faults`);
    if (fault === "all" || isFaultId(fault)) node.faults.clear(fault === "all" ? undefined : fault);
    if (fault === "all" || isClusterFaultId(fault))
      await clusterFaults.lift(name, fault === "all" ? undefined : fault);
    if (fault === "all" || isStorageFaultId(fault))
      await storageFaults.lift(name, fault === "all" ? undefined : fault);
  } else if (isStorageFaultId(fault)) {
    await storageFaults.set(name, fault);
  } else if (isClusterFaultId(fault)) {
    await clusterFaults.set(name, fault);
  } else {
    node.faults.set(fault, {
      ...(value === undefined ? {} : { value }),
      ...(once === undefined ? {} : { once }),
    });
  }
  return {
    faults: [
      ...node.faults.active().map(({ id }) => id),
      ...clusterFaults.active(name),
      ...storageFaults.active(name),
    ],
  };
}
