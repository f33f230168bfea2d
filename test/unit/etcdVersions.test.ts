import { describe, expect, test } from "vitest";
import { etcdMinor, etcdVersionOf, etcdVersionOfImage, isUnsafeBefore36 } from "../../talos/etcdVersions.ts";
import { KNOWN_CONTRACTS } from "../../talos/releases.ts";

describe("the etcd of a Talos release", () => {
  test.each([
    ["v1.6.8", "3.5.11"],
    ["v1.9.5", "3.5.19"],
    ["v1.10.8", "3.5.21"],
    ["v1.10.9", "3.5.26"],
    ["v1.11.0", "3.6.4"],
    ["v1.12.7", "3.6.9"],
    ["v1.12.11", "3.6.11"],
    ["v1.13.9", "3.6.12"],
    ["v1.13.12", "3.6.12"],
    ["v1.14.0", "3.7.1"],
  ])("%s runs etcd %s", (talos, etcd) => expect(etcdVersionOf(talos)).toBe(etcd));

  test("is known exactly for the minor releases that this program knows", () => {
    expect(KNOWN_CONTRACTS.filter((contract) => etcdVersionOf(`${contract}.0`) === undefined)).toEqual([]);
    expect(etcdVersionOf("v1.99.0")).toBeUndefined();
  });
});

test("versions are parsed as etcd, Talos and registries write them", () => {
  expect(etcdVersionOfImage("registry.k8s.io/etcd:v3.6.12")).toBe("3.6.12");
  expect(etcdVersionOfImage("registry.k8s.io/etcd:3.5.26-0")).toBe("3.5.26");
  expect(etcdVersionOfImage("mirror:5000/etcd:v3.6.4@sha256:0123")).toBe("3.6.4");
  expect(etcdVersionOfImage("mirror:5000/etcd")).toBeUndefined();
  expect(etcdMinor("3.6.0")).toEqual({ major: 3, minor: 6 });
  expect(etcdMinor("3.6")).toEqual({ major: 3, minor: 6 });
  expect(etcdMinor("unknown")).toBeUndefined();
});

test("only etcd 3.5 before 3.5.26 must not be followed by 3.6", () => {
  expect(["3.5.25", "3.5.0", "v3.5.21"].filter(isUnsafeBefore36)).toHaveLength(3);
  expect(["3.5.26", "3.5.27", "3.6.4", "3.4.9"].filter(isUnsafeBefore36)).toEqual([]);
});
