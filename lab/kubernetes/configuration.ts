import { z } from "zod";
import { componentConfig, staticPodNames, type StaticPodName } from "../node/machine/componentConfigs.ts";
import { type ConfigDocument, sections } from "./documents.ts";

/** Values of one command line flag; Talos accepts one or several (extraArgs of Talos 1.12 and newer). */
export type ExtraArgs = Record<string, string[]>;

/** An admission plugin and its own configuration. */
export interface AdmissionPlugin {
  readonly name: string;
  readonly configuration: Record<string, unknown>;
}

/** A certificate and its key, each as base64 of PEM, as in a machine configuration. */
export interface KeyPair {
  readonly crt: string;
  readonly key: string;
}

/** The Kubernetes settings in a control plane's machine configuration. */
export interface ControlPlaneSettings {
  readonly clusterName: string;
  readonly endpoint: URL;
  readonly ca: KeyPair;
  readonly acceptedCAs: readonly string[];
  readonly aggregatorCA: KeyPair;
  readonly etcdCA: KeyPair;
  readonly serviceAccountKey: string;
  readonly bootstrapToken: string;
  /** How Secrets are encrypted in etcd: the `resources` of kube-apiserver's EncryptionConfiguration. */
  readonly encryption: readonly unknown[];
  readonly podSubnets: readonly string[];
  readonly serviceSubnets: readonly string[];
  readonly dnsDomain: string;
  readonly apiServer: ApiServerSettings;
  readonly controllerManagerArgs: ExtraArgs;
  readonly schedulerArgs: ExtraArgs;
  /** Images that Talos runs, by component. */
  readonly images: Readonly<Record<StaticPodName, string>>;
}

/** Certificates of the Kubernetes CAs, as text for comparison. */
export function authoritiesOf({ ca, acceptedCAs }: ControlPlaneSettings): string {
  return JSON.stringify([ca.crt, ...acceptedCAs]);
}

/** Settings of kube-apiserver alone: changing them restarts it. */
export interface ApiServerSettings {
  readonly certSANs: readonly string[];
  readonly extraArgs: ExtraArgs;
  readonly admission: readonly AdmissionPlugin[];
  readonly auditPolicy: Record<string, unknown>;
}

/** The Node object's settings in a machine configuration. */
export interface NodeSettings {
  readonly kubeletVersion: string;
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly taints: readonly { key: string; value: string; effect: string }[];
}

/** The configuration can't start a control plane; the message names the field and the reason. */
export class ClusterConfigurationError extends Error {
  override readonly name = "ClusterConfigurationError";
}

const keyPair = z.looseObject({ crt: z.string().min(1), key: z.string().min(1) });
const extraArgs = z.record(z.string(), z.union([z.array(z.coerce.string()), z.coerce.string()])).optional();
const record = z.record(z.string(), z.unknown());
const strings = z.record(z.string(), z.coerce.string()).optional();

const machineSchema = z.looseObject({
  type: z.string().optional(),
  kubelet: z
    .looseObject({
      image: z.string().optional(),
      extraConfig: z
        .looseObject({
          registerWithTaints: z
            .array(z.object({ key: z.string(), value: z.string().default(""), effect: z.string() }))
            .optional(),
        })
        .optional(),
    })
    .optional(),
  nodeLabels: strings,
  nodeAnnotations: strings,
  nodeTaints: strings,
});

const clusterSchema = z.looseObject({
  clusterName: z.string().default("talos"),
  controlPlane: z.looseObject({ endpoint: z.url() }),
  network: z
    .looseObject({
      dnsDomain: z.string().optional(),
      podSubnets: z.array(z.string()).optional(),
      serviceSubnets: z.array(z.string()).optional(),
    })
    .optional(),
  token: z.string(),
  encryption: z.looseObject({ resources: z.array(z.unknown()) }).optional(),
  secretboxEncryptionSecret: z.string().optional(),
  aescbcEncryptionSecret: z.string().optional(),
  ca: keyPair,
  acceptedCAs: z.array(z.looseObject({ crt: z.string() })).optional(),
  aggregatorCA: keyPair,
  serviceAccount: z.looseObject({ key: z.string().min(1) }),
  etcd: z.looseObject({ ca: keyPair }),
  apiServer: z
    .looseObject({
      certSANs: z.array(z.string()).optional(),
      extraArgs,
      admissionControl: z.array(z.looseObject({ name: z.string(), configuration: record })).optional(),
      auditPolicy: record.optional(),
    })
    .optional(),
  controllerManager: z.looseObject({ extraArgs }).optional(),
  scheduler: z.looseObject({ extraArgs }).optional(),
});

function argumentLists(args: Record<string, string | string[]> | undefined): ExtraArgs {
  return Object.fromEntries(
    Object.entries(args ?? {}).map(([name, value]) => [name, Array.isArray(value) ? value : [value]]),
  );
}

