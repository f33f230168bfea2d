import { describe, expect, it } from "vitest";
import {
  imageForRelease,
  readImages,
  isProxyDisabled,
  keepRunningImages,
  pinnedComponents,
  releaseOfImage,
  differOnlyInImages,
  setImages,
} from "../../talos/kubernetesImages.ts";

const config = (kubelet: string, apiServer: string, hostname = "cp1"): string => `version: v1alpha1
machine:
  type: controlplane
  kubelet:
    image: ghcr.io/siderolabs/kubelet:${kubelet}
  network:
    hostname: ${hostname}
cluster:
  apiServer:
    image: registry.k8s.io/kube-apiserver:${apiServer}
`;

const documents = `version: v1alpha1
machine:
  type: controlplane
---
apiVersion: v1alpha1
kind: KubeletConfig
image: ghcr.io/siderolabs/kubelet:v1.36.1
---
apiVersion: v1alpha1
kind: KubeAPIServerConfig
image: registry.k8s.io/kube-apiserver:v1.36.1
`;

describe("the images of a machine configuration", () => {
  it("are read from the v1alpha1 document and from separate documents", () => {
    expect(readImages(config("v1.35.4-slim", "v1.35.4"))).toEqual({
      kubelet: "ghcr.io/siderolabs/kubelet:v1.35.4-slim",
      "kube-apiserver": "registry.k8s.io/kube-apiserver:v1.35.4",
    });
    expect(readImages(documents)).toEqual({
      kubelet: "ghcr.io/siderolabs/kubelet:v1.36.1",
      "kube-apiserver": "registry.k8s.io/kube-apiserver:v1.36.1",
    });
  });

  it("are replaced in place, added where missing, and removed", () => {
    const moved = setImages(documents, {
      kubelet: "mirror/kubelet:v1.36.2",
      "kube-proxy": "mirror/p:v1.36.2",
    });
    expect(readImages(moved)).toEqual({
      ...readImages(documents),
      kubelet: "mirror/kubelet:v1.36.2",
      "kube-proxy": "mirror/p:v1.36.2",
    });
    expect(readImages(setImages(documents, { kubelet: undefined }))).not.toHaveProperty("kubelet");
    const text = config("v1.35.4", "v1.35.4");
    expect(setImages(text, { kubelet: "ghcr.io/siderolabs/kubelet:v1.35.4" })).toBe(text);
  });
});

describe("a configuration for a node that already runs Kubernetes", () => {
  const running = config("v1.35.2", "v1.35.4");
  const wanted = config("v1.36.1", "v1.36.1", "cp-1");

  it("keeps the node's own images and takes the rest from the wanted configuration", () => {
    expect(keepRunningImages(wanted, running, [])).toBe(config("v1.35.2", "v1.35.4", "cp-1"));
  });

  it("names no image if the running configuration names none", () => {
    expect(
      readImages(keepRunningImages(wanted, "version: v1alpha1\nmachine:\n  type: controlplane\n", [])),
    ).toEqual({});
  });

  it.each([
    ["a strategic patch", "machine:\n  kubelet:\n    image: ghcr.io/siderolabs/kubelet:v1.36.1\n"],
    [
      "a JSON patch",
      "- op: replace\n  path: /machine/kubelet/image\n  value: ghcr.io/siderolabs/kubelet:v1.36.1\n",
    ],
    [
      "a JSON patch of all that is around it",
      "- op: replace\n  path: /machine/kubelet\n  value:\n    image: ghcr.io/siderolabs/kubelet:v1.36.1\n",
    ],
    ["a document", "apiVersion: v1alpha1\nkind: KubeletConfig\nimage: ghcr.io/siderolabs/kubelet:v1.36.1\n"],
  ])("applies an image that %s pins", (_, patch) => {
    expect([...pinnedComponents([patch])]).toEqual(["kubelet"]);
    expect(keepRunningImages(wanted, running, [patch])).toBe(config("v1.36.1", "v1.35.4", "cp-1"));
    expect(differOnlyInImages(running, config("v1.36.1", "v1.35.4"), [patch])).toBe(false);
  });

  it("is not pinned by a patch of its surroundings", () => {
    expect([
      ...pinnedComponents(["- op: add\n  path: /machine/kubelet\n  value:\n    clusterDNS: [10.96.0.10]\n"]),
    ]).toEqual([]);
  });

  it("equals a configuration that differs only in images", () => {
    expect(differOnlyInImages(running, config("v1.36.1", "v1.36.1"), [])).toBe(true);
    expect(differOnlyInImages(running, wanted, [])).toBe(false);
  });

  it("equals the same configuration written in another way, but not with lists in another order", () => {
    const one = "machine:\n    type: worker\n    certSANs: [a, b]\n    sysctls: {b: \"1\", a: '2'}\n";
    const other =
      "machine:\n  sysctls:\n    a: \"2\"\n    b: '1'\n  certSANs:\n    - a\n    - b\n  type: worker\n";
    expect(differOnlyInImages(one, other, [])).toBe(true);
    expect(differOnlyInImages(one, other.replace("'1'", "'2'"), [])).toBe(false);
    expect(differOnlyInImages(one, other.replace("- a\n    - b", "- b\n    - a"), [])).toBe(false);
  });
});

