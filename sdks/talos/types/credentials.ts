import type * as pulumi from "@pulumi/pulumi";

/** What a client of the Talos API (apid) presents and trusts: the fields of a talosconfig context, also base64 of PEM. */
export interface TalosCredentials {
  /** The CA that signed the machines' API certificates. */
  caCertificate: string;
  /** The certificate of the client; its organizations are its Talos roles (`os:admin`, …). */
  clientCertificate: string;
  /** The private key of that certificate. Secret. */
  clientKey: string;
}

/** {@link TalosCredentials} whose fields may be outputs of other resources. */
export interface TalosCredentialsArgs {
  /** The CA that signed the machines' API certificates. */
  caCertificate: pulumi.Input<string>;
  /** The certificate of the client; its organizations are its Talos roles (`os:admin`, …). */
  clientCertificate: pulumi.Input<string>;
  /** The private key of that certificate. Secret. */
  clientKey: pulumi.Input<string>;
}

/** How to reach the Kubernetes API as an administrator, as separate fields for the Kubernetes provider's settings. */
export interface KubernetesCredentials {
  /** The CA that signed the Kubernetes API server's certificate, base64 of PEM. */
  caCertificate: string;
  /** The administrator's certificate, base64 of PEM. */
  clientCertificate: string;
  /** The private key of that certificate, base64 of PEM. Secret. */
  clientKey: string;
  /** The URL of the Kubernetes API, for example `https://10.0.0.10:6443`. */
  host: string;
}
