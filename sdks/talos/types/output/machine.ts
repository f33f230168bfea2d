import type { TalosCredentials } from "../credentials.ts";

/** The credentials to bootstrap with. The provider never returns them. */
export type BootstrapClientConfigurationWo = TalosCredentials;

/** How long the bootstrap may take. */
export interface BootstrapTimeouts {
  /** A Go duration such as `10m`. */
  create?: string;
}

/** A CA certificate with its private key, both base64 of PEM. */
export interface Certificate {
  /** The certificate. */
  cert: string;
  /** The private key. Secret. */
  key: string;
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

/** The credentials for a machine. */
export type ClientConfiguration = TalosCredentials;

/** The identity of a cluster in Talos's discovery service. */
export interface Cluster {
  /** The ID that the members register under: 32 bytes in base64. */
  id: string;
  /** The key that the members encrypt their registrations with: 32 bytes in base64. Secret. */
  secret: string;
}

/** The credentials to apply a configuration with. The provider never returns them. */
export type ConfigurationApplyClientConfigurationWo = TalosCredentials;

/** What happens to the machine when its ConfigurationApply is destroyed. */
export interface ConfigurationApplyOnDestroy {
  /** Drain the machine and let it leave etcd first. */
  graceful: boolean;
  /** Reboot the machine after the reset instead of powering it off. */
  reboot: boolean;
  /** Wipe the machine. */
  reset: boolean;
}

/** The credentials that read the disks. */
export type GetDisksClientConfiguration = TalosCredentials;

/** A disk of a machine. */
export interface GetDisksDisk {
  /** The disk's path on the bus. */
  busPath: string;
  /** Whether it is an optical drive. */
  cdrom: boolean;
  /** The device, for example `/dev/sda`. */
  devPath: string;
  /** The preferred size of a request, in bytes. */
  ioSize: number;
  /** The modalias, by which the kernel finds the driver. */
  modalias: string;
  /** The model's name. */
  model: string;
  /** The size in readable form, for example `100 GB`. */
  prettySize: string;
  /** Whether it is read-only. */
  readonly: boolean;
  /** Whether it is rotational. */
  rotational: boolean;
  /** The disks that this one consists of. */
  secondaryDisks: string[];
  /** The size of a sector, in bytes. */
  sectorSize: number;
  /** The serial number. */
  serial: string;
  /** The size, in bytes. */
  size: number;
  /** The kernel subsystem that it belongs to. */
  subSystem: string;
  /** Other names of the device, for example under `/dev/disk/by-id`. */
  symlinks: string[];
  /** How it is attached, for example `nvme` or `iscsi`. */
  transport: string;
  /** The UUID, if the disk reports one. */
  uuid: string;
  /** The worldwide identifier. */
  wwid: string;
}

/** How long reading the disks may take. */
export interface GetDisksTimeouts {
  /** A Go duration such as `10m`. */
  read?: string;
}

/** A private key, base64 of PEM. */
export interface Key {
  /** The private key. Secret. */
  key: string;
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

/** How long each operation of a ConfigurationApply may take. */
export interface Timeout {
  /** A Go duration such as `10m`. */
  create?: string;
  /** A Go duration such as `10m`. */
  delete?: string;
  /** A Go duration such as `10m`. */
  update?: string;
}

/** What a machine authenticates with to a control plane's trustd. */
export interface TrustdInfo {
  /** The token with which a joining machine gets its API certificate. Secret. */
  token: string;
}
