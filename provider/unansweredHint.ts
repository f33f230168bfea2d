import { coded, type CodedText } from "../talos/errorCodes.ts";

// The wording of TLS libraries (OpenSSL through Node), and what diagnoseTls adds.
const otherAuthorityPattern = /self.signed|unable to (verify|get)|unknown authority/i;
const clientRefusedPattern = /does not accept the client certificate/i;
// The transport's wording when no endpoint for the node answers (talos/api/transport.ts).
const endpointsDownPattern = /its endpoint .* does not answer|none of its endpoints answers/;
// siderolabs/talos v1.13 pkg/grpc/middleware/authz
const deniedPattern = /\bnot authorized\b/;
const clockPattern = /expired|not yet valid|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/i;

/** For a node that refuses what only the role os:admin may do; undefined for every other reason. */
export function accessHint(reason: string): string | undefined {
  return deniedPattern.test(reason) ? "The talosconfig needs the role os:admin." : undefined;
}

/**
 * What to do about a node that could not be reached, by the observed reason. A node that answers with the wrong certificate is up, so restarting it doesn't
 * help.
 */
export function hintForUnanswered(reason: string): string {
  if (clientRefusedPattern.test(reason))
    return "The node is up. Check that the talosconfig, or with cluster.renewCredentials the CA in cluster.secrets, belongs to this node's cluster and has not expired, and that the clocks of the node and this machine agree.";
  const access = accessHint(reason);
  if (access !== undefined) return access;
  if (clockPattern.test(reason))
    return "The node is up. Check that the clocks of the node and this machine agree, and when the certificates expire.";
  if (otherAuthorityPattern.test(reason))
    return (
      "The node is up, but its certificate is not from this stack's cluster: the machine still belongs to another cluster, or to one whose secrets `pulumi destroy` deleted. " +
      "Reset it with that cluster's talosconfig, boot it from the ISO and wipe its disk, or adopt that cluster with its own secrets (docs/adopt.md)."
    );
  return endpointsDownPattern.test(reason)
    ? "Check that its endpoint is on and that this machine can reach it; nothing is known about the node."
    : "Check that the node is on and that this machine can reach its Talos API (port 50000, or its endpoint).";
}

/** For a refresh. */
export function unreadWarning(label: string, reason: string): CodedText {
  return coded("node-unreachable", `${label} could not be read; its state is unchanged: ${reason}`);
}

export function importRefused(id: string): CodedText {
  return coded(
    "import-unsupported",
    `${id}: a NodeUpgrade cannot be imported, since reading a node needs credentials`,
    "Declare it instead: a node that already runs the wanted image is left as it is.",
  );
}