describe("an image", () => {
  const digest = `@sha256:${"a".repeat(64)}`;

  it.each([
    ["registry.k8s.io/kube-apiserver:v1.36.1", "v1.36.1"],
    ["127.0.0.1:5000/kubelet:v1.36.1-fat", "v1.36.1"],
    [`mirror/kubelet:v1.37.0-rc.1${digest}`, "v1.37.0-rc.1"],
    ["mirror:5000/kubelet", undefined],
    [`mirror/kubelet${digest}`, undefined],
    ["mirror/kubelet:latest", undefined],
    [undefined, undefined],
  ])("%s is of release %s", (image, release) => {
    expect(releaseOfImage(image)).toBe(release);
  });

  it("keeps its registry and variant in another release, and drops the old digest", () => {
    expect(imageForRelease("kubelet", `mirror:5000/kubelet:v1.36.1-slim${digest}`, "v1.36.2")).toBe(
      "mirror:5000/kubelet:v1.36.2-slim",
    );
    expect(imageForRelease("kubelet", `mirror:5000/kubelet${digest}`, "v1.36.2")).toBe(
      "mirror:5000/kubelet:v1.36.2",
    );
    expect(imageForRelease("kubelet", undefined, "v1.36.2")).toBe("ghcr.io/siderolabs/kubelet:v1.36.2");
  });
});

it.each([
  ["mirror:5000/kubelet", "mirror:5000/kubelet:v1.36.2"],
  ["mirror:5000/kubelet:latest", "mirror:5000/kubelet:v1.36.2"],
  ["mirror/team/kubelet:v1.36", "mirror/team/kubelet:v1.36.2"],
  [`mirror/kubelet:hardened@sha256:${"a".repeat(64)}`, "mirror/kubelet:v1.36.2"],
])("%s becomes %s in another release", (image, moved) => {
  expect(imageForRelease("kubelet", image, "v1.36.2")).toBe(moved);
});

it.each([
  ["version: v1alpha1\ncluster:\n  proxy:\n    disabled: true\n", true],
  ["version: v1alpha1\ncluster:\n  proxy:\n    disabled: false\n", false],
  ["version: v1alpha1\n---\napiVersion: v1alpha1\nkind: KubeProxyConfig\nenabled: false\n", true],
  ["version: v1alpha1\n---\napiVersion: v1alpha1\nkind: KubeProxyConfig\nmode: nftables\n", false],
  ["version: v1alpha1\n", false],
])("%j disables kube-proxy: %s", (text, isOut) => {
  expect(isProxyDisabled(text)).toBe(isOut);
});
