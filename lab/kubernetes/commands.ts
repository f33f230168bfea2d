import type { ControlPlaneSettings, ExtraArgs } from "./configuration.ts";
import { ClusterConfigurationError } from "./configuration.ts";

/** Where the components run, and where their files are. */
export interface ComponentContext {
  readonly settings: ControlPlaneSettings;
  /** The loopback address everything listens on. */
  readonly address: string;
  /** Path of a file in the cluster's secret folder. */
  readonly file: (name: string) => string;
  readonly dataDirectory: string;
  readonly logDirectory: string;
}

export const etcdClientPort = 2379;
const etcdPeerPort = 2380;

/** Flags that Talos sets itself: it refuses extra arguments with these names (control_plane_static_pod.go, v1.13). */
const notOverridable = new Set([
  "etcd-servers",
  "client-ca-file",
  "requestheader-client-ca-file",
  "proxy-client-cert-file",
  "proxy-client-key-file",
  "encryption-provider-config",
  "etcd-cafile",
  "etcd-certfile",
  "etcd-keyfile",
  "kubelet-client-certificate",
  "kubelet-client-key",
  "service-account-key-file",
  "service-account-signing-key-file",
  "tls-cert-file",
  "tls-private-key-file",
  "authorization-config",
]);

/** Flags whose extra values are appended to Talos's own instead of replacing them. */
const additive = new Set([
  "enable-admission-plugins",
  "feature-gates",
  "authorization-mode",
  "tls-cipher-suites",
]);

/** Merges the configuration's extra arguments into Talos's own, by Talos's rules. */
export function mergeArgs(component: string, own: Record<string, string>, extra: ExtraArgs): string[] {
  const merged = new Map<string, string[]>(Object.entries(own).map(([name, value]) => [name, [value]]));
  for (const [name, values] of Object.entries(extra)) {
    if (notOverridable.has(name)) {
      throw new ClusterConfigurationError(
        `cluster.${component}.extraArgs.${name}: Talos sets this itself and does not allow overriding it`,
      );
    }
    const before = merged.get(name);
    merged.set(
      name,
      additive.has(name) && before !== undefined ? [[...before, ...values].join(",")] : values,
    );
  }
  return [...merged].flatMap(([name, values]) => values.map((value) => `--${name}=${value}`));
}

export function etcdArgs({ address, file, dataDirectory }: ComponentContext): string[] {
  const client = `https://${address}:${etcdClientPort}`;
  const peer = `https://${address}:${etcdPeerPort}`;
  return [
    "--name=lab",
    `--data-dir=${dataDirectory}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=lab=${peer}`,
    "--client-cert-auth=true",
    `--trusted-ca-file=${file("etcd-ca.crt")}`,
    `--cert-file=${file("etcd.crt")}`,
    `--key-file=${file("etcd.key")}`,
    "--peer-client-cert-auth=true",
    `--peer-trusted-ca-file=${file("etcd-ca.crt")}`,
    `--peer-cert-file=${file("etcd.crt")}`,
    `--peer-key-file=${file("etcd.key")}`,
    "--log-level=warn",
    // A lab's data needn't survive a power cut, and etcd mostly waits for the disk.
    "--unsafe-no-fsync",
  ];
}

/** Names of the configuration files of one kube-apiserver generation. */
export interface ApiServerFiles {
  readonly servingCertificate: string;
  readonly admission: string;
  readonly auditPolicy: string;
  readonly auditLog: string;
}

