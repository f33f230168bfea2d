import { X509Certificate } from "node:crypto";
import { parse } from "yaml";

const day = 24 * 3600 * 1000;

/** Days before a client certificate's expiry from which to warn: enough for a stack that is deployed every other week. */
const noticeDays = 60;

/** When a certificate (PEM, or base64 of it) expires; undefined if it is invalid. */
function expiryOf(certificate: string): Date | undefined {
  return parseCertificate(certificate)?.validToDate;
}

function parseCertificate(certificate: string): X509Certificate | undefined {
  try {
    const pem = certificate.startsWith("-----BEGIN") ? certificate : Buffer.from(certificate, "base64");
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** The Talos roles of a client certificate (siderolabs/talos pkg/machinery/role): its organizations. Empty if it is invalid. */
export function talosRoles(certificate: string): string[] {
  const subject = parseCertificate(certificate)?.subject ?? "";
  // Several organizations are one part of the name, as Go writes them.
  return subject.split(/\n| \+ /).flatMap((part) => /^O=(os:.+)$/.exec(part)?.[1] ?? []);
}

/** The client certificate of a kubeconfig's first user; undefined if it has none, as with a token or a login command. */
export function clientCertificateOf(kubeconfig: string): string | undefined {
  try {
    const { users } = parse(kubeconfig) as { users?: { user?: Record<string, unknown> }[] };
    const data = users?.[0]?.user?.["client-certificate-data"];
    return typeof data === "string" ? data : undefined;
  } catch {
    return undefined;
  }
}

/** A certificate's expiry; `undefined` while there is time. */
export type Expiry = { readonly on: string; readonly days: number; readonly isOver: boolean } | undefined;

/** @param now milliseconds since 1970 */
export function expiryNotice(certificate: string | undefined, now: number, days = noticeDays): Expiry {
  const end = certificate === undefined ? undefined : expiryOf(certificate);
  if (end === undefined || end.getTime() > now + days * day) return undefined;
  return {
    on: end.toISOString().slice(0, 10),
    days: Math.max(0, Math.floor((end.getTime() - now) / day)),
    isOver: end.getTime() <= now,
  };
}
