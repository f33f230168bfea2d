import type * as pulumi from "@pulumi/pulumi";
import type { TalosCredentials, TalosCredentialsArgs } from "../credentials.ts";

/** The credentials to bootstrap with, sent to the provider and kept nowhere. */
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

/** {@link Certificate} that may come from another resource. */
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

/** {@link Certificates} that may come from another resource. */
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

/** The credentials to reach a machine with. */
export type ClientConfiguration = TalosCredentialsArgs;

/** The identity of a cluster in Talos's discovery service. */
export interface Cluster {
  /** What the members register under: base64 of 32 bytes. */
  id: string;
  /** What the members encrypt their registrations with: base64 of 32 bytes. Secret. */
  secret: string;
}

/** {@link Cluster} that may come from another resource. */
export interface ClusterArgs {
  /** What the members register under: base64 of 32 bytes. */
  id: pulumi.Input<string>;
  /** What the members encrypt their registrations with: base64 of 32 bytes. Secret. */
  secret: pulumi.Input<string>;
}

/** The credentials to apply a configuration with, sent to the provider and kept nowhere. */
export type ConfigurationApplyClientConfigurationWo = TalosCredentialsArgs;

/** What happens to the machine when its ConfigurationApply is destroyed. It must be in the state by then. */
export interface ConfigurationApplyOnDestroy {
  /** Drain the machine and let it leave etcd first. Default `true`. */
  graceful?: pulumi.Input<boolean | undefined>;
  /** Start the machine again after the reset instead of powering it off. Default `false`. */
  reboot?: pulumi.Input<boolean | undefined>;
  /** Wipe the machine. Default `false`: nothing happens to it, and the other two mean nothing. */
  reset?: pulumi.Input<boolean | undefined>;
}

/** The credentials to read the disks with. */
export type GetDisksClientConfiguration = TalosCredentials;

/** {@link GetDisksClientConfiguration} that may come from another resource. */
export type GetDisksClientConfigurationArgs = TalosCredentialsArgs;

/** How long reading the disks may take. */
export interface GetDisksTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** {@link GetDisksTimeouts} that may come from another resource. */
export interface GetDisksTimeoutsArgs {
  /** A Go duration such as `10m`. */
  read?: pulumi.Input<string | undefined>;
}

/** A private key, base64 of PEM. */
export interface Key {
  /** The private key. Secret. */
  key: string;
}

/** {@link Key} that may come from another resource. */
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

/** {@link KubernetesSecrets} that may come from another resource. */
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
  /** What a machine asks a control plane's trustd with. */
  trustdinfo: TrustdInfo;
}

/** {@link MachineSecrets} that may come from another resource. */
export interface MachineSecretsArgs {
  /** The cluster's CAs. */
  certs: pulumi.Input<CertificatesArgs>;
  /** The cluster's identity. */
  cluster: pulumi.Input<ClusterArgs>;
  /** Kubernetes' other secrets. */
  secrets: pulumi.Input<KubernetesSecretsArgs>;
  /** What a machine asks a control plane's trustd with. */
  trustdinfo: pulumi.Input<TrustdInfoArgs>;
}

/** How long each operation of a ConfigurationApply may take. */
export interface Timeout {
  /** A Go duration such as `10m`. */
  create?: pulumi.Input<string | undefined>;
  /** A Go duration such as `10m`. It must be in the state before the destroy starts. */
  delete?: pulumi.Input<string | undefined>;
  /** A Go duration such as `10m`. */
  update?: pulumi.Input<string | undefined>;
}

/** What a machine asks a control plane's trustd with. */
export interface TrustdInfo {
  /** The token that gets a joining machine its API certificate. Secret. */
  token: string;
}

/** {@link TrustdInfo} that may come from another resource. */
export interface TrustdInfoArgs {
  /** The token that gets a joining machine its API certificate. Secret. */
  token: pulumi.Input<string>;
}
