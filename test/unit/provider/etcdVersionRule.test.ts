import { describe, expect, test } from "vitest";
import {
  clusterVersion,
  downgradeTarget,
  etcdVersionFindings,
  type EtcdRelease,
  type EtcdStep,
} from "../../../provider/guards/etcdVersion.ts";

const member = (version: string, storageVersion: string, last = 11): EtcdRelease => ({
  address: `10.0.0.${last}`,
  version,
  storageVersion,
});
const three = (version: string, storageVersion: string): EtcdRelease[] =>
  [11, 12, 13].map((last) => member(version, storageVersion, last));

const step = (change: Partial<EtcdStep>): EtcdStep => ({
  self: "10.0.0.11",
  members: three("3.6.12", "3.6.0"),
  talosVersion: "v1.13.9",
  downgrading: false,
  allowDowngrade: false,
  snapshot: false,
  ...change,
});
const said = (change: Partial<EtcdStep>): string =>
  etcdVersionFindings(step(change))
    .map(({ problem, hint }) => `${problem} ${hint}`)
    .join("\n");

describe("an upgrade of etcd", () => {
  test.each([
    ["the same etcd", {}],
    ["3.6 to 3.7", { talosVersion: "v1.14.1" }],
    ["3.5.26 to 3.6", { members: three("3.5.26", "3.5.0"), talosVersion: "v1.11.6" }],
    [
      "a rollout that is half done",
      { members: [member("3.7.1", "3.6.0"), member("3.6.12", "3.6.0", 12)], talosVersion: "v1.14.1" },
    ],
    ["a Talos that is not known", { talosVersion: "v1.99.0" }],
    ["a build of one's own", { talosVersion: "my-build" }],
  ] as const)("%s is fine", (_, change) => expect(said(change)).toBe(""));

  test("to 3.6 from before 3.5.26 is refused, and names the release to go through", () => {
    const text = said({ members: three("3.5.21", "3.5.0"), talosVersion: "v1.11.6" });
    expect(text).toContain("v1.11.6 runs etcd 3.6.5, but 10.0.0.11 still runs 3.5.21");
    expect(text).toContain("Upgrade every control plane to Talos v1.10.9 (etcd 3.5.26) first.");
  });

  test("to 3.6 is refused while any control plane is behind, even if 1.11 is skipped", () => {
    const members = [member("3.5.26", "3.5.0"), member("3.5.21", "3.5.0", 12), member("3.5.26", "3.5.0", 13)];
    expect(said({ members, talosVersion: "v1.12.7" })).toContain("10.0.0.12 still runs 3.5.21");
  });

  test("that skips an etcd minor release is refused", () => {
    expect(said({ members: three("3.5.26", "3.5.0"), talosVersion: "v1.14.1" })).toContain(
      "etcd moves one minor release at a time",
    );
  });
});

describe("a downgrade of etcd", () => {
  const back = { members: three("3.7.1", "3.7.0"), talosVersion: "v1.13.9" };

  test("across a minor release is refused, with the current versions and the setting", () => {
    const text = said(back);
    expect(text).toContain("v1.13.9 runs etcd 3.6.12, and etcd's data has version 3.7");
    expect(text).toContain("10.0.0.11 has etcd 3.7.1, storage 3.7.0");
    expect(text).toMatch(/set upgrade\.etcdDowngrade/);
  });

  test("within a minor release is fine", () =>
    expect(said({ members: three("3.6.12", "3.6.0"), talosVersion: "v1.12.7" })).toBe(""));

  test("is fine while one member still runs the old release, since the data does too", () => {
    const members = [member("3.7.1", "3.6.0"), member("3.7.1", "3.6.0", 12), member("3.6.12", "3.6.0", 13)];
    expect(said({ members, talosVersion: "v1.13.9" })).toBe("");
  });

  test("is refused once all members run the newer release, even if storage does not show it yet", () => {
    const members = three("3.7.1", "3.6.0");
    expect(said({ members, talosVersion: "v1.13.9" })).toContain("etcd's data has version 3.7");
    expect(said({ members, talosVersion: "v1.13.9", downgrading: true })).toBe("");
  });

  test("is allowed with the setting, and starts with etcd's own downgrade", () => {
    expect(said({ ...back, allowDowngrade: true })).toBe("");
    expect(downgradeTarget(step({ ...back, allowDowngrade: true }))).toEqual({ major: 3, minor: 6 });
    expect(
      downgradeTarget(step({ ...back, members: three("3.7.1", "3.6.0"), downgrading: true })),
    ).toBeUndefined();
  });

  test("of a single control plane needs a snapshot", () => {
    const single = { ...back, members: [member("3.7.1", "3.7.0")], allowDowngrade: true };
    expect(said(single)).toContain("Set upgrade.etcdSnapshot");
    expect(said({ ...single, snapshot: true })).toBe("");
  });

  test("across two minor releases is refused even with the setting", () => {
    expect(said({ ...back, talosVersion: "v1.10.9", allowDowngrade: true })).toContain(
      "one minor release at a time",
    );
  });
});

test("a custom etcd image takes precedence over the one that Talos comes with", () => {
  const etcdImage = "registry.k8s.io/etcd:v3.6.12";
  expect(said({ talosVersion: "v1.14.1", etcdImage })).toBe("");
  expect(said({ members: three("3.7.1", "3.7.0"), talosVersion: "v1.14.1", etcdImage })).toContain(
    `cluster.etcd.image (${etcdImage}) runs etcd 3.6.12, and etcd's data has version 3.7`,
  );
  expect(said({ etcdImage: "registry/etcd@sha256:0123" })).toBe("");
});

test("unreadable versions are ignored", () => {
  expect(clusterVersion([member("unknown", "unknown")], false)).toBeUndefined();
  expect(said({ members: [], talosVersion: "v1.13.9" })).toBe("");
});
