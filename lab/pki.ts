import { createPrivateKey, createPublicKey, webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

const DAY = 24 * 60 * 60 * 1000;

/** The key kinds that Talos itself uses: Ed25519 for its own API, P-256 for Kubernetes and etcd. */
export type KeyKind = "ed25519" | "ecdsa";

/** A certificate authority that can issue certificates. */
export interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
  /** The authority's own certificate, as PEM. */
  readonly pem: string;
}

/** A certificate and its private key, both as PEM. */
export interface Leaf {
  readonly certificate: string;
  readonly key: string;
}

/** What a leaf certificate is for, and its subject. */
export interface LeafRequest {
  readonly commonName: string;
  /** Kubernetes reads groups from these, Talos its roles. */
  readonly organizations?: readonly string[];
  readonly usages: readonly ("client" | "server")[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Default: "ecdsa". */
  readonly keyKind?: KeyKind;
  /** Validity in days. Default: 365. */
  readonly days?: number;
}

/** PEM text, given as is or in base64 as in a machine configuration. */
export function pemText(value: string): string {
  return value.includes("-----BEGIN") ? value : Buffer.from(value, "base64").toString("utf8");
}

/** The DER bytes (PKCS #8) of a private key in any PEM form that Talos writes. */
function privateKeyDer(pem: string): Buffer {
  // Talos labels its PKCS #8 Ed25519 keys "ED25519 PRIVATE KEY" (siderolabs/crypto x509), which OpenSSL does not know.
  const text = pemText(pem).replaceAll("ED25519 PRIVATE KEY", "PRIVATE KEY");
  return createPrivateKey(text).export({ type: "pkcs8", format: "der" });
}

/** The public half of a private key, as PEM. */
export function publicKeyPem(privateKey: string): string {
  return createPublicKey(pemText(privateKey)).export({ type: "spki", format: "pem" }).toString();
}

function keyParams(kind: string): {
  algorithm: webcrypto.EcKeyGenParams | webcrypto.Algorithm | webcrypto.RsaHashedImportParams;
  signing: webcrypto.Algorithm | webcrypto.EcdsaParams;
} {
  switch (kind) {
    case "ed25519":
      return { algorithm: { name: "Ed25519" }, signing: { name: "Ed25519" } };
    case "rsa":
      return {
        algorithm: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
        signing: { name: "RSASSA-PKCS1-v1_5" },
      };
    case "P-256":
    case "P-384":
    case "P-521":
      return {
        algorithm: { name: "ECDSA", namedCurve: kind },
        signing: { name: "ECDSA", hash: `SHA-${kind.slice(2).replace("521", "512")}` },
      };
    default:
      throw new Error(`a certificate authority with a key of type ${kind} is not supported here`);
  }
}

const CURVES: Record<string, string> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

/** The kind of a private key, as keyParams names it. */
function kindOf(der: Buffer): string {
  const key = createPrivateKey({ key: der, type: "pkcs8", format: "der" });
  const curve = key.asymmetricKeyDetails?.namedCurve;
  return curve === undefined ? (key.asymmetricKeyType ?? "unknown") : (CURVES[curve] ?? curve);
}

/** Loads an authority from its certificate and key (PEM, or base64 of PEM as in a machine configuration). */
export async function loadAuthority(pair: { crt: string; key: string }): Promise<Authority> {
  const pem = pemText(pair.crt);
  const der = privateKeyDer(pair.key);
  const { algorithm } = keyParams(kindOf(der));
  const key = await webcrypto.subtle.importKey("pkcs8", der, algorithm, true, ["sign"]);
  return { certificate: new x509.X509Certificate(pem), key, pem };
}

/** Creates a new self-signed authority. */
export async function createAuthority(commonName: string, kind: KeyKind = "ecdsa"): Promise<Authority> {
  const { algorithm, signing } = keyParams(kind === "ecdsa" ? "P-256" : kind);
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ O: [commonName] }],
    keys,
    signingAlgorithm: signing,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3650 * DAY),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, key: keys.privateKey, pem: certificate.toString("pem") };
}

/** Issues a certificate with a new key. */
export async function issueLeaf(authority: Authority, request: LeafRequest): Promise<Leaf> {
  const { algorithm } = keyParams(request.keyKind === "ed25519" ? "ed25519" : "P-256");
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
  const certificate = await certify(authority, keys.publicKey, request);
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    certificate: certificate.toString("pem"),
    key: x509.PemConverter.encode(der, "PRIVATE KEY"),
  };
}

/**
 * The authority's own key identifier, copied: Go has computed it with SHA-256 since 1.25, most others use SHA-1, and OpenSSL
 * finds no issuer if the two differ.
 */
function authorityKeyIdentifier(certificate: x509.X509Certificate): x509.Extension[] {
  const own = certificate.getExtension(x509.SubjectKeyIdentifierExtension);
  return own === null ? [] : [new x509.AuthorityKeyIdentifierExtension(own.keyId)];
}

/** Signs a certificate for the caller's public key (from a certificate signing request, for example). */
async function certify(
  authority: Authority,
  publicKey: webcrypto.CryptoKey | x509.PublicKey,
  request: LeafRequest,
): Promise<x509.X509Certificate> {
  const names: x509.JsonGeneralNames = [
    ...(request.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const usages = request.usages.map((usage) =>
    usage === "client" ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
  );
  const organizations = request.organizations ?? [];
  const caKind =
    authority.key.algorithm.name === "ECDSA"
      ? (authority.key.algorithm as webcrypto.EcKeyAlgorithm).namedCurve
      : undefined;
  const { signing } = keyParams(caKind ?? (authority.key.algorithm.name === "Ed25519" ? "ed25519" : "rsa"));
  return x509.X509CertificateGenerator.create({
    subject: [...(organizations.length > 0 ? [{ O: [...organizations] }] : []), { CN: [request.commonName] }],
    // The authority's own encoded name: verifiers compare the bytes, and the name of a Talos aggregator CA is empty.
    issuer: authority.certificate.subjectName,
    publicKey,
    signingKey: authority.key,
    signingAlgorithm: signing,
    // Backdated by a minute, so that a client whose clock is slightly behind doesn't reject it.
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + (request.days ?? 365) * DAY),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      new x509.ExtendedKeyUsageExtension(usages),
      ...authorityKeyIdentifier(authority.certificate),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
}
