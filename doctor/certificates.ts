import { X509Certificate } from "node:crypto";
import type { Certificate, Finding } from "./verdict.ts";

/** How many days before its end a certificate is worth a warning: two of the usual monthly maintenance windows. */
const warnDays = 60;
const day = 86_400_000;

/** The end of a certificate; undefined where it is none. @param base64 PEM text, as talosconfig and kubeconfig have it */
export function readCertificate(of: string, base64: string, now: Date): Certificate | undefined {
  try {
    const { validToDate } = new X509Certificate(Buffer.from(base64, "base64"));
    return {
      of,
      expires: validToDate.toISOString(),
      days: Math.floor((validToDate.getTime() - now.getTime()) / day),
    };
  } catch {
    return undefined;
  }
}

export function certificateFindings(certificates: readonly Certificate[]): Finding[] {
  return certificates.flatMap(({ of, expires, days }): Finding[] => {
    const date = expires.slice(0, 10);
    if (days < 0)
      return [
        { severity: "problem", nodes: [], text: `the client certificate of the ${of} expired on ${date}` },
      ];
    if (days >= warnDays) return [];
    return [
      {
        severity: "warning",
        nodes: [],
        text: `the client certificate of the ${of} expires on ${date}, in ${days} days. Renew it before then: afterwards, only the cluster's secrets give you access`,
      },
    ];
  });
}
