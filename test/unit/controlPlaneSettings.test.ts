import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { mergeArgs } from "../../lab/kubernetes/commands.ts";
import { controlPlaneSettings, nodeSettings } from "../../lab/kubernetes/configuration.ts";

const documents = (yaml: string): Record<string, unknown>[] =>
  parseAllDocuments(yaml).map((document) => document.toJS() as Record<string, unknown>);

const upTo113 = documents(`
version: v1alpha1
machine:
  type: controlplane
  kubelet: { image: "ghcr.io/siderolabs/kubelet:v1.35.2" }
  nodeLabels: { rack: r1 }
  nodeTaints: { dedicated: "storage:NoExecute" }
cluster:
  clusterName: dev
  controlPlane: { endpoint: "https://127.10.0.10:6443" }
  network: { dnsDomain: cluster.local, podSubnets: [10.244.0.0/16], serviceSubnets: [10.96.0.0/12] }
  token: abcdef.0123456789abcdef
  secretboxEncryptionSecret: c2VjcmV0
  ca: { crt: CA, key: CA-KEY }
  acceptedCAs: [{ crt: OLD-CA }]
  aggregatorCA: { crt: AGGREGATOR, key: AGGREGATOR-KEY }
  serviceAccount: { key: SA-KEY }
  etcd: { ca: { crt: ETCD, key: ETCD-KEY } }
  apiServer:
    certSANs: [k8s.example.com]
    extraArgs: { feature-gates: [A=true, B=true], v: 2 }
    admissionControl:
      - name: PodSecurity
        configuration: { exemptions: { namespaces: [kube-system] } }
    auditPolicy: { kind: Policy, rules: [] }
  scheduler: { extraArgs: { v: 4 } }
`);

const from114 = documents(`
version: v1alpha1
machine: { type: controlplane }
cluster: { token: abcdef.0123456789abcdef, etcd: { ca: { crt: ETCD, key: ETCD-KEY } } }
---
{ apiVersion: v1alpha1, kind: KubeClusterConfig, clusterName: dev, endpoint: "https://127.10.0.10:6443" }
---
apiVersion: v1alpha1
kind: KubeNodeConfig
labels: { rack: r1, node-role.kubernetes.io/control-plane: "" }
taints: { node-role.kubernetes.io/control-plane: NoSchedule, dedicated: "storage:NoExecute" }
---
{ apiVersion: v1alpha1, kind: KubeletConfig, image: "ghcr.io/siderolabs/kubelet:v1.35.2" }
---
{ apiVersion: v1alpha1, kind: KubeNetworkConfig, dnsDomain: cluster.local, podSubnets: [10.244.0.0/16], serviceSubnets: [10.96.0.0/12] }
---
{ apiVersion: v1alpha1, kind: KubeAPIServerCAConfig, issuingCA: { cert: CA, key: CA-KEY }, acceptedCAs: [OLD-CA] }
---
{ apiVersion: v1alpha1, kind: KubeAggregatorCAConfig, issuingCA: { cert: AGGREGATOR, key: AGGREGATOR-KEY } }
---
apiVersion: v1alpha1
kind: KubeAdmissionControlConfig
name: PodSecurity
configuration: { exemptions: { namespaces: [kube-system] } }
---
{ apiVersion: v1alpha1, kind: KubeAuditPolicyConfig, configuration: { kind: Policy, rules: [] } }
---
apiVersion: v1alpha1
kind: KubeEtcdEncryptionConfig
config:
  resources:
    - resources: [secrets]
      providers: [{ secretbox: { keys: [{ name: key2, secret: c2VjcmV0 }] } }, { identity: {} }]
---
{ apiVersion: v1alpha1, kind: KubeServiceAccountConfig, issuer: { privateKey: SA-KEY } }
---
apiVersion: v1alpha1
kind: KubeAPIServerConfig
extraArgs: { feature-gates: [A=true, B=true], v: 2 }
certExtraSANs: [k8s.example.com]
---
{ apiVersion: v1alpha1, kind: KubeSchedulerConfig, extraArgs: { v: 4 } }
`);

