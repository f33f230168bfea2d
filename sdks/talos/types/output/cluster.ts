import type { KubernetesCredentials, TalosCredentials } from "../credentials.ts";

/** The credentials used for the machines. */
export type GetHealthClientConfiguration = TalosCredentials;

/** How long the check may take. */
export interface GetHealthTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** The credentials that fetched the kubeconfig. */
export type GetKubeconfigClientConfiguration = TalosCredentials;

/** The administrator's credentials in the kubeconfig. */
export type GetKubeconfigKubernetesClientConfiguration = KubernetesCredentials;

/** How long the fetch may take. */
export interface GetKubeconfigTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** The credentials that fetched the kubeconfig. */
export type KubeconfigClientConfiguration = TalosCredentials;

/** The administrator's credentials in the kubeconfig. */
export type KubeconfigKubernetesClientConfiguration = KubernetesCredentials;

/** How long fetching and renewing may take. */
export interface KubeconfigTimeouts {
  /** A Go duration such as `10m`. */
  create?: string;
  /** A Go duration such as `10m`. */
  update?: string;
}
