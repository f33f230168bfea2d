import { describe, expect, it } from "vitest";
import { KubernetesError, type KubernetesClient } from "../../../provider/kubernetes.ts";
import { shareLists } from "../../../provider/sharedLists.ts";
import { FakeKubernetes } from "../../provider/fakeKubernetes.ts";

const sharing = (connectKubernetes: (kubeconfig: string) => Promise<KubernetesClient>) =>
  shareLists({ connectKubernetes }).connectKubernetes;

describe("lists of a cluster that many nodes' checks request", () => {
  it("are one request at the same moment, and a new one later", async () => {
    const kubernetes = new FakeKubernetes();
    const connect = sharing(async () => kubernetes);
    const clients = await Promise.all([connect("one"), connect("one"), connect("one")]);
    await Promise.all(clients.flatMap((client) => [client.nodes(), client.storage.attachments.list()]));
    expect(Object.fromEntries(kubernetes.calls)).toMatchObject({ nodes: 1, attachments: 1 });
    await clients[1]?.nodes();
    expect(kubernetes.calls.get("nodes")).toBe(2);
  });

  it("go to the kubeconfig's own cluster", async () => {
    const clusters: Record<string, FakeKubernetes> = { one: new FakeKubernetes(), two: new FakeKubernetes() };
    const connect = sharing(async (kubeconfig) => clusters[kubeconfig] as FakeKubernetes);
    await Promise.all([(await connect("one")).version(), (await connect("two")).version()]);
    expect([clusters["one"]?.calls.get("version"), clusters["two"]?.calls.get("version")]).toEqual([1, 1]);
  });

  it("are requested again after a failure, as is the connection", async () => {
    const kubernetes = new FakeKubernetes();
    let fails = true;
    const connect = sharing(async () => {
      if (fails) throw new KubernetesError("no such host");
      return kubernetes;
    });
    await expect(connect("one")).rejects.toThrow("no such host");
    fails = false;
    const client = await connect("one");
    kubernetes.down = "away";
    await expect(Promise.all([client.nodes(), client.nodes()])).rejects.toThrow("away");
    kubernetes.down = undefined;
    expect(await client.nodes()).toEqual([]);
  });

  it("leave other calls as they are", async () => {
    const kubernetes = new FakeKubernetes();
    const client = await sharing(async () => kubernetes)("one");
    await Promise.all([client.node("cp1"), client.node("w1"), client.storage.driversOn("w1")]);
    expect(kubernetes.calls.get("node")).toBe(2);
  });
});
