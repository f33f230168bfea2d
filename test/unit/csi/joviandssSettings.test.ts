import { describe, expect, test } from "vitest";
import { joviandssSchema, joviandssWarnings } from "../../../components/csi/joviandssSettings.ts";
import { withChange, digest, joviandss } from "./plainSettings.ts";
import type { Path } from "./plainSettings.ts";
import { problemsOf } from "./problemsOf.ts";

test("the minimal settings are valid", () => {
  expect(problemsOf(joviandssSchema, joviandss)).toEqual([]);
});

// Each row: the change, the path of the problem, and the expected reason (what was found, what would be right).
describe("JovianDSS refuses", () => {
  test.each<[string, Path, unknown, string, RegExp]>([
    ["no image", ["image"], undefined, "image", /missing; set an image with a tag or, better, a digest/],
    ["the tag latest", ["image"], "opene/joviandss-csi:latest", "image", /can change at any time/],
    ["no tag", ["image"], "opene/joviandss-csi", "image", /neither tag nor digest, which means :latest/],
    [
      "something that is no image",
      ["image"],
      "https://hub.docker.com/x",
      "image",
      /is not an image reference/,
    ],
    ["a cut digest", ["image"], "opene/joviandss-csi@sha256:abc", "image", /is not an image reference/],
    [
      "no endpoint",
      ["endpoint"],
      undefined,
      "endpoint",
      /missing; set an object with the keys addresses, port/,
    ],
    [
      "no address",
      ["endpoint", "addresses"],
      undefined,
      "endpoint.addresses",
      /missing; set the addresses of the JovianDSS REST API/,
    ],
    ["an empty list of addresses", ["endpoint", "addresses"], [], "endpoint.addresses", /is empty/],
    [
      "an address with a scheme",
      ["endpoint", "addresses"],
      ["https://10.0.0.1"],
      "endpoint.addresses[0]",
      /"https:\/\/10.0.0.1" is not an address.*without scheme or port/,
    ],
    [
      "an address with a port",
      ["endpoint", "addresses"],
      ["10.0.0.1", "10.0.0.2:82"],
      "endpoint.addresses[1]",
      /is not an address/,
    ],
    [
      "an address that cannot be",
      ["endpoint", "addresses"],
      ["999.1.1.1"],
      "endpoint.addresses[0]",
      /is not an address/,
    ],
    ["no user", ["endpoint", "user"], undefined, "endpoint.user", /missing/],
    [
      "no password",
      ["endpoint", "password"],
      undefined,
      "endpoint.password",
      /missing; set the REST user's password/,
    ],
    ["an empty password", ["endpoint", "password"], "", "endpoint.password", /is empty/],
    [
      "a port of 0",
      ["endpoint", "port"],
      0,
      "endpoint.port",
      /0 is not a port; use a whole number from 1 to 65535/,
    ],
    ["a port of 65536", ["endpoint", "port"], 65536, "endpoint.port", /65536 is not a port/],
    ["a port in quotes", ["endpoint", "port"], "82", "endpoint.port", /"82" is not a port/],
    [
      "http without saying so",
      ["endpoint", "protocol"],
      "http",
      "endpoint.protocol",
      /clear text.*allowHttp: true/,
    ],
    [
      "another protocol",
      ["endpoint", "protocol"],
      "ftp",
      "endpoint.protocol",
      /"ftp" is not supported; use https or http/,
    ],
    [
      "a time the driver cannot read",
      ["endpoint", "idleTimeout"],
      "30 seconds",
      "endpoint.idleTimeout",
      /Go duration.*crash/,
    ],
    [
      "no iSCSI address",
      ["iscsi", "addresses"],
      [],
      "iscsi.addresses",
      /is empty; give the iSCSI portal addresses/,
    ],
    [
      "an iSCSI port the driver would not use",
      ["iscsi", "port"],
      3261,
      "iscsi.port",
      /3261 would never be used.*only 3260 works/,
    ],
    [
      "a target prefix that is none",
      ["iscsi", "targetPrefix"],
      "IQN.2019",
      "iscsi.targetPrefix",
      /is not the start of an iSCSI name/,
    ],
    ["no pool", ["pools"], undefined, "pools", /missing; set the pools/],
    ["an empty list of pools", ["pools"], [], "pools", /is empty/],
    ["a pool with a slash", ["pools", 0, "name"], "Pool/0", "pools[0].name", /is not a pool name/],
    [
      "ReadWriteMany",
      ["pools", 0, "storageClasses"],
      [{ name: "a", accessModes: ["ReadWriteMany"] }],
      "pools[0].storageClasses[0].accessModes[0]",
      /"ReadWriteMany" is not supported.*two nodes.*ReadWriteOnce/,
    ],
    [
      "ReadOnlyMany",
      ["pools", 0, "storageClasses"],
      [{ name: "a", accessModes: ["ReadWriteOnce", "ReadOnlyMany"] }],
      "pools[0].storageClasses[0].accessModes[1]",
      /"ReadOnlyMany" is not supported/,
    ],
    [
      "raw block volumes",
      ["pools", 0, "storageClasses"],
      [{ name: "a", volumeMode: "Block" }],
      "pools[0].storageClasses[0].volumeMode",
      /"Block" is not supported/,
    ],
    [
      "a file system the image cannot make",
      ["pools", 0, "storageClasses"],
      [{ name: "a", fsType: "btrfs" }],
      "pools[0].storageClasses[0].fsType",
      /use ext4, ext3 or xfs/,
    ],
    [
      "a name that Kubernetes refuses",
      ["pools", 0, "storageClasses"],
      [{ name: "Fast Disks" }],
      "pools[0].storageClasses[0].name",
      /is not a Kubernetes name/,
    ],
    [
      "one StorageClass twice",
      ["pools", 0, "storageClasses"],
      [{ name: "a" }, { name: "a" }],
      "pools[0].storageClasses[1].name",
      /a is pools\[0\]\.storageClasses\[0\] already/,
    ],
    [
      "a second pool of the same driver",
      ["pools"],
      [{ name: "Pool-0" }, { name: "Pool-1" }],
      "pools[1].driver",
      /already serves pools\[0\] \(Pool-0\)/,
    ],
    [
      "one pool twice",
      ["pools"],
      [{ name: "P" }, { name: "P", driver: { name: "p.example.com", image: `example.com/p@${digest}` } }],
      "pools[1].name",
      /pool P cannot be distinguished from pools\[0\] \(P\)/,
    ],
    [
      "a driver name longer than CSI allows",
      ["pools", 0, "driver"],
      { name: `${"a".repeat(52)}.example.com`, image: `example.com/p@${digest}` },
      "pools[0].driver.name",
      /64 characters long; CSI allows 63/,
    ],
    [
      "an unknown key",
      ["endpoint", "adresses"],
      ["10.0.0.1"],
      "endpoint.adresses",
      /unknown key; known keys: addresses, port/,
    ],
    ["an unknown strategy", ["iscsiadm"], { strategy: "ssh" }, "iscsiadm.strategy", /chroot or nsenter/],
    [
      "a relative iscsiadm",
      ["iscsiadm"],
      { path: "sbin/iscsiadm" },
      "iscsiadm.path",
      /is not an absolute path/,
    ],
    ["a namespace that is none", ["namespace"], "Joviandss", "namespace", /is not a namespace name/],
    ["a registry with a scheme", ["registry"], "https://mirror.example.com", "registry", /without a scheme/],
    [
      "a sidecar without a version",
      ["images"],
      { attacher: "example.com/attacher" },
      "images.attacher",
      /neither tag nor digest/,
    ],
    [
      "a sidecar that does not exist",
      ["images"],
      { healthmonitor: "a:1" },
      "images.healthmonitor",
      /unknown key; known keys: provisioner/,
    ],
    [
      "no nodes at all during a rollout",
      ["node"],
      { maxUnavailable: 0 },
      "node.maxUnavailable",
      /from 1 or a percentage/,
    ],
    [
      "a node label with a space",
      ["node"],
      { nodeSelector: { "example.com/rack": "rack 1" } },
      "node.nodeSelector.example.com/rack",
      /not a label's value/,
    ],
    [
      "a node label with two slashes",
      ["controller"],
      { nodeSelector: { "example.com/rack/row": "1" } },
      "controller.nodeSelector.example.com/rack/row",
      /not a label's name/,
    ],
    [
      "a toleration of a taint that cannot be",
      ["controller"],
      { tolerations: [{ key: "for storage", operator: "Exists" }] },
      "controller.tolerations[0].key",
      /not a taint's name/,
    ],
    [
      "a toleration of every key that is not one of every taint",
      ["controller"],
      { tolerations: [{ effect: "NoSchedule" }] },
      "controller.tolerations[0].operator",
      /without a key must be Exists/,
    ],
    [
      "a toleration of any value that names one",
      ["node"],
      { tolerations: [{ key: "storage", operator: "Exists", value: "only" }] },
      "node.tolerations[0].value",
      /belongs to the operator Equal/,
    ],
    [
      "a toleration for a time of what evicts nothing",
      ["probe"],
      { tolerations: [{ key: "storage", value: "only", effect: "NoSchedule", tolerationSeconds: 60 }] },
      "probe.tolerations[0].tolerationSeconds",
      /needs the effect NoExecute/,
    ],
    [
      "a switch in quotes",
      ["guardAccessModes"],
      "yes",
      "guardAccessModes",
      /"yes" is not a boolean; use true or false/,
    ],
  ])("%s", (_, path, value, where, reason) => {
    const problems = problemsOf(joviandssSchema, withChange(joviandss, path, value));
    expect(problems).toEqual([{ path: where, reason: expect.stringMatching(reason) as string }]);
  });

  test("with every problem at once", () => {
    expect(problemsOf(joviandssSchema, {}).map(({ path }) => path)).toEqual([
      "image",
      "endpoint",
      "iscsi",
      "pools",
    ]);
  });

  test("without ever showing the password", () => {
    const wrong = {
      ...joviandss,
      image: "x",
      endpoint: { ...joviandss.endpoint, protocol: "http", password: ["hunter2"], pass: "hunter2" },
    };
    expect(JSON.stringify(problemsOf(joviandssSchema, wrong))).not.toContain("hunter2");
  });
});

