import { afterAll, beforeAll, expect, it } from "vitest";
import { expectFailure, createHarness, inputsFor, urn } from "./nodeUpgradeHarness.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

// A machine whose firmware enforces SecureBoot, with signed and unsigned images.

let cluster: SimulatedCluster;
beforeAll(async () => {
  cluster = await SimulatedCluster.start({ subnet: "127.50.7", workers: 2, version: "v1.13.5" });
  const { boot } = cluster.node("w1");
  if (boot === undefined) throw new Error("w1 is off");
  boot.image.secureBoot = true;
});
afterAll(async () => cluster?.stop());

it("an unsigned image stops the rollout before any node is touched", async () => {
  const before = cluster.touched();
  const { schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds } = inputsFor(
    cluster,
    "cp1",
  );
  const nodes = Object.fromEntries(
    ["cp1", "w1", "w2"].map((name) => {
      const { node, role, talosVersion, image, extensions, services, files } = inputsFor(cluster, name);
      return [name, { node, role, talosVersion, image, extensions, services, files }];
    }),
  );
  const inputs = { nodes, schematicId, controlPlanes, clientConfiguration, drain, timeoutSeconds };
  const preflight = urn.replace("NodeUpgrade", "RolloutPreflight");
  const own = createHarness();
  await own.provider.check(preflight, {}, inputs);
  expect(own.warnings.join("\n")).toMatch(
    /refused right now: w1 \(127\.50\.7\.21\).*\S+:v1\.13\.9 is not signed .*\[secure-boot\]/,
  );
  const { message } = await expectFailure(createHarness().provider.create(preflight, inputs));
  expect(message).toMatch(/^the rollout .*: 1 of 3 nodes .*\[rollout-refused\]/);
  expect(message).toMatch(/w1 \(127\.50\.7\.21\), step "guard": .*secureBoot: true/s);
  expect(cluster.touched()).toEqual(before);
});

it("a signed image is installed, and so is any image on a machine without SecureBoot", async () => {
  const signed = cluster.image("v1.13.9").replace("metal-installer", "metal-installer-secureboot");
  for (const [name, change] of [
    ["w1", { image: signed }],
    ["w2", {}],
  ] as const) {
    const { outs } = await createHarness().provider.create(urn, inputsFor(cluster, name, change));
    expect(outs).toMatchObject({ runningVersion: "v1.13.9" });
  }
});
