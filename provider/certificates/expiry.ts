import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { coded } from "../../talos/errorCodes.ts";
import { pemCredentials, type TalosCredentials } from "../../talos/api/credentials.ts";
import { clientCertificateOf, expiryNotice, talosRoles } from "../../talos/clientCertificates.ts";
import type { CheckFailure } from "../check.ts";
import type { StatusSink } from "../progress.ts";
import { hasUnknown, type Properties } from "../secrets.ts";

/**
 * Warns about a client certificate that expires within 60 days; an expired one blocks the deployment. Uses only the certificate and this machine's clock: no
 * node is contacted, so a node's wrong clock isn't noticed.
 */
interface ExpiryCheck {
  readonly name: string;
  readonly certificate: string | undefined;
  readonly fix: string;
  /** If there is another one after the expiry. */
  readonly lateFix?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly sink: StatusSink;
}

function checkExpiry({ name, certificate, fix, lateFix = fix, now, sink }: ExpiryCheck): CheckFailure[] {
  const expiry = expiryNotice(certificate, now);
  if (expiry === undefined) return [];
  if (!expiry.isOver) {
    sink.warn(
      coded(
        "certificate-expires",
        `the client certificate of the ${name} expires on ${expiry.on}, in ${expiry.days} days`,
        fix,
      ),
    );
    return [];
  }
  // Names no property: engines print its value.
  const reason = coded(
    "certificate-expired",
    `the client certificate of the ${name} expired on ${expiry.on}; the cluster cannot be managed with it`,
    lateFix,
  );
  return [{ property: "", reason }];
}

const renewal =
  "Set cluster.renewCredentials: true, which issues new credentials from the cluster's CA without touching a node, or provide a new talosconfig";

/** The credentials for the Talos API. */
export function checkTalosconfigExpiry(
  { clientConfiguration }: Properties,
  now: number,
  sink: StatusSink,
): CheckFailure[] {
  if (hasUnknown(clientConfiguration)) return [];
  return checkExpiry({
    name: "talosconfig",
    certificate: (clientConfiguration as TalosCredentials | undefined)?.clientCertificate,
    fix: `${renewal} (talosctl config new, cluster.secrets.talosconfig).`,
    // `talosctl config new` asks a node, which rejects the expired certificate.
    lateFix: `${renewal} (talosctl gen config --with-secrets secrets.yaml --output-types talosconfig, cluster.secrets.talosconfig).`,
    ...{ now, sink },
  });
}

/** Damaged credentials, or an encrypted key, can't reach any node: a refresh would only warn of each, and an unchanged preview ask none. */
export function checkTalosconfigUsable({ clientConfiguration }: Properties): CheckFailure[] {
  if (clientConfiguration === undefined || hasUnknown(clientConfiguration)) return [];
  try {
    const { ca, certificate: cert, key } = pemCredentials(clientConfiguration as TalosCredentials);
    new X509Certificate(ca); // a secure context ignores a damaged one
    createSecureContext({ cert, key });
    return [];
  } catch (error) {
    const seen = error instanceof Error ? error.message : String(error);
    const reason = coded(
      "node-certificate",
      `the certificates or the key of the talosconfig cannot be used: ${seen}`,
      `Copy the talosconfig again, with an unencrypted key. ${renewal}.`,
    );
    return [{ property: "", reason }];
  }
}

/**
 * Talos lets only os:admin read and apply machine configurations, and install images (siderolabs/talos v1.13 services/machined.go). A certificate without a
 * role may do everything in a cluster without RBAC.
 */
export function checkTalosconfigRole(
  { clientConfiguration }: Properties,
  changesNodes: boolean,
  sink: StatusSink,
): CheckFailure[] {
  if (hasUnknown(clientConfiguration)) return [];
  const roles = talosRoles((clientConfiguration as TalosCredentials | undefined)?.clientCertificate ?? "");
  if (roles.length === 0 || roles.includes("os:admin")) return [];
  const reason = coded(
    "node-access-denied",
    `the talosconfig has only the role ${roles.join(", ")}; changing nodes needs os:admin`,
    "Provide a talosconfig with os:admin, or set cluster.renewCredentials: true, which issues one from the cluster's CA.",
  );
  if (changesNodes) return [{ property: "", reason }];
  sink.warn(reason);
  return [];
}

/** The kubeconfig. If this deployment renews it, it isn't known beforehand. */
export function checkKubeconfigExpiry(
  { kubeconfig }: Properties,
  now: number,
  sink: StatusSink,
): CheckFailure[] {
  if (typeof kubeconfig !== "string" || hasUnknown(kubeconfig)) return [];
  return checkExpiry({
    name: "kubeconfig",
    certificate: clientCertificateOf(kubeconfig),
    fix: "`pulumi up` fetches a new one in its last 30 days, or its last 60 with cluster.renewCredentials: true; do not exclude the Kubeconfig resource with --target.",
    ...{ now, sink },
  });
}
