import { isTransient, TalosError } from "../talos/api/errors.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";

// A machine in maintenance mode presents a certificate that it has signed itself.
const selfSignedPattern = /self.signed|unable to (verify|get)|unknown authority/i;

/** A machine answers, and lets anyone in: it has no configuration. */
export async function isInMaintenanceMode(
  error: unknown,
  talos: Pick<TalosReader, "inMaintenance">,
): Promise<boolean> {
  if (!isTransient(error) && !(error instanceof TalosError && error.kind === "certificate")) return false;
  return talos.inMaintenance();
}

/**
 * A machine answers, with a certificate that is not one of this cluster: it waits in maintenance mode, or belongs to another cluster. Undefined for
 * every other failure, an expired or refused client certificate among them.
 */
export async function untrustedServerCertificate(
  error: unknown,
  talos: Pick<TalosReader, "diagnose">,
): Promise<string | undefined> {
  if (!(error instanceof TalosError)) return undefined;
  if (error.kind === "certificate") return selfSignedPattern.test(error.detail) ? error.detail : undefined;
  if (error.kind !== "unreachable") return undefined;
  const told = await talos.diagnose();
  return told !== undefined && selfSignedPattern.test(told) ? told : undefined;
}
