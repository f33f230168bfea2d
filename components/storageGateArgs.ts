import { csiDrivers } from "../talos/csiDrivers.ts";

/** Whether the rollout's next node waits for the storage of the one before. */
export interface StorageGateArgs {
  /** Default: on where a driver that this program deploys is registered on the node. */
  enabled?: boolean;
  /** How long storage may take to be well again, in seconds. Default: 300. */
  timeoutSeconds?: number;
}

const defaultTimeout = 300;

/**
 * The settings of the gate as inputs; undefined where the provider's own rule does, so that a stack from before the setting existed shows no change.
 * The provider knows this program's drivers by their names: a JovianDSS pool with a driver name of its own is told here.
 */
export function storageGateArgs(
  gate: { enabled?: boolean | undefined; timeout: number },
  joviandss?: { readonly pools?: readonly { readonly driver?: { readonly name: string } | undefined }[] },
): StorageGateArgs | undefined {
  const own = csiDrivers.joviandss.driverName;
  const names = (joviandss?.pools ?? []).map(({ driver }) => driver?.name ?? own);
  const renamed = names.length > 0 && !names.includes(own);
  const enabled = gate.enabled ?? (renamed ? true : undefined);
  if (enabled === undefined && gate.timeout === defaultTimeout) return undefined;
  return {
    ...(enabled === undefined ? {} : { enabled }),
    ...(gate.timeout === defaultTimeout ? {} : { timeoutSeconds: gate.timeout }),
  };
}
