import { describe, expect, test } from "vitest";
import { imageProblem, inRegistry, parseImageReference } from "../../../components/csi/imageReference.ts";
import { sidecarImages } from "../../../components/csi/sidecars.ts";
import { digest } from "./plainSettings.ts";

describe("an image reference", () => {
  test.each([
    ["nginx:1", undefined, "nginx", "1", undefined],
    ["opene/joviandss-csi:v1", undefined, "opene/joviandss-csi", "v1", undefined],
    ["registry.k8s.io/sig-storage/x:v6.3.0", "registry.k8s.io", "sig-storage/x", "v6.3.0", undefined],
    ["localhost:5000/a/b-c_d", "localhost:5000", "a/b-c_d", undefined, undefined],
    ["localhost/a:1", "localhost", "a", "1", undefined],
    ["[fd00::5]:8080/a/b:1", "[fd00::5]:8080", "a/b", "1", undefined],
    ["[fd00::5]/a:1", "[fd00::5]", "a", "1", undefined],
    [`a.io/b:1@${digest}`, "a.io", "b", "1", digest],
  ])("%s", (reference, host, path, tag, expectedDigest) => {
    expect(parseImageReference(reference)).toEqual({ host, path, tag, digest: expectedDigest });
  });

  test.each([
    "",
    "A/b:1",
    "a//b:1",
    "https://a.io/b:1",
    "a:b:c",
    "a b:1",
    "a.io/:1",
    "a@sha256:0",
    "/a:1",
    "a/",
    "a.io:port/b:1",
    "[a.io]/b:1",
    "fd00::5/b:1",
  ])("%j is not one", (reference) => {
    expect(parseImageReference(reference)).toBeUndefined();
  });

  test("is valid for every pinned sidecar", () => {
    for (const image of Object.values(sidecarImages)) expect(imageProblem(image)).toBeUndefined();
  });
});

test.each([
  ["registry.k8s.io/sig-storage/x:v1", "mirror.io", "mirror.io/sig-storage/x:v1"],
  ["opene/joviandss-csi:v1", "mirror.io:5000/k8s/", "mirror.io:5000/k8s/opene/joviandss-csi:v1"],
  [`docker.io/a/b:1@${digest}`, "mirror.io", `mirror.io/a/b:1@${digest}`],
  ["a/b:1", undefined, "a/b:1"],
])("%s in the registry %s becomes %s", (reference, registry, expected) => {
  expect(inRegistry(reference, registry)).toBe(expected);
});
