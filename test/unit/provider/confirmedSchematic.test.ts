import { describe, expect, it } from "vitest";
import { sealRealClients } from "../../../provider/gate/sealedClients.ts";
import { defaultTimeouts } from "../../../provider/timeouts.ts";
import { TalosNodeProvider } from "../../../provider/plugin.ts";
import { unknownValue } from "../../../talos/secrecy/engineValues.ts";
import { realClock } from "../../../provider/clock.ts";

const urn = "urn:pulumi:dev::talos-iscsi::talos-node:index:ConfirmedSchematic::image-confirmed";
const computed = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const other = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
const factory = "https://factory.talos.dev";

const silent = { status: () => undefined, info: () => undefined, warn: () => undefined };
const provider = new TalosNodeProvider({
  talos: async () => Promise.reject(new Error("no node is asked for a schematic")),
  connectKubernetes: async () => Promise.reject(new Error("no cluster is asked for a schematic")),
  acting: sealRealClients(),
  clock: realClock,
  timeouts: defaultTimeouts,
  advised: new Set(),
  statusOf: () => silent,
});

describe("ConfirmedSchematic", () => {
  it("refuses another ID in check, with both IDs and what to do", async () => {
    const { failures } = await provider.check(
      urn,
      {},
      { factory, schematicId: computed, registeredId: other },
    );
    expect(failures).toHaveLength(1);
    expect(failures?.[0]).toMatchObject({ property: "registeredId" });
    const reason = failures?.[0]?.reason ?? "";
    expect(reason).toContain(factory);
    expect(reason).toContain(`returned ${other}`);
    expect(reason).toContain(`expected ${computed}`);
    expect(reason).toContain("image.schematic");
  });

  it.each([
    ["the same ID", computed],
    ["an ID that only the deployment will know", unknownValue],
  ])("accepts %s", async (_, registeredId) => {
    const inputs = { factory, schematicId: computed, registeredId };
    expect(await provider.check(urn, {}, inputs)).toEqual({ inputs, failures: [] });
  });

  it("stores what it compared, and leaves the diff to the engine", async () => {
    const inputs = { factory, schematicId: computed, registeredId: computed };
    expect(await provider.create(urn, inputs)).toEqual({ id: computed, outs: inputs });
    expect(await provider.diff(computed, urn, inputs, { ...inputs, factory: "http://127.10.0.2" })).toEqual(
      {},
    );
    expect(await provider.update(computed, urn, inputs, inputs)).toEqual({ outs: inputs });
    expect(await provider.read(computed, urn, inputs)).toEqual({ id: computed, inputs, props: inputs });
  });
});
