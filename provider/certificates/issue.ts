import { coded } from "../../talos/errorCodes.ts";
import { createPrivateKey, createPublicKey, hash, hkdfSync, webcrypto, X509Certificate } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { pemCredentials, type TalosCredentials } from "../../talos/api/credentials.ts";

x509.cryptoProvider.set(webcrypto);

/** The CA of a cluster's Talos API: PEM, or base64 of it. */
export interface TalosAuthority {
  readonly cert: string;
  readonly key: string;
}

/** Why no credentials can be issued: one sentence that never contains a key. */
export class IssueError extends Error {
  override readonly name = "IssueError";

  constructor(problem: string, advice?: string) {
    super(coded("renew-credentials", problem, advice));
  }
}

const day = 24 * 3600 * 1000;
/** How long the same credentials are reissued. */
const periodDays = 180;
const validDays = 365;
/** PKCS #8 of an Ed25519 key, up to its 32 bytes (RFC 8410). */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");
const algorithm = { name: "Ed25519" };

/**
 * Credentials for the Talos API, role os:admin, as `talosctl gen config` creates them: an Ed25519 key and a one-year certificate signed by the cluster's CA. No
 * node is contacted or needs to know.
 *
 * The key is derived from the CA's key (HKDF), so a preview, its deployment and the next preview get the same credentials without storing them. They change
 * every 180 days. Anyone with the CA's key can issue them.
 * @param now milliseconds since 1970
 */
export async function issueCredentials(authority: TalosAuthority, now: number): Promise<TalosCredentials> {
  const { ca, caKey, pem } = parseAuthority(authority, now);
  const begin = Math.floor(now / (periodDays * day)) * periodDays * day;
  const caSeed = caKey.subarray(pkcs8.length);
  const info = `talos-iscsi os:admin client certificate ${new Date(begin).toISOString()}`;
  const seed = Buffer.from(hkdfSync("sha256", caSeed, Buffer.from(ca.rawData), info, 32));
  const key = Buffer.concat([pkcs8, seed]);
  const publicKey = await publicKeyOf(key);
  const signingKey = await webcrypto.subtle.importKey("pkcs8", caKey, algorithm, false, ["sign"]);
  const identifier = ca.getExtension(x509.SubjectKeyIdentifierExtension);
  const certificate = await x509.X509CertificateGenerator.create({
    // Positive, as RFC 5280 requires, and derived from the key, so that every key gets its own number.
    serialNumber: `01${hash("sha256", seed, "hex").slice(0, 30)}`,
    subject: [{ O: ["os:admin"] }],
    // The CA's name exactly as encoded: verifiers compare the bytes.
    issuer: ca.subjectName,
    publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    // Backdated by a day: node clocks differ.
    notBefore: new Date(begin - day),
    notAfter: new Date(Math.min(begin + validDays * day, ca.notAfter.getTime())),
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
      ...(identifier === null ? [] : [new x509.AuthorityKeyIdentifierExtension(identifier.keyId)]),
    ],
  });
  return {
    caCertificate: pem.toString("base64"),
    clientCertificate: base64(certificate.toString("pem")),
    // Talos's PEM type for such a key (siderolabs/crypto x509).
    clientKey: base64(x509.PemConverter.encode(key, "ED25519 PRIVATE KEY")),
  };
}

function parseAuthority({ cert, key }: TalosAuthority, now: number) {
  const pem = pemCredentials({ caCertificate: cert, clientCertificate: cert, clientKey: key });
  const ca = parseOrIssueError("certificate", () => new x509.X509Certificate(pem.ca.toString("utf8")));
  const signing = parseOrIssueError("key", () => createPrivateKey(pem.key));
  if (signing.asymmetricKeyType !== "ed25519")
    throw new IssueError(
      `the CA of the cluster's Talos API has a key of type ${String(signing.asymmetricKeyType)}; cluster.renewCredentials supports Ed25519 keys, which Talos generates`,
      "Provide a new talosconfig (cluster.secrets.talosconfig) instead.",
    );
  // Nodes would reject what it signs.
  if (!new X509Certificate(pem.ca).checkPrivateKey(signing))
    throw new IssueError(
      "cluster.renewCredentials needs the CA of the cluster's Talos API, and its key does not belong to its certificate in the cluster's secrets (certs.os)",
      "Take both from one file, as after a rotation (docs/adopt.md).",
    );
  if (ca.notAfter.getTime() <= now)
    throw new IssueError(
      `the CA of the cluster's Talos API expired on ${ca.notAfter.toISOString().slice(0, 10)}`,
      "Rotate it (docs/adopt.md).",
    );
  return { ca, caKey: signing.export({ type: "pkcs8", format: "der" }), pem: pem.ca };
}

function parseOrIssueError<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch {
    // The libraries' errors quote their input.
    throw new IssueError(
      `cluster.renewCredentials needs the CA of the cluster's Talos API, and its ${what} in the cluster's secrets (certs.os) cannot be read`,
    );
  }
}

async function publicKeyOf(key: Buffer): Promise<webcrypto.CryptoKey> {
  const spki = createPublicKey(createPrivateKey({ key, format: "der", type: "pkcs8" }));
  return webcrypto.subtle.importKey("spki", spki.export({ type: "spki", format: "der" }), algorithm, true, [
    "verify",
  ]);
}

function base64(text: string): string {
  return Buffer.from(text.endsWith("\n") ? text : `${text}\n`).toString("base64");
}