/** Talos's defaults for unset fields. */
const defaults = {
  podSubnets: ["10.244.0.0/16"],
  serviceSubnets: ["10.96.0.0/12"],
  dnsDomain: "cluster.local",
  auditPolicy: { apiVersion: "audit.k8s.io/v1", kind: "Policy", rules: [{ level: "Metadata" }] },
};

/** Reads the settings of a control plane. */
export function controlPlaneSettings(documents: readonly ConfigDocument[]): ControlPlaneSettings {
  const parsed = clusterSchema.safeParse(sections(documents).cluster);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `cluster.${issue.path.join(".")}: ${issue.message}`);
    throw new ClusterConfigurationError(
      `the machine configuration cannot start a Kubernetes control plane: ${problems.join("; ")}`,
    );
  }
  const cluster = parsed.data;
  return {
    clusterName: cluster.clusterName,
    endpoint: new URL(cluster.controlPlane.endpoint),
    ca: cluster.ca,
    acceptedCAs: (cluster.acceptedCAs ?? []).map((ca) => ca.crt),
    aggregatorCA: cluster.aggregatorCA,
    etcdCA: cluster.etcd.ca,
    serviceAccountKey: cluster.serviceAccount.key,
    bootstrapToken: cluster.token,
    encryption: cluster.encryption?.resources ?? legacyEncryption(cluster),
    podSubnets: cluster.network?.podSubnets ?? defaults.podSubnets,
    serviceSubnets: cluster.network?.serviceSubnets ?? defaults.serviceSubnets,
    dnsDomain: cluster.network?.dnsDomain ?? defaults.dnsDomain,
    apiServer: {
      certSANs: cluster.apiServer?.certSANs ?? [],
      extraArgs: argumentLists(cluster.apiServer?.extraArgs),
      admission: (cluster.apiServer?.admissionControl ?? []).map(({ name, configuration }) => ({
        name,
        configuration,
      })),
      auditPolicy: cluster.apiServer?.auditPolicy ?? defaults.auditPolicy,
    },
    controllerManagerArgs: argumentLists(cluster.controllerManager?.extraArgs),
    schedulerArgs: argumentLists(cluster.scheduler?.extraArgs),
    images: imagesOf(documents),
  };
}

function imagesOf(documents: readonly ConfigDocument[]): ControlPlaneSettings["images"] {
  const images = staticPodNames.map((name) => [
    name,
    componentConfig(name, { documents: [...documents] }).image,
  ]);
  return Object.fromEntries(images) as ControlPlaneSettings["images"];
}

/** Up to contract 1.13: one key of either kind. The identity provider comes last, so that data stored unencrypted can be read. */
function legacyEncryption(secrets: {
  secretboxEncryptionSecret?: string | undefined;
  aescbcEncryptionSecret?: string | undefined;
}): unknown[] {
  const keys = (name: string, secret: string) => ({ keys: [{ name, secret }] });
  const { secretboxEncryptionSecret: secretbox, aescbcEncryptionSecret: aescbc } = secrets;
  const providers = [
    ...(secretbox === undefined ? [] : [{ secretbox: keys("key2", secretbox) }]),
    ...(aescbc === undefined ? [] : [{ aescbc: keys("key1", aescbc) }]),
    { identity: {} },
  ];
  return [{ resources: ["secrets"], providers }];
}

/** Reads the Node object's settings, including the labels and taints that Talos adds itself. */
export function nodeSettings(documents: readonly ConfigDocument[]): NodeSettings {
  const all = sections(documents);
  const machine = machineSchema.parse(all.machine);
  const cluster = z
    .looseObject({ allowSchedulingOnControlPlanes: z.boolean().optional() })
    .parse(all.cluster);
  const controlPlane = machine.type === "controlplane" || machine.type === "init";
  const image = machine.kubelet?.image ?? "";
  // A worker of Talos 1.13 or older cannot set its taints (talos/features.ts): it has those that its kubelet joined with.
  const own = controlPlane || documents.some(({ kind }) => kind === "KubeNodeConfig");
  const set = Object.entries((own ? machine.nodeTaints : undefined) ?? {}).map(([key, text]) => {
    const colon = text.indexOf(":");
    return {
      key,
      value: colon < 0 ? "" : text.slice(0, colon),
      effect: colon < 0 ? text : text.slice(colon + 1),
    };
  });
  const taints = [...set, ...(machine.kubelet?.extraConfig?.registerWithTaints ?? [])];
  if (controlPlane && cluster.allowSchedulingOnControlPlanes !== true) {
    taints.unshift({ key: "node-role.kubernetes.io/control-plane", value: "", effect: "NoSchedule" });
  }
  return {
    kubeletVersion: /:(v[^@]+)/.exec(image)?.[1] ?? "v0.0.0",
    labels: {
      ...machine.nodeLabels,
      ...(controlPlane ? { "node-role.kubernetes.io/control-plane": "" } : {}),
    },
    annotations: machine.nodeAnnotations ?? {},
    taints,
  };
}
