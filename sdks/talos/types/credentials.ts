import type * as pulumi from "@pulumi/pulumi";

/** What a client of the Talos API (apid) shows and trusts: the fields of a talosconfig's context, base64 of PEM as there. */
export interface TalosCredentials {
  /** The CA that signed the machines' API certificates. */
  caCertificate: string;
  /** The certificate of the client; its organizations are its Talos roles (`os:admin`, …). */
  clientCertificate: string;
  /** The private key of that certificate. Secret. */
  clientKey: string;
}

/** {@link TalosCredentials} that may come from another resource. */
export interface TalosCredentialsArgs {
  /** The CA that signed the machines' API certificates. */
  caCertificate: pulumi.Input<string>;
  /** The certificate of the client; its organizations are its Talos roles (`os:admin`, …). */
  clientCertificate: pulumi.Input<string>;
  /** The private key of that certificate. Secret. */
  clientKey: pulumi.Input<string>;
}

/** How to reach the Kubernetes API as its administrator, taken apart for the Kubernetes provider's settings. */
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