test("a namespace that becomes too long with a pool's name is refused", () => {
  const driver = { name: "p.example.com", image: `example.com/p@${digest}` };
  const pools = [{ name: "Pool-0" }, { name: "backup-pool-frankfurt", driver }];
  expect(problemsOf(joviandssSchema, { ...joviandss, pools, namespace: "n".repeat(41) })).toEqual([]);
  expect(problemsOf(joviandssSchema, { ...joviandss, pools, namespace: "n".repeat(42) })).toEqual([
    {
      path: "namespace",
      reason: expect.stringMatching(/pools\[1\].*64 characters; Kubernetes allows 63/) as string,
    },
  ]);
});

test("http is allowed if explicitly enabled", () => {
  const endpoint = { ...joviandss.endpoint, protocol: "http", allowHttp: true };
  expect(problemsOf(joviandssSchema, { ...joviandss, endpoint })).toEqual([]);
});

test.each(["10.0.0.1", "storage.example.com", "nas"])("%s is a valid address", (address) => {
  expect(problemsOf(joviandssSchema, withChange(joviandss, ["endpoint", "addresses"], [address]))).toEqual(
    [],
  );
});

// The driver builds its REST URL without brackets, fails to parse it and dereferences nil.
test.each(["endpoint", "iscsi"])("an IPv6 address in %s is refused with the reason", (section) => {
  for (const address of ["2001:db8::1", "[2001:db8::1]"]) {
    expect(problemsOf(joviandssSchema, withChange(joviandss, [section, "addresses"], [address]))).toEqual([
      {
        path: `${section}.addresses[0]`,
        reason: expect.stringMatching(/IPv6 address, which the driver does not support/) as string,
      },
    ]);
  }
});

