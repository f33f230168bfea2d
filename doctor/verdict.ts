/** What the doctor found, as data. */
export interface Verdict {
  /** When it was made, ISO 8601. */
  made: string;
  /** Context of the talosconfig. */
  context: string;
  /** The Talos release that an upgrade was judged for; undefined without `--to`. */
  to?: string;
  /** The Kubernetes release that an upgrade was judged for; undefined without `--to-kubernetes`. */
  toKubernetes?: string;
  /** Why that upgrade would be refused now. Empty: it would begin. Undefined without `--to-kubernetes`. */
  kubernetesRefused?: string[];
  /** The release of each component of Kubernetes, by node and component, where it could be told. */
  components: Record<string, Record<string, string>>;
  nodes: NodeVerdict[];
  /** Addresses of nodes that could not be read: an upgrade does not begin without them. */
  unread: string[];
  kubernetes?: KubernetesVerdict;
  /** Client certificates, the one that expires first in front. */
  certificates: Certificate[];
  findings: Finding[];
}

/** A node's answers. What it did not report is undefined. */
export interface NodeVerdict {
  /** Name in Kubernetes, or the address. */
  name: string;
  address: string;
  role: "controlplane" | "worker";
  version: string;
  schematicId?: string;
  extensions: string[];
  /** `running, ready` */
  machine: string;
  /** `3.6.12, storage 3.6.0`; control planes alone. */
  etcd?: string;
  /** Kernel arguments that an upgrade by this release would lose. */
  kernelArgumentsAtRisk: boolean;
  initiatorName?: string;
  /** Whether an upgrade to `to` changes the initiator name. */
  initiatorNameChanges: boolean;
  /** Namespaces that PodSecurity admission exempts; undefined for workers, and where the certificate's role may not read the configuration. */
  exemptNamespaces?: string[];
  /** Why an upgrade to `to` would be refused now. Empty: it would begin. Undefined without `to`. */
  refused?: string[];
}

export interface KubernetesVerdict {
  version: string;
  drivers: DriverVerdict[];
  /** Volumes with a claim, by the driver that made them. */
  volumes: Record<string, number>;
  attachments: number;
}

/** A CSI driver of the cluster. */
export interface DriverVerdict {
  name: string;
  /** Nodes on which it is registered. */
  nodes: number;
}

export interface Certificate {
  /** `talosconfig`, `kubeconfig` */
  of: string;
  /** ISO 8601. */
  expires: string;
  /** Whole days from now on; negative after the end. */
  days: number;
}

/** `problem`: something that does not work, or would be refused. `warning`: something that may cause trouble later. */
export interface Finding {
  severity: "problem" | "warning";
  /** Nodes that it concerns; empty for the cluster. */
  nodes: string[];
  text: string;
}
