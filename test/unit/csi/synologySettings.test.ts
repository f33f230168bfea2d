import { describe, expect, test } from "vitest";
import { synologySchema, synologyWarnings } from "../../../components/csi/synologySettings.ts";
import { withChange, synology } from "./plainSettings.ts";
import { problemsOf } from "./problemsOf.ts";

test("the minimal settings are valid", () => {
  expect(problemsOf(synologySchema, synology)).toEqual([]);
});

test("http is allowed if explicitly enabled", () => {
  expect(
    problemsOf(synologySchema, { arrays: [{ ...synology.arrays[0], https: false, allowHttp: true }] }),
  ).toEqual([]);
});

describe("Synology refuses", () => {
  const storageClass = (entry: object) => ({ ...synology, storageClasses: [{ name: "a", ...entry }] });
  test.each<[string, object, string, RegExp]>([
    ["no arrays", {}, "arrays", /missing; set the Synology arrays/],
    ["an empty list of arrays", { arrays: [] }, "arrays", /is empty/],
    [
      "an array without a host",
      withChange(synology, ["arrays", 0, "host"], undefined),
      "arrays[0].host",
      /missing; set an address/,
    ],
    [
      "an array without a password",
      withChange(synology, ["arrays", 0, "password"], undefined),
      "arrays[0].password",
      /missing/,
    ],
    [
      "http without saying so",
      withChange(synology, ["arrays", 0, "https"], false),
      "arrays[0].https",
      /clear text.*allowHttp: true/,
    ],
    [
      "a port out of range",
      withChange(synology, ["arrays", 0, "port"], 70000),
      "arrays[0].port",
      /70000 is not a port/,
    ],
    [
      "one array twice",
      { arrays: [synology.arrays[0], synology.arrays[0]] },
      "arrays[1].host",
      /is arrays\[0\] already/,
    ],
    [
      "the tag latest",
      { ...synology, image: "synology/synology-csi:latest" },
      "image",
      /can change at any time/,
    ],
    [
      "another protocol",
      storageClass({ protocol: "fc" }),
      "storageClasses[0].protocol",
      /"fc" is not a protocol that this driver supports; use iscsi, smb or nfs/,
    ],
    [
      "an array it does not know",
      storageClass({ array: "10.9.9.9" }),
      "storageClasses[0].array",
      /10.9.9.9 is not in arrays; use 192.168.0.20/,
    ],
    [
      "reclamation of thick LUNs",
      storageClass({ thinProvisioning: false, spaceReclamation: true }),
      "storageClasses[0].spaceReclamation",
      /works only with thin LUNs/,
    ],
    [
      "SMB without credentials",
      storageClass({ protocol: "smb" }),
      "storageClasses[0].nodeStageSecret",
      /missing/,
    ],
    [
      "a parameter of another protocol",
      storageClass({ protocol: "nfs", fsType: "ext4" }),
      "storageClasses[0].fsType",
      /unknown key/,
    ],
    [
      "permissions that are none",
      storageClass({ protocol: "nfs", mountPermissions: "0980" }),
      "storageClasses[0].mountPermissions",
      /octal/,
    ],
    [
      "permissions as a number",
      storageClass({ protocol: "nfs", mountPermissions: 750 }),
      "storageClasses[0].mountPermissions",
      /must be text.*"0750"/,
    ],
    [
      "a version of NFS the driver refuses",
      storageClass({ protocol: "nfs", nfsVersion: "4.2" }),
      "storageClasses[0].nfsVersion",
      /use 3, 4, 4.0 or 4.1/,
    ],
    ...["nfsvers=3", "nfsvers=3.0", "vers=3", "vers=4.1", "v3", "v4.2", "minorversion=1", "soft, vers=3"].map(
      (option): [string, object, string, RegExp] => [
        `the version of NFS twice: ${option}`,
        storageClass({ protocol: "nfs", mountOptions: ["hard", option] }),
        "storageClasses[0].mountOptions[1]",
        /^(nfsvers|vers|v3|v4\.2|minorversion) sets the NFS version, and mount refuses a second one; use nfsVersion$/,
      ],
    ),
    [
      "one StorageClass twice",
      { ...synology, storageClasses: [{ name: "a" }, { name: "a" }] },
      "storageClasses[1].name",
      /a is storageClasses\[0\] already/,
    ],
  ])("%s", (_, settings, where, reason) => {
    expect(problemsOf(synologySchema, settings)).toEqual([
      { path: where, reason: expect.stringMatching(reason) as string },
    ]);
  });
});

test("an IPv6 address is refused with the reason", () => {
  expect(problemsOf(synologySchema, withChange(synology, ["arrays", 0, "host"], "fd00::20"))).toEqual([
    {
      path: "arrays[0].host",
      reason: expect.stringMatching(/IPv6 address, which the driver does not support/) as string,
    },
  ]);
});

describe("a missing extension causes a warning", () => {
  const btrfs = { storageClasses: [{ name: "a", fsType: "btrfs" }] };
  const nfs = (nfsVersion: string, ...mountOptions: string[]) => ({
    storageClasses: [{ name: "a", protocol: "nfs", nfsVersion, mountOptions }],
  });
  test.each<[string, object, string[], string[]]>([
    ["btrfs", btrfs, [], ["storageClasses[0].fsType"]],
    ["btrfs with its extension", btrfs, ["siderolabs/btrfs"], []],
    ["multipath", { multipath: {} }, [], ["multipath"]],
    ["multipath with its extension", { multipath: {} }, ["siderolabs/multipath-tools"], []],
    ["NFS 3", nfs("3"), [], ["storageClasses[0].nfsVersion"]],
    ["NFS 3 with its extension", nfs("3"), ["siderolabs/nfs-utils"], []],
    ["NFS 3 without locks", nfs("3", "nolock"), [], []],
    ["NFS 3 without locks, in one text", nfs("3", "hard,nolock"), [], []],
    ["NFS 3 with another version of its mount protocol", nfs("3", "nolock,mountvers=3"), [], []],
    ["NFS 4.1, which needs no helper", nfs("4.1"), [], []],
    ["plain iSCSI", {}, [], []],
  ])("%s", (_, more, extensions, paths) => {
    const settings = synologySchema.parse({ ...synology, ...more });
    const warnings = synologyWarnings(settings, ["siderolabs/iscsi-tools", ...extensions]);
    expect(warnings.map(({ path }) => path)).toEqual(paths);
  });
});
