import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Properties } from "../../provider/secrets.ts";
import { connectActor } from "../../talos/api/actor.ts";
import type { EtcdMember } from "../../talos/api/talosClient.ts";
import { TalosError } from "../../talos/api/errors.ts";
import { FakeKubernetes } from "./fakeKubernetes.ts";
import { createHarness, expectFailure } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ClusterMembership::members";
let cluster: SimulatedCluster;
let kubernetes: FakeKubernetes;
/** Members that no machine here holds. */
let strays: string[];
/** Whether etcd keeps the member of a machine that was reset. */
let keepsMember: boolean;
/** The ID of cp3's member. */
let third: string;

beforeEach(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.44.84", controlPlanes: 3, version: "v1.13.7" });
  kubernetes = new FakeKubernetes();
  for (const { name, address } of cluster.nodes) kubernetes.add(name, address);
  strays = [];
  keepsMember = false;
  third = cluster.node("cp3").disk.etcd?.memberId ?? "";
});
afterEach(async () => cluster?.stop());

/** The nodes as the settings name them; etcd's members have the hosts' names, and addresses of another network (`advertisedSubnets`). */
const settingsNames: Record<string, string> = { cp1: "one", cp2: "two", cp3: "three" };

/** etcd on cp3 is stopped: Talos reports no status, and no member of its own. */
const connect: typeof connectActor = (connection) => {
  const talos = connectActor(connection);
  const at = connection.node ?? connection.endpoint;
  const members = talos.etcdMembers.bind(talos);
  talos.etcdMembers = async (call) => {
    const found = await members(call);
    if (keepsMember && !found.some(({ id }) => id === third))
      found.push({ ...found[0], hostname: "cp3", id: third } as EtcdMember);
    return [
      ...found.map((member) => ({
        ...member,
        hostname: member.hostname.replace("cp", "host-"),
        addresses: member.addresses.map((address) => address.replace("127.44.84", "10.9.9")),
      })),
      ...strays.map((hostname) => ({ id: hostname, hostname, addresses: ["10.9.9.99"], learner: false })),
    ];
  };
  const status = talos.etcdStatus.bind(talos);
  talos.etcdStatus = async (call) => {
    if (at.startsWith("127.44.84.13"))
      throw new TalosError("failed", at, "MachineService.EtcdStatus", "connection refused");
    return status(call);
  };
  return talos;
};

function listing(names: string[]): Properties {
  const nodes = names.map((name) => {
    const { address: node } = cluster.node(name);
    return { name: settingsNames[name] ?? "", node, role: "controlplane" };
  });
  return {
    ...{ nodes, onRemove: "reset", clientConfiguration: { ...cluster.credentials } },
    ...{ kubeconfig: "of a test", drain: { enabled: true, timeoutSeconds: 0.6 }, timeoutSeconds: 8 },
  };
}

async function removeThird(): Promise<{ preview: Promise<unknown>; up: () => Promise<unknown> }> {
  const own = createHarness(kubernetes, {}, connect);
  const { outs } = await own.provider.create(urn, listing(["cp1", "cp2", "cp3"]));
  const fewer = listing(["cp1", "cp2"]);
  return {
    preview: own.provider.diff("membership", urn, outs, fewer),
    up: () => own.provider.update("membership", urn, outs, fewer),
  };
}

const isUntouched = (): void =>
  expect(cluster.node("cp3").snapshot()).toMatchObject({ stage: "running", reboots: 0 });

describe("a control plane whose etcd is stopped, and whose member has another name and address", () => {
  it("stays if the others would have no quorum", async () => {
    cluster.node("cp2").faults.set("etcd-member-unhealthy");
    const { preview, up } = await removeThird();
    const told = /^three .*step "guard": .*without three.*: 1 of the 2 .*, 2 needed .*\[etcd-quorum\]/;
    expect((await expectFailure(preview)).message).toMatch(told);
    expect((await expectFailure(up())).message).toMatch(told);
    isUntouched();
  });

  it("stays while any of several members may be its own", async () => {
    strays = ["host-9"];
    const { preview, up } = await removeThird();
    const told =
      /^three .*step "guard": etcd does not answer on 127\.44\.84\.13, and its member may be host-3 or host-9 \[etcd-unknown-member\]/;
    expect((await expectFailure(preview)).message).toMatch(told);
    expect((await expectFailure(up())).message).toMatch(told);
    isUntouched();
  });

  it("leaves if the others keep their quorum; a member that stays behind is reported until it is gone", async () => {
    // Talos resets a machine whose etcd is stopped without taking it out of etcd.
    keepsMember = true;
    const { preview, up } = await removeThird();
    await preview;
    const left = new RegExp(`step "forget": etcd still has its member ${third} \\[etcd-member-left\\]`);
    const failed = await expectFailure(up());
    expect(failed.message).toMatch(left);
    expect(cluster.node("cp3").snapshot()).toMatchObject({ stage: "maintenance" });
    // The next run finds a machine that was reset.
    const next = createHarness(kubernetes, {}, connect);
    const again = (): Promise<unknown> =>
      next.provider.update("membership", urn, failed.properties ?? {}, listing(["cp1", "cp2"]));
    expect((await expectFailure(again())).message).toMatch(left);
    keepsMember = false;
    await again();
    expect(kubernetes.log.at(-1)).toBe("delete cp3");
  });
});
