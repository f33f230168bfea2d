import { expect, it } from "vitest";
import { hintForUnanswered } from "../../../provider/unansweredHint.ts";

const away = /Check that the node is on/;

it.each([
  // After `pulumi destroy` on machines that were kept, and with machines of another cluster.
  ["self-signed certificate in certificate chain (SELF_SIGNED_CERT_IN_CHAIN)", /pulumi destroy.*Reset it/],
  ["unable to verify the first certificate (UNABLE_TO_VERIFY_LEAF_SIGNATURE)", /another cluster/],
  ["certificate has expired (CERT_HAS_EXPIRED)", /clock/],
  ["certificate is not yet valid (CERT_NOT_YET_VALID)", /clock/],
  ["the node does not accept the client certificate: tlsv1 alert unknown ca", /talosconfig/],
  // Issued from the secrets of before a CA rotation.
  ["the node does not accept the client certificate: tlsv1 alert unknown ca", /the CA in cluster\.secrets/],
])("%s: the advice fits a node that is up", (reason, advice) => {
  expect(hintForUnanswered(reason)).toMatch(advice);
  expect(hintForUnanswered(reason)).not.toMatch(away);
});

it.each(["connect ECONNREFUSED 10.0.0.11:50000", "Deadline exceeded", "connect EHOSTUNREACH"])(
  "%s: the advice fits a node that is down",
  (reason) => {
    expect(hintForUnanswered(reason)).toMatch(away);
  },
);

it.each([
  "its endpoint lb.example.org:443 does not answer",
  "none of its endpoints answers: 10.0.0.11, 10.0.0.12",
])("%s: the advice is about the endpoint, not the node", (reason) => {
  expect(hintForUnanswered(reason)).toMatch(/endpoint is on.*nothing is known about the node/);
  expect(hintForUnanswered(reason)).not.toMatch(away);
});