describe("the lab's Kubernetes settings from a machine configuration", () => {
  it("come from the sections of contracts up to 1.13", () => {
    const settings = controlPlaneSettings(upTo113);
    expect(settings).toMatchObject({
      clusterName: "dev",
      bootstrapToken: "abcdef.0123456789abcdef",
      ca: { crt: "CA", key: "CA-KEY" },
      acceptedCAs: ["OLD-CA"],
      serviceAccountKey: "SA-KEY",
      schedulerArgs: { v: ["4"] },
    });
    expect(settings.endpoint.host).toBe("127.10.0.10:6443");
    expect(settings.apiServer).toEqual({
      certSANs: ["k8s.example.com"],
      extraArgs: { "feature-gates": ["A=true", "B=true"], v: ["2"] },
      admission: [{ name: "PodSecurity", configuration: { exemptions: { namespaces: ["kube-system"] } } }],
      auditPolicy: { kind: "Policy", rules: [] },
    });
  });

  it("come from the documents of contract 1.14, with the same result", () => {
    expect(controlPlaneSettings(from114)).toEqual(controlPlaneSettings(upTo113));
    expect(nodeSettings(from114)).toEqual(nodeSettings(upTo113));
  });

  it("include a node's labels, taints and kubelet version, plus Talos's own for a control plane", () => {
    expect(nodeSettings(upTo113)).toEqual({
      kubeletVersion: "v1.35.2",
      labels: { rack: "r1", "node-role.kubernetes.io/control-plane": "" },
      annotations: {},
      taints: [
        { key: "node-role.kubernetes.io/control-plane", value: "", effect: "NoSchedule" },
        { key: "dedicated", value: "storage", effect: "NoExecute" },
      ],
    });
    const schedulable = structuredClone(upTo113);
    (schedulable[0] as { cluster: object }).cluster = { allowSchedulingOnControlPlanes: true };
    expect(nodeSettings(schedulable).taints.map(({ key }) => key)).toEqual(["dedicated"]);
  });

  it("include the taints that a worker joins with, and before contract 1.14 no others", () => {
    const joins = { extraConfig: { registerWithTaints: [{ key: "gpu", effect: "NoSchedule" }] } };
    const worker = structuredClone(upTo113);
    const { machine } = worker[0] as { machine: Record<string, unknown> };
    Object.assign(machine, { type: "worker", kubelet: joins });
    expect(nodeSettings(worker).taints).toEqual([{ key: "gpu", value: "", effect: "NoSchedule" }]);
    const newer = [
      { version: "v1alpha1", machine: { type: "worker" } },
      { kind: "KubeNodeConfig", taints: { gpu: "NoSchedule" } },
    ];
    expect(nodeSettings(newer).taints).toEqual([{ key: "gpu", value: "", effect: "NoSchedule" }]);
  });

  it("name the missing fields that a control plane requires", () => {
    const broken = structuredClone(upTo113);
    const { cluster } = broken[0] as { cluster: Record<string, unknown> };
    delete cluster["aggregatorCA"];
    cluster["controlPlane"] = { endpoint: "nowhere" };
    expect(() => controlPlaneSettings(broken)).toThrow(
      /cluster\.controlPlane\.endpoint: .*cluster\.aggregatorCA: /,
    );
  });
});

describe("extra arguments of kube-apiserver", () => {
  const own = { "feature-gates": "A=true", profiling: "false", "etcd-servers": "https://127.10.0.10:2379" };

  it("override Talos's own, extend lists, and are repeated for multiple values", () => {
    expect(
      mergeArgs("apiServer", own, {
        profiling: ["true"],
        "feature-gates": ["B=true"],
        vmodule: ["a=1", "b=2"],
      }),
    ).toEqual([
      "--feature-gates=A=true,B=true",
      "--profiling=true",
      "--etcd-servers=https://127.10.0.10:2379",
      "--vmodule=a=1",
      "--vmodule=b=2",
    ]);
  });

  it("cannot override arguments that Talos reserves", () => {
    expect(() => mergeArgs("apiServer", own, { "etcd-servers": ["https://127.0.0.1:2379"] })).toThrow(
      "cluster.apiServer.extraArgs.etcd-servers: Talos sets this itself",
    );
  });
});
