import type * as pulumi from "@pulumi/pulumi";
import type { TalosCredentials, TalosCredentialsArgs } from "../credentials.ts";

/** Write-only credentials to bootstrap with: sent to the provider and stored nowhere. */
export type BootstrapClientConfigurationWo = TalosCredentialsArgs;

/** How long the bootstrap may take. */
export interface BootstrapTimeouts {
  /** A Go duration such as `10m`. */
  create?: pulumi.Input<string | undefined>;
}

/** A CA certificate with its private key, both base64 of PEM. */
export interface Certificate {
  /** The certificate. */
  cert: string;
  /** The private key. Secret. */
  key: string;
}

/** {@link Certificate} whose fields may be outputs of other resources. */
export interface CertificateArgs {
  /** The certificate. */
  cert: pulumi.Input<string>;
  /** The private key. Secret. */
  key: pulumi.Input<string>;
}

/** The CAs of a cluster. */
export interface Certificates {
  /** The CA of etcd's members and clients. */
  etcd: Certificate;
  /** The CA of the Kubernetes API and its clients. */
  k8s: Certificate;
  /** The CA of Kubernetes' API aggregation. */
  k8sAggregator: Certificate;
  /** The key that signs service account tokens. */
  k8sServiceaccount: Key;
  /** The CA of the Talos API and its clients. */
  os: Certificate;
}

/** {@link Certificates} whose fields may be outputs of other resources. */
export interface CertificatesArgs {
  /** The CA of etcd's members and clients. */
  etcd: pulumi.Input<CertificateArgs>;
  /** The CA of the Kubernetes API and its clients. */
  k8s: pulumi.Input<CertificateArgs>;
  /** The CA of Kubernetes' API aggregation. */
  k8sAggregator: pulumi.Input<CertificateArgs>;
  /** The key that signs service account tokens. */
  k8sServiceaccount: pulumi.Input<KeyArgs>;
  /** The CA of the Talos API and its clients. */
  os: pulumi.Input<CertificateArgs>;
}

/** The credentials for a machine. */
export type ClientConfiguration = TalosCredentialsArgs;

/** The identity of a cluster in Talos's discovery service. */
export interface Cluster {
  /** The ID that the members register under: 32 bytes in base64. */
  id: string;
  /** The key that the members encrypt their registrations with: 32 bytes in base64. Secret. */
  secret: string;
}

/** {@link Cluster} whose fields may be outputs of other resources. */
export interface ClusterArgs {
  /** The ID that the members register under: 32 bytes in base64. */
  id: pulumi.Input<string>;
  /** The key that the members encrypt their registrations with: 32 bytes in base64. Secret. */
  secret: pulumi.Input<string>;
}

/** Write-only credentials to apply a configuration with: sent to the provider and stored nowhere. */
export type ConfigurationApplyClientConfigurationWo = TalosCredentialsArgs;

/** What happens to the machine when its ConfigurationApply is destroyed. Must already be in the state by then. */
export interface ConfigurationApplyOnDestroy {
  /** Drain the machine and let it leave etcd first. Default `true`. */
  graceful?: pulumi.Input<boolean | undefined>;
  /** Reboot the machine after the reset instead of powering it off. Default `false`. */
  reboot?: pulumi.Input<boolean | undefined>;
  /** Wipe the machine. Default `false`: nothing happens to it, and the other two fields have no effect. */
  reset?: pulumi.Input<boolean | undefined>;
}

/** The credentials to read the disks with. */
export type GetDisksClientConfiguration = TalosCredentials;

/** {@link GetDisksClientConfiguration} whose fields may be outputs of other resources. */
export type GetDisksClientConfigurationArgs = TalosCredentialsArgs;

/** How long reading the disks may take. */
export interface GetDisksTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** {@link GetDisksTimeouts} whose fields may be outputs of other resources. */
export interface GetDisksTimeoutsArgs {
  /** A Go duration such as `10m`. */
  read?: pulumi.Input<string | undefined>;
}

/** A private key, base64 of PEM. */
export interface Key {
  /** The private key. Secret. */
  key: string;
}

/** {@link Key} whose fields may be outputs of other resources. */
export interface KeyArgs {
  /** The private key. Secret. */
  key: pulumi.Input<string>;
}

/** What Kubernetes' control plane needs besides certificates. */
export interface KubernetesSecrets {
  /** Encrypts Kubernetes secrets in etcd, in clusters made before secretbox. Secret. */
  aescbcEncryptionSecret?: string;
  /** Lets a kubelet ask for its first certificate. Secret. */
  bootstrapToken: string;
  /** Encrypts Kubernetes secrets in etcd. Secret. */
  secretboxEncryptionSecret: string;
}

/** {@link KubernetesSecrets} whose fields may be outputs of other resources. */
export interface KubernetesSecretsArgs {
  /** Encrypts Kubernetes secrets in etcd, in clusters made before secretbox. Secret. */
  aescbcEncryptionSecret?: pulumi.Input<string | undefined>;
  /** Lets a kubelet ask for its first certificate. Secret. */
  bootstrapToken: pulumi.Input<string>;
  /** Encrypts Kubernetes secrets in etcd. Secret. */
  secretboxEncryptionSecret: pulumi.Input<string>;
}

/** The secrets bundle of a cluster: what `talosctl gen secrets` writes, under this SDK's names. */
export interface MachineSecrets {
  /** The cluster's CAs. */
  certs: Certificates;
  /** The cluster's identity. */
  cluster: Cluster;
  /** Kubernetes' other secrets. */
  secrets: KubernetesSecrets;
  /** What a machine authenticates with to a control plane's trustd. */
  trustdinfo: TrustdInfo;
}

/** {@link MachineSecrets} whose fields may be outputs of other resources. */
export interface MachineSecretsArgs {
  /** The cluster's CAs. */
  certs: pulumi.Input<CertificatesArgs>;
  /** The cluster's identity. */
  cluster: pulumi.Input<ClusterArgs>;
  /** Kubernetes' other secrets. */
  secrets: pulumi.Input<KubernetesSecretsArgs>;
  /** What a machine authenticates with to a control plane's trustd. */
  trustdinfo: pulumi.Input<TrustdInfoArgs>;
}

/** How long each operation of a ConfigurationApply may take. */
export interface Timeout {
  /** A Go duration such as `10m`. */
  create?: pulumi.Input<string | undefined>;
  /** A Go duration such as `10m`. Must be in the state before the destroy starts. */
  delete?: pulumi.Input<string | undefined>;
  /** A Go duration such as `10m`. */
  update?: pulumi.Input<string | undefined>;
}

/** What a machine authenticates with to a control plane's trustd. */
export interface TrustdInfo {
  /** The token with which a joining machine gets its API certificate. Secret. */
  token: string;
}

/** {@link TrustdInfo} whose fields may be outputs of other resources. */
export interface TrustdInfoArgs {
  /** The token with which a joining machine gets its API certificate. Secret. */
  token: pulumi.Input<string>;
}
