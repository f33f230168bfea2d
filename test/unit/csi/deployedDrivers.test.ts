import { expect, it } from "vitest";
import { onlyResource } from "../components/recorder.ts";
import { runProgram } from "../components/program.ts";
import { deployedDrivers } from "../../../components/csi/deployedDrivers.ts";
import { parseSettings } from "../../../config.ts";
import { canary, usualSettings, withValues } from "../settings/example.ts";

// What the plugin compares with the last deployment's drivers.

const joviandss = {
  image: "docker.io/opene/joviandss-csi:v1.0",
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: canary },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [
    { name: "Pool-0" },
    { name: "Pool-1", driver: { name: "pool-1.csi.example.com", image: "docker.io/own/driver:v1.0" } },
  ],
};
const synology = {
  arrays: ["192.168.0.20", "192.168.0.21"].map((host) => ({
    host,
    username: "kubernetes",
    password: canary,
  })),
};
const both = withValues(usualSettings(), { joviandss, synology });
const targetPrefix = "iqn.csi.2019-04";
const expected = {
  "iscsi.csi.joviandss.open-e.com": { section: "joviandss", pool: "Pool-0", targetPrefix },
  "pool-1.csi.example.com": { section: "joviandss", pool: "Pool-1", targetPrefix },
  "csi.san.synology.com": { section: "synology", arrays: ["192.168.0.20", "192.168.0.21"] },
};

it("the cluster's membership lists every driver with its pool or its arrays", async () => {
  const accepted = withValues(both, { "cluster.acceptDriverChanges": ["csi.san.synology.com"] });
  const { resources } = await runProgram(accepted);
  const { inputs } = onlyResource(resources, "talos-node:index:ClusterMembership");
  expect(inputs["drivers"]).toEqual(expected);
  expect(inputs["acceptDriverChanges"]).toEqual(["csi.san.synology.com"]);
});

it("without drivers and acceptance, it has no such inputs", async () => {
  const { resources } = await runProgram(usualSettings());
  const { inputs } = onlyResource(resources, "talos-node:index:ClusterMembership");
  expect(inputs).not.toHaveProperty("drivers");
  expect(inputs).not.toHaveProperty("acceptDriverChanges");
});

it("a pool that was provided as a secret is left out, and all arrays with one that was", () => {
  const settings = parseSettings(both);
  const isHidden = (text: string): boolean => ["Pool-1", "192.168.0.21"].includes(text);
  expect(deployedDrivers(settings, isHidden)).toEqual({
    ...expected,
    "pool-1.csi.example.com": { section: "joviandss", targetPrefix },
    "csi.san.synology.com": { section: "synology" },
  });
});
