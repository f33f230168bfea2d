import { isTransient, TalosError } from "../talos/api/errors.ts";
import type { TalosReader } from "../talos/api/talosClient.ts";

// A machine in maintenance mode presents a self-signed certificate.
const selfSignedPattern = /self.signed|unable to (verify|get)|unknown authority/i;

/** A machine answers without authentication: it has no configuration. */
export async function isInMaintenanceMode(
  error: unknown,
  talos: Pick<TalosReader, "inMaintenance">,
): Promise<boolean> {
  if (!isTransient(error) && !(error instanceof TalosError && error.kind === "certificate")) return false;
  return talos.inMaintenance();
}

/**
 * A machine answers with a certificate that is not this cluster's: it is in maintenance mode, or belongs to another cluster. Undefined for every other failure,
 * including an expired or rejected client certificate.
 */
export async function untrustedServerCertificate(
  error: unknown,
  talos: Pick<TalosReader, "diagnose">,
): Promise<string | undefined> {
  if (!(error instanceof TalosError)) return undefined;
  if (error.kind === "certificate") return selfSignedPattern.test(error.detail) ? error.detail : undefined;
  if (error.kind !== "unreachable") return undefined;
  const message = await talos.diagnose();
  return message !== undefined && selfSignedPattern.test(message) ? message : undefined;
}
