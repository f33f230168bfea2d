import { createAuthority, issueLeaf, loadAuthority, pemText } from "../../pki.ts";
import type { ApidIdentity } from "./apid.ts";
import type { Network } from "../machine/machine.ts";
import type { MachineConfig } from "../machine/machineConfig.ts";
import { impersonator } from "./roles.ts";

interface Names {
  address: string;
  hostname: string;
}

/** A self-signed certificate: maintenance mode has no CA yet. */
export async function maintenanceIdentity({ address, hostname }: Names): Promise<ApidIdentity> {
  const self = await createAuthority("talos", "ed25519");
  const leaf = await issueLeaf(self, {
    commonName: hostname,
    usages: ["server"],
    dnsNames: [hostname],
    ipAddresses: [address],
    keyKind: "ed25519",
  });
  return { certificate: leaf.certificate, key: leaf.key };
}

/**
 * The certificates of a configured node's API. A worker doesn't have the machine CA's key and asks a
 * control plane; undefined while none answers.
 */
export async function configuredIdentity(
  config: MachineConfig,
  { address, hostname }: Names,
  network: Network,
  faults: { clockSkewed: boolean; refusesCertificates: boolean },
): Promise<ApidIdentity | undefined> {
  const { crt, key } = config.machineCa;
  const authority = key === undefined ? await network.issuer(crt) : await loadAuthority({ crt, key });
  if (authority === undefined) return undefined;
  // The clock is off: clients with a correct clock see an expired certificate.
  const days = faults.clockSkewed ? -0.5 : 365;
  const isAddress = (san: string): boolean => /^[0-9.]+$|:/.test(san);
  const server = await issueLeaf(authority, {
    commonName: hostname,
    usages: ["server"],
    dnsNames: [...new Set([hostname, ...config.certSans.filter((san) => !isAddress(san))])],
    ipAddresses: [...new Set([address, ...config.certSans.filter(isAddress)])],
    keyKind: "ed25519",
    days,
  });
  const accepted = faults.refusesCertificates
    ? [(await createAuthority("talos", "ed25519")).pem]
    : [crt, ...config.acceptedCas].map(pemText);
  const identity = { certificate: server.certificate, key: server.key, clientAuthorities: accepted };
  if (key === undefined) return identity;
  const client = await issueLeaf(authority, {
    commonName: hostname,
    organizations: [impersonator],
    usages: ["client"],
    keyKind: "ed25519",
    days,
  });
  return {
    ...identity,
    // During a CA rotation, another node's certificate may still be from the old CA.
    forwarding: { authority: accepted.join("\n"), certificate: client.certificate, key: client.key },
  };
}
