import { X509Certificate } from "node:crypto";

/** When a certificate, base64 of its PEM, runs out; `undefined` if it is none. */
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
