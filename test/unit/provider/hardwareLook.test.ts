import { expect, it } from "vitest";
import { checkHardware } from "../../../provider/hardware.ts";
import { unknownValue } from "../../../talos/secrecy/engineValues.ts";
import type { Surroundings } from "../../../provider/session.ts";
import { TalosError } from "../../../talos/api/errors.ts";
import type { TalosReader } from "../../../talos/api/talosClient.ts";

it("opens at most 100 connections at a time, no matter how many machines are new", async () => {
  let [open, most, asked] = [0, 0, 0];
  const dial = (): TalosReader => {
    open += 1;
    most = Math.max(most, open);
    const client = {
      hardware: async () => {
        asked += 1;
        await new Promise((resolve) => setImmediate(resolve));
        throw new TalosError("unreachable", "a node", "hardware", "away");
      },
      close: () => void (open -= 1),
    };
    return client as unknown as TalosReader;
  };
  const names = Array.from({ length: 250 }, (_, index) => `n${index}`);
  const nodes = Object.fromEntries(names.map((name, index) => [name, { node: `10.0.0.${index}` }]));
  const disk = { path: "machine.install.disk", disk: "/dev/sda" };
  const named = Object.fromEntries(names.map((name) => [name, [disk]]));
  const surroundings = {
    talos: async () => dial,
    timeouts: { probeMs: 1 },
    statusOf: () => ({ warn: () => undefined }),
  } as unknown as Surroundings;
  const failures = await checkHardware(
    { surroundings, urn: "readiness", signal: new AbortController().signal },
    {},
    { nodes, clientConfiguration: unknownValue, hardware: { named } },
  );
  expect(failures).toEqual([]);
  expect({ open, most, asked }).toEqual({ open: 0, most: 100, asked: 250 });
});

it("refuses a new machine without a volume's disk, and does not claim that it would be lost", async () => {
  const disk = { id: "sda", fields: { dev_path: "/dev/sda", pretty_size: "64 GB" } };
  const machine = { hardware: async () => ({ disks: [disk], links: [] }), close: () => undefined };
  const surroundings = {
    talos: async () => () => machine,
    timeouts: { probeMs: 1 },
    statusOf: () => ({ warn: () => undefined }),
  } as unknown as Surroundings;
  const refused = async (named: object) => {
    const [failure] = await checkHardware(
      { surroundings, urn: "readiness", signal: new AbortController().signal },
      {},
      {
        nodes: { n1: { node: "10.0.0.1" } },
        clientConfiguration: unknownValue,
        hardware: { named: { n1: [named] } },
      },
    );
    return failure?.reason;
  };
  const volume = { path: "UserVolumeConfig data", diskMatch: 'disk.dev_path == "/dev/sdb"' };
  expect(await refused(volume)).toMatch(/^machines lack hardware that their configurations name \[.*\]:\n/);
  expect(await refused({ path: "machine.install.disk", disk: "/dev/sdb" })).toMatch(
    /^machines lack hardware that their configurations name, and may not come back with them \[/,
  );
});
