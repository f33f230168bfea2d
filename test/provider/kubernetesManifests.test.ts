import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bootstrapManifests } from "../../lab/node/api/bootstrapManifests.ts";
import { KubernetesError, type Manifest } from "../../provider/kubernetes.ts";
import type { Properties } from "../../provider/secrets.ts";
import { oldRelease, KubernetesCluster, urn } from "./kubernetesUpgradeHarness.ts";
import { expectFailure } from "./nodeUpgradeHarness.ts";

const owner = "config.k8s.io/owning-inventory";
const inventory = "talos-bootstrap-manifests-inventory";
const proxyKeys = ["kube-system_kube-proxy__ServiceAccount", "kube-system_kube-proxy_apps_DaemonSet"];

let own: KubernetesCluster;

/** The cluster's bootstrap manifests as Talos applied them. */
async function bootstrapped(annotations: Record<string, string> = { [owner]: inventory }): Promise<void> {
  const { config } = own.cluster.node("cp1");
  if (config === undefined) throw new Error("cp1 has no configuration");
  for (const { spec } of bootstrapManifests(config))
    for (const manifest of spec as Manifest[])
      await own.kubernetes.applyManifest({
        ...manifest,
        metadata: { ...manifest.metadata, annotations: { ...annotations } },
      });
  own.kubernetes.log.length = 0;
}

function live(kind: string, name: string): Manifest {
  const found = own.kubernetes.others.get(kind)?.find(({ metadata }) => metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found as Manifest;
}

async function preview(): Promise<{ info: string; warnings: string[] }> {
  const { provider, info, warnings } = own.provider();
  const state = await own.adopted(provider);
  const olds = own.inputs({ kubernetesVersion: oldRelease });
  await provider.diff("kubernetes", urn, state, own.inputs(), olds);
  return { info: info.join("\n"), warnings };
}

async function upgraded(change: Properties = {}): Promise<string[]> {
  const { provider, warnings } = own.provider();
  const state = await own.adopted(provider);
  await provider.update("kubernetes", urn, state, own.inputs(change));
  return warnings;
}

describe("Talos 1.13", () => {
  beforeEach(async () => {
    own = await KubernetesCluster.start({ subnet: "127.49.73", controlPlanes: 1 });
  });
  afterEach(async () => own.stop());

  it("keeps its inventory: the annotation stays, and missing objects are added", async () => {
    await bootstrapped();
    const listed = { data: { [proxyKeys[0] ?? ""]: "" } };
    own.kubernetes.others.set("ConfigMap", [
      { metadata: { name: inventory, namespace: "kube-system" }, ...listed },
    ]);
    expect(await upgraded()).toEqual([]);
    expect(live("DaemonSet", "kube-proxy").metadata["annotations"]).toEqual({ [owner]: inventory });
    expect(live("ConfigMap", inventory)["data"]).toEqual(
      Object.fromEntries(proxyKeys.map((key) => [key, ""])),
    );
  });

  it("gets an inventory if an upgrade of Talos left it without one, and the preview shows it", async () => {
    await bootstrapped({});
    const { info } = await preview();
    expect(info).toContain(
      `~ DaemonSet kube-system/kube-proxy: metadata.annotations.${owner}: none -> "${inventory}"`,
    );
    expect(info).toContain(`~ ConfigMap kube-system/${inventory}: 2 manifests more`);
    await upgraded();
    expect(live("ServiceAccount", "kube-proxy").metadata["annotations"]).toEqual({ [owner]: inventory });
    expect(Object.keys(live("ConfigMap", inventory)["data"] as object).sort()).toEqual(proxyKeys);
  });

  it("gets its inventory completed after a run was killed before writing it", async () => {
    await bootstrapped();
    const state = await own.adopted(own.provider().provider);
    own.kubernetes.before = (method) => {
      const writes = own.kubernetes.log.length;
      if (method === "applyManifest" && writes > 0) throw new KubernetesError("refused", 403);
    };
    const run = own.provider();
    const { message, properties: left = {} } = await expectFailure(
      run.provider.update("kubernetes", urn, state, own.inputs()),
    );
    expect(message).toContain(
      `bootstrap manifest ConfigMap kube-system/${inventory}: Kubernetes: refused [kubernetes-access]`,
    );
    own.kubernetes.before = () => undefined;
    await own.provider().provider.update("kubernetes", urn, left, own.inputs());
    expect(Object.keys(live("ConfigMap", inventory)["data"] as object).sort()).toEqual(proxyKeys);
    expect(own.kubernetes.log).toEqual(["apply DaemonSet kube-proxy", `apply ConfigMap ${inventory}`]);
  });

  it("keeps objects that Talos no longer generates, and the upgrade names them", async () => {
    await bootstrapped();
    const keys = [
      ...proxyKeys,
      "_system__old_rbac.authorization.k8s.io_ClusterRole",
      "gone_cni_apps_DaemonSet",
    ];
    own.kubernetes.others.set("ConfigMap", [
      {
        metadata: { name: inventory, namespace: "kube-system" },
        ...{ data: Object.fromEntries(keys.map((key) => [key, ""])) },
      },
    ]);
    const said =
      "the inventory of bootstrap manifests has objects that Talos no longer generates: ClusterRole system:old, DaemonSet gone/cni.";
    expect((await preview()).warnings.join()).toContain(said);
    expect((await upgraded()).join()).toContain(said);
    expect(Object.keys(live("ConfigMap", inventory)["data"] as object)).toEqual(keys);
  });

  it("refuses an object of another inventory before anything is changed", async () => {
    await bootstrapped({ [owner]: "flux-addons" });
    const refusal =
      "DaemonSet kube-system/kube-proxy is a bootstrap manifest of Talos, but belongs to the inventory flux-addons";
    await expect(preview()).rejects.toThrow(refusal);
    await expect(upgraded()).rejects.toThrow(refusal);
    expect(own.applies()).toEqual({ cp1: 0 });
    expect(own.kubernetes.log).toEqual([]);
    expect(live("DaemonSet", "kube-proxy").metadata["annotations"]).toEqual({ [owner]: "flux-addons" });
  });
});

it("Talos before 1.13 has no inventory and gets none", async () => {
  own = await KubernetesCluster.start({ subnet: "127.49.74", controlPlanes: 1, version: "v1.12.9" });
  try {
    await bootstrapped({});
    const before = structuredClone(own.kubernetes.applied);
    await upgraded({ kubernetesVersion: "v1.35.5" });
    expect(own.kubernetes.log).toEqual(["apply DaemonSet kube-proxy"]);
    expect([...own.kubernetes.applied.keys()]).toEqual([...before.keys()]);
    expect(live("DaemonSet", "kube-proxy").metadata["annotations"] ?? {}).toEqual({});

    // Simulates a cluster that went back from a newer Talos.
    await bootstrapped();
    await upgraded({ kubernetesVersion: "v1.35.6" });
    expect(live("DaemonSet", "kube-proxy").metadata["annotations"]).toEqual({ [owner]: inventory });
  } finally {
    await own.stop();
  }
});
