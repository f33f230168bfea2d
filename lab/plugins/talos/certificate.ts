import { X509Certificate } from "node:crypto";

/** Expiry of a certificate given as base64 of its PEM; `undefined` if it isn't a certificate. */
function expiryOf(certificate: string | undefined): Date | undefined {
  if (certificate === undefined || certificate === "") {
    return undefined;
  }
  try {
    return new Date(new X509Certificate(Buffer.from(certificate, "base64")).validTo);
  } catch {
    return undefined;
  }
}

export function expiresWithin(certificate: string | undefined, ms: number, now: Date): boolean {
  const expiry = expiryOf(certificate);
  return expiry !== undefined && expiry.getTime() < now.getTime() + ms;
}