test("snapshots cause a warning that they cannot be restored", () => {
  const warned = joviandssWarnings(
    joviandssSchema.parse({ ...joviandss, image: `a/b@${digest}`, snapshots: { enabled: true } }),
  );
  expect(warned.map(({ path }) => path)).toEqual(["snapshots.enabled"]);
  expect(warned[0]?.reason).toMatch(/not restored.*cannot be cloned/);
});

test.each([
  "opene/joviandss-csi:v1.1.0",
  `opene/joviandss-csi@${digest}`,
  `localhost:5000/a/b:1@${digest}`,
  "joviandss:1",
])("%s is a valid image", (image) => {
  expect(problemsOf(joviandssSchema, { ...joviandss, image })).toEqual([]);
});

test("settings that do less than they seem to cause a warning", () => {
  const settings = joviandssSchema.parse({
    ...joviandss,
    image: "opene/joviandss-csi:v1.1.0",
    endpoint: { ...joviandss.endpoint, addresses: ["10.0.0.1", "10.0.0.2"] },
    iscsi: { addresses: ["10.0.0.1", "10.0.0.2"] },
  });
  expect(joviandssWarnings(settings).map(({ path }) => path)).toEqual([
    "endpoint.addresses",
    "iscsi.addresses",
    "image",
  ]);
  expect(joviandssWarnings(joviandssSchema.parse(joviandss))).toEqual([]);
});
