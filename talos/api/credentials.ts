/** The client credentials of a talosconfig context; each value is base64 of PEM text, as in the file. */
export interface TalosCredentials {
  caCertificate: string;
  clientCertificate: string;
  clientKey: string;
}

/** The same as PEM that OpenSSL can read. */
export function pemCredentials(credentials: TalosCredentials): {
  ca: Buffer;
  certificate: Buffer;
  key: Buffer;
} {
  return {
    ca: decodePem(credentials.caCertificate),
    certificate: decodePem(credentials.clientCertificate),
    key: Buffer.from(relabelKey(decodePem(credentials.clientKey).toString("utf8"))),
  };
}

function decodePem(value: string): Buffer {
  return value.startsWith("-----BEGIN ") ? Buffer.from(value) : Buffer.from(value, "base64");
}

// Talos labels its Ed25519 keys "ED25519 PRIVATE KEY" (siderolabs/crypto x509), although the content is PKCS #8; OpenSSL accepts that content only with the
// label "PRIVATE KEY".
function relabelKey(pem: string): string {
  return pem.replace(/(BEGIN|END) ED25519 PRIVATE KEY/g, "$1 PRIVATE KEY");
}