export function apiServerArgs(
  { settings, address, file, logDirectory }: ComponentContext,
  files: ApiServerFiles,
  listener: { host: string; port: number },
): string[] {
  const issuer = settings.endpoint.origin;
  return mergeArgs(
    "apiServer",
    {
      "admission-control-config-file": file(files.admission),
      // Nothing uses it, but without it kube-apiserver takes the address of the default route, and an offline machine has none.
      // 192.0.2.0/24 is reserved for documentation (RFC 5737); loopback addresses are rejected.
      "advertise-address": "192.0.2.10",
      "allow-privileged": "true",
      "anonymous-auth": "false",
      "api-audiences": issuer,
      "audit-log-maxbackup": "1",
      "audit-log-maxsize": "20",
      "audit-log-path": `${logDirectory}/${files.auditLog}`,
      "audit-policy-file": file(files.auditPolicy),
      "authorization-mode": "Node,RBAC",
      "bind-address": listener.host,
      "client-ca-file": file("client-ca.crt"),
      "enable-admission-plugins": "NodeRestriction",
      "enable-bootstrap-token-auth": "true",
      "encryption-provider-config": file("encryption.yaml"),
      // The endpoint is a loopback address, which must not become an endpoint of the Service "kubernetes".
      "endpoint-reconciler-type": "none",
      "etcd-cafile": file("etcd-ca.crt"),
      "etcd-certfile": file("etcd-client.crt"),
      "etcd-keyfile": file("etcd-client.key"),
      "etcd-servers": `https://${address}:${etcdClientPort}`,
      "kubelet-client-certificate": file("kubelet-client.crt"),
      "kubelet-client-key": file("kubelet-client.key"),
      "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
      profiling: "false",
      "proxy-client-cert-file": file("front-proxy.crt"),
      "proxy-client-key-file": file("front-proxy.key"),
      "requestheader-allowed-names": "front-proxy-client",
      "requestheader-client-ca-file": file("aggregator-ca.crt"),
      "requestheader-extra-headers-prefix": "X-Remote-Extra-",
      "requestheader-group-headers": "X-Remote-Group",
      "requestheader-username-headers": "X-Remote-User",
      "secure-port": String(listener.port),
      "service-account-issuer": issuer,
      "service-account-key-file": file("service-account.pub"),
      "service-account-signing-key-file": file("service-account.key"),
      "service-cluster-ip-range": settings.serviceSubnets.join(","),
      "tls-cert-file": file(`${files.servingCertificate}.crt`),
      "tls-min-version": "VersionTLS12",
      "tls-private-key-file": file(`${files.servingCertificate}.key`),
    },
    settings.apiServer.extraArgs,
  );
}

export function controllerManagerArgs({ settings, file }: ComponentContext): string[] {
  return mergeArgs(
    "controllerManager",
    {
      "allocate-node-cidrs": "true",
      "cluster-cidr": settings.podSubnets.join(","),
      "cluster-signing-cert-file": file("ca.crt"),
      "cluster-signing-key-file": file("ca.key"),
      controllers: "*,tokencleaner",
      kubeconfig: file("controller-manager.kubeconfig"),
      "leader-elect": "false",
      // Simulated nodes are back from a reboot within seconds; with the default of 5 s, their absence would go unnoticed.
      "node-monitor-period": "1s",
      profiling: "false",
      "root-ca-file": file("ca.crt"),
      // Nothing in the lab reads its metrics, and a second lab on this machine would need the same port.
      "secure-port": "0",
      "service-account-private-key-file": file("service-account.key"),
      "service-cluster-ip-range": settings.serviceSubnets.join(","),
      "use-service-account-credentials": "true",
    },
    settings.controllerManagerArgs,
  );
}

export function schedulerArgs({ settings, file }: ComponentContext): string[] {
  return mergeArgs(
    "scheduler",
    {
      kubeconfig: file("scheduler.kubeconfig"),
      "leader-elect": "false",
      profiling: "false",
      "secure-port": "0",
    },
    settings.schedulerArgs,
  );
}

/** Selects nodes with a running kubelet. It is a label because removing it reaches kwok's watch as a deletion. */
export const kubeletLabel = { key: "lab-kubelet", value: "running" } as const;

export function kwokArgs({ file }: ComponentContext, stages: string): string[] {
  return [
    `--kubeconfig=${file("kwok.kubeconfig")}`,
    `--config=${stages}`,
    `--manage-nodes-with-label-selector=${kubeletLabel.key}=${kubeletLabel.value}`,
    "--node-lease-duration-seconds=40",
  ];
}
