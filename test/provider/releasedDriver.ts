import type { FakeKubernetes } from "./fakeKubernetes.ts";
import { targetOf } from "./fakeStorage.ts";
import type { SimulatedCluster } from "./simulatedCluster.ts";

/** The node plugin of JovianDSS as released: without this program's shims, a kubelet restart logs its sessions out. */
export function deployReleasedDriver(kubernetes: FakeKubernetes): void {
  const path = "/var/lib/kubelet/plugins/iscsi.csi.joviandss.open-e.com/";
  const template = { metadata: {}, spec: { volumes: [{ hostPath: { path } }] } };
  kubernetes.others.set("DaemonSet", [{ metadata: { name: "joviandss-node" }, spec: { template } } as never]);
}

/** A pod of a StatefulSet whose volume is attached and logged in on its node. */
export function runPodWithVolume(
  { cluster, kubernetes }: { cluster: SimulatedCluster; kubernetes: FakeKubernetes },
  node: string,
  volume: string,
  pod: string,
): void {
  cluster.node(node).boot?.iscsi.login(targetOf(volume), "10.0.0.5");
  kubernetes.storage.attach(node, volume);
  kubernetes.pod(node, pod, { owner: "StatefulSet", claims: [`default/claim-of-${volume}`] });
}
