import type * as pulumi from "@pulumi/pulumi";
import type { TalosCredentials, TalosCredentialsArgs } from "../credentials.ts";

/** The credentials for the machines. */
export type GetHealthClientConfiguration = TalosCredentials;

/** {@link GetHealthClientConfiguration} whose fields may be outputs of other resources. */
export type GetHealthClientConfigurationArgs = TalosCredentialsArgs;

/** How long the check may take. */
export interface GetHealthTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** {@link GetHealthTimeouts} whose fields may be outputs of other resources. */
export interface GetHealthTimeoutsArgs {
  /** A Go duration such as `10m`. */
  read?: pulumi.Input<string | undefined>;
}

/** The credentials to fetch the kubeconfig with. */
export type GetKubeconfigClientConfiguration = TalosCredentials;

/** {@link GetKubeconfigClientConfiguration} whose fields may be outputs of other resources. */
export type GetKubeconfigClientConfigurationArgs = TalosCredentialsArgs;

/** How long the fetch may take. */
export interface GetKubeconfigTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** {@link GetKubeconfigTimeouts} whose fields may be outputs of other resources. */
export interface GetKubeconfigTimeoutsArgs {
  /** A Go duration such as `10m`. */
  read?: pulumi.Input<string | undefined>;
}

/** The credentials to fetch the kubeconfig with. */
export type KubeconfigClientConfiguration = TalosCredentialsArgs;

/** The administrator's credentials in a kubeconfig, for looking up an existing resource. */
export interface KubeconfigKubernetesClientConfiguration {
  /** The CA that signed the Kubernetes API server's certificate, base64 of PEM. */
  caCertificate?: pulumi.Input<string | undefined>;
  /** The administrator's certificate, base64 of PEM. */
  clientCertificate?: pulumi.Input<string | undefined>;
  /** The private key of that certificate, base64 of PEM. Secret. */
  clientKey?: pulumi.Input<string | undefined>;
  /** The URL of the Kubernetes API. */
  host?: pulumi.Input<string | undefined>;
}

/** How long fetching and renewing may take. */
export interface KubeconfigTimeouts {
  /** A Go duration such as `10m`. */
  create?: pulumi.Input<string | undefined>;
  /** A Go duration such as `10m`. */
  update?: pulumi.Input<string | undefined>;
}
