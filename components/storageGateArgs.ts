import { csiDrivers } from "../talos/csiDrivers.ts";

/** Whether the rollout's next node waits for the storage of the previous one. */
export interface StorageGateArgs {
  /** Default: enabled if a driver deployed by this program is registered on the node. */
  enabled?: boolean;
  /** Time limit for storage to recover, in seconds. Default: 300. */
  timeoutSeconds?: number;
}

const defaultTimeout = 300;

/**
 * The gate's settings as inputs; undefined if the provider's default applies, so that a stack from before the setting existed shows no change. The provider
 * recognizes this program's drivers by name: a JovianDSS pool with a custom driver name is passed here.
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
