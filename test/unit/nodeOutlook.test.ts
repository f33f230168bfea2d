import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outlookLine, readOutlook, type NodeOutlook } from "../../talos/nodeOutlook.ts";

const id = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const from = { version: "v1.12.7", schematicId: id };
const to = { version: "v1.13.9", schematicId: id };

describe("a node's line in a plan", () => {
  it.each<[NodeOutlook, string]>([
    [{ fate: "new", to }, "new in this stack -> v1.13.9 with schematic c9078f941996…"],
    [
      { fate: "unread", to: { ...to, name: "gpu" } },
      "not read -> v1.13.9, image gpu (schematic c9078f941996…)",
    ],
    [{ fate: "stays", runs: to }, "v1.13.9 with schematic c9078f941996… already, no reboot"],
    [
      { fate: "stays", runs: { ...to, name: "gpu" } },
      "v1.13.9 with schematic c9078f941996…, image gpu, already, no reboot",
    ],
    [
      { fate: "upgrade", runs: { version: "v1.12.7" }, hops: [], to },
      "v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot",
    ],
    [
      {
        fate: "upgrade",
        runs: { ...from, version: "v1.11.5" },
        hops: ["v1.12.7"],
        to,
        etcd: "etcd 3.6.12, storage 3.6.0 -> 3.7.1",
      },
      "v1.11.5 with schematic c9078f941996… -> v1.12.7 -> v1.13.9 with schematic c9078f941996…, 2 reboots; etcd 3.6.12, storage 3.6.0 -> 3.7.1",
    ],
  ])("%j", (outlook, line) => {
    expect(outlookLine(outlook)).toBe(line);
  });

  const version = fc.stringMatching(/^v1\.\d{1,2}\.\d{1,2}(-rc\.\d)?$/);
  const image = fc.record(
    {
      version,
      schematicId: fc.stringMatching(/^[0-9a-f]{64}$/),
      name: fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/),
    },
    { requiredKeys: ["version", "schematicId"] },
  );
  const etcd = fc.stringMatching(/^etcd 3\.\d\.\d{1,2}, storage 3\.\d\.0( -> 3\.\d\.\d)?$/);
  const outlooks: fc.Arbitrary<NodeOutlook> = fc.oneof(
    fc.record({ fate: fc.constantFrom("new" as const, "unread" as const), to: image }),
    fc.record({ fate: fc.constant("stays" as const), runs: image }),
    fc.record(
      {
        fate: fc.constant("upgrade" as const),
        runs: fc.oneof(image, fc.record({ version })),
        hops: fc.array(version, { maxLength: 3 }),
        to: image,
        etcd,
      },
      { requiredKeys: ["fate", "runs", "hops", "to"] },
    ),
  );

  it("is parsed back to the same values", () => {
    fc.assert(
      fc.property(outlooks, (outlook) => {
        const runs = "runs" in outlook ? outlook.runs : undefined;
        expect(readOutlook(outlookLine(outlook))).toEqual({
          fate: outlook.fate,
          hops: "hops" in outlook ? outlook.hops : [],
          ...(runs === undefined
            ? {}
            : {
                runs: {
                  version: runs.version,
                  ...(runs.schematicId === undefined ? {} : { schematicId: runs.schematicId.slice(0, 12) }),
                },
              }),
        });
      }),
    );
  });

  it("is ignored if it is about something else", () => {
    expect(readOutlook("v1.33.2 -> v1.34.1, kubelets and control plane")).toBeUndefined();
  });
});
