import { describe, expect, it } from "vitest";
import { SettingsError } from "../../config.ts";
import { problemCode } from "../../settings/problemCode.ts";
import { coded } from "../../talos/errorCodes.ts";
import { parseDuration } from "../../settings/schema.ts";
import { withValues, minimalSettings, parseOutcome, usualSettings } from "./settings/example.ts";
import { joviandss, synology } from "./csi/plainSettings.ts";

describe("valid settings", () => {
  it("need a cluster, one control plane and a release, and default to production values", () => {
    expect(parseOutcome(minimalSettings())).toEqual({
      message: "",
      problems: [],
      settings: {
        talosVersion: "v1.13.9",
        image: {
          factory: "https://factory.talos.dev",
          platform: "metal",
          architecture: "amd64",
          secureBoot: false,
          schematic: {
            customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } },
          },
        },
        images: {},
        outputs: { machineConfigurations: false },
        cluster: {
          name: "dev",
          endpoint: "https://10.0.0.10:6443",
          nodes: [
            {
              name: "cp1",
              address: "10.0.0.11",
              role: "controlplane",
              talosVersion: "v1.13.9",
              iscsi: true,
              labels: {},
              taints: {},
              patches: [],
            },
          ],
          pools: {},
          talosEndpoints: [],
          onRemove: "keep",
          protectSecrets: true,
          renewCredentials: false,
          acceptDropped: [],
          acceptDriverChanges: [],
          patches: { all: [], controlplane: [], worker: [] },
        },
        upgrade: {
          prePull: true,
          drain: {
            ...{ enabled: true, timeout: 300, whenBlocked: "stop", blockedTimeout: 120 },
            leftoverSessions: "warn",
          },
          workers: { maxUnavailable: 1 },
          pools: {},
          gates: [],
          windows: [],
          outsideWindow: "stop",
          storageGate: { timeout: 300 },
          through: "refuse",
          releases: [],
          timeout: 1800,
          configurationTimeout: 600,
          allowSkew: false,
          kubernetes: { acceptRemovedApis: false, releases: [] },
          etcdDowngrade: false,
        },
        namespaces: [],
        strictSecrets: false,
        warnings: [],
        hidden: { configurations: [], values: [] },
      },
    });
  });

  it("give nodes without a release the cluster's, and turn patches into YAML text", () => {
    const { settings } = parseOutcome(
      withValues(usualSettings(), {
        "cluster.nodes[3].talosVersion": "v1.13.7",
        "cluster.nodes[3].patches": [{ machine: { sysctls: { "vm.nr_hugepages": "1024" } } }],
        "cluster.patches.worker": ["machine:\n  sysctls:\n    vm.max_map_count: '262144'\n"],
      }),
    );
    expect(settings?.cluster.nodes.map((node) => node.talosVersion)).toEqual([
      ...["v1.13.9", "v1.13.9", "v1.13.9", "v1.13.7", "v1.13.9"],
    ]);
    expect(settings?.cluster.nodes[3]?.patches).toEqual([
      'machine:\n  sysctls:\n    vm.nr_hugepages: "1024"\n',
    ]);
    expect(settings?.cluster.patches.worker).toEqual([
      "machine:\n  sysctls:\n    vm.max_map_count: '262144'\n",
    ]);
  });

  it.each([
    ["cluster.endpoint", "https://[fd00::10]:6443"],
    ["cluster.endpoint", "https://kubernetes.example.com:6443"],
    ["cluster.nodes[0].address", "fd00::11"],
    ["cluster.nodes[0].address", "cp1.example.com"],
    ["cluster.name", "prod.eu_1"],
    ["cluster.podSubnets", ["10.244.0.0/16", "fd00:10:244::/56"]],
    ["image.factory", "http://127.10.0.2:8080"],
    ["image.factory", "https://factory.example.com/"],
    ["upgrade.workers.maxUnavailable", "100%"],
    ["upgrade.workers.maxUnavailable", 3],
    ["upgrade.timeout", "1h30m"],
    ["upgrade.drain", { enabled: false }],
    ["talosContract", "v1.13"],
    ["cluster.nodes[0].installDisk", "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4"],
  ])("accept %s: %j", (path, value) => {
    expect(parseOutcome(withValues(minimalSettings(), { [path]: value })).problems).toEqual([]);
  });

  it.each([
    ["90s", 90],
    ["5m", 300],
    ["1h30m", 5400],
    ["2h0m1s", 7201],
  ])("parse the duration %s", (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });
});

/** A wrong value at a path, the reason that is expected, and the path that is reported if it differs. */
type Mistake = [path: string, value: unknown, reason: RegExp, at?: string];

const mistakes: Mistake[] = [
  // Missing keys.
  ["talosVersion", undefined, /^is missing; it must be a Talos release such as v1\.13\.9$/],
  ["cluster", undefined, /^missing; set an object with the keys name, endpoint, nodes/],
  ["cluster.name", undefined, /^is missing; it must be the cluster's name$/],
  ["cluster.endpoint", undefined, /^is missing; it must be .* such as https:\/\/10\.0\.0\.10:6443$/],
  ["cluster.nodes", undefined, /^is missing; it must be a list of nodes$/],
  ["cluster.nodes[0].name", undefined, /^is missing; it must be the node's name, such as cp1$/],
  ["cluster.nodes[0].address", undefined, /^is missing; it must be an IP address or DNS name/],
  ["cluster.nodes[0].role", undefined, /^is missing; it must be controlplane or worker$/],
  // Unknown keys, at every level.
  ["talosVerson", "v1.13.9", /^unknown key; known keys: talosVersion, .*Did you mean talosVersion\?$/],
  ["kubernetesversion", "v1.35.4", /Did you mean kubernetesVersion\?$/],
  ["image.platfrom", "metal", /^unknown key; known keys: factory, .*Did you mean platform\?$/],
  ["cluster.ednpoint", "x", /Did you mean endpoint\?$/],
  ["cluster.nodes[0].adress", "10.0.0.11", /Did you mean address\?$/],
  [
    "cluster.nodes[0].colour",
    "red",
    /^unknown key; known keys: name, address, endpoint, role.*patches, onRemove$/,
  ],
  ["cluster.patches.workers", [], /Did you mean worker\?$/],
  ["upgrade.drian", {}, /Did you mean drain\?$/],
  ["upgrade.drain.timeuot", "5m", /Did you mean timeout\?$/],
  ["upgrade.workers.maxUnavailible", 1, /Did you mean maxUnavailable\?$/],
  // Wrong types.
  ["talosVersion", 1.13, /^is 1\.13; it must be a Talos release such as/],
  ["talosVersion", null, /^is empty; it must be a Talos release/],
  ["cluster", [], /^must be an object with the keys name, endpoint/],
  ["cluster.nodes", {}, /^is a mapping; it must be a list of nodes$/],
  ["cluster.nodes", [], /^is a list; it must be a list of nodes with at least one control plane$/],
  ["cluster.nodes[0]", "cp1", /^must be an object with the keys name, address, endpoint, role/],
  ["cluster.nodes[0].role", "master", /^is "master"; it must be controlplane or worker$/],
  ["cluster.protectSecrets", "yes", /^is "yes"; it must be true or false$/],
  ["image.secureBoot", 1, /it must be true or false$/],
  ["upgrade", "fast", /^must be an object with the keys prePull/],
  ["upgrade.prePull", "true", /it must be true or false$/],
  ["cluster.patches.all", "machine: {}", /^must be a list of machine configuration patches$/],
  [
    "cluster.patches.all",
    [7],
    /^must be a machine configuration patch: YAML text or a mapping$/,
    "cluster.patches.all[0]",
  ],
  ["cluster.nodes[0].patches", [{}], /^must be a machine configuration patch/, "cluster.nodes[0].patches[0]"],
  ["cluster.nodes[0].patches", ["  "], /^line 1: is empty$/, "cluster.nodes[0].patches[0]"],
  // Names and addresses.
  ["cluster.name", "a b", /^is "a b"; it must be letters, digits, dashes, dots and underscores, at most 63$/],
  ["cluster.nodes[0].name", "CP_1", /^is "CP_1"; it must be a host name: lowercase letters/],
  ["cluster.nodes[0].name", "a".repeat(64), /it must be a host name.*at most 63$/],
  [
    "cluster.nodes[0].address",
    "10.0.0.256",
    /^is "10\.0\.0\.256"; it must be an IP address or DNS name, without a port$/,
  ],
  ["cluster.nodes[0].address", "10.0.0.01", /it must be an IP address/],
  ["cluster.nodes[0].address", "10.0.0.11:50000", /without a port$/],
  ["cluster.nodes[0].address", "https://10.0.0.11", /without a port$/],
  ["cluster.nodes[0].address", "fd00::1::2", /it must be an IP address/],
  ["cluster.nodes[0].address", `${"a".repeat(64)}.example.com`, /it must be an IP address or DNS name/],
  [
    "cluster.nodes[1].name",
    "cp1",
    /^is "cp1", the same as cluster\.nodes\[0\]\.name; every node needs its own name$/,
  ],
  ["cluster.nodes[4].address", "10.0.0.11", /^is "10\.0\.0\.11", the same as cluster\.nodes\[0\]\.address/],
  [
    "cluster.nodes[0].installDisk",
    "sda",
    /^is "sda"; it must be the device to install to, such as \/dev\/nvme0n1$/,
  ],
  // Releases.
  [
    "talosVersion",
    "1.13.9",
    /^is "1\.13\.9"; it must be a full Talos release with the v, such as v1\.13\.9$/,
  ],
  ["talosVersion", "latest", /^is "latest"; it must be a full Talos release/],
  ["talosVersion", "v1.13", /^is "v1\.13"; it must be a full Talos release/],
  ["talosVersion", "v99999999999999999999999.0.0", /a full .* release with the v/],
  ["talosVersion", "v1.13.09", /a full .* release with the v/],
  ["talosVersion", "v1.13.9-dirty", /a full .* release with the v/],
  ["talosVersion", " v1.13.9", /a full .* release with the v/],
  ["talosVersion", "v1.5.5", /^is v1\.5\.5, which has no extension iscsi-tools; choose a newer release/],
  [
    "talosVersion",
    "v1.12.5",
    /^is v1\.12\.5: .*without \/usr\/local\/sbin\/iscsiadm.*; v1\.12\.7 does not have this defect \(siderolabs\/talos#12951/,
  ],
  ["talosVersion", "v1.13.8", /^is v1\.13\.8: .*; v1\.13\.9 does not have this defect \(/],
  ["cluster.nodes[1].talosVersion", "v1.13.8", /^is v1\.13\.8: .*; v1\.13\.9 does not have this defect \(/],
  ["cluster.nodes[1].talosVersion", "1.13", /a full .* release with the v/],
  [
    "talosContract",
    "v1.12.3",
    /^is "v1\.12\.3"; it must be only the major and minor release, with the v, such as v1\.12$/,
  ],
  ["talosContract", "1.12", /with the v, such as v1\.12$/],
  [
    "talosContract",
    "v1.14",
    /^is v1\.14, newer than talosVersion \(v1\.13\.9\); a release cannot read a newer machine configuration$/,
  ],
  [
    "kubernetesVersion",
    "1.35.4",
    /^is "1\.35\.4"; it must be a full Kubernetes release with the v, such as v1\.35\.4$/,
  ],
  ["kubernetesVersion", "stable", /a full .* release with the v/],
  [
    "kubernetesVersion",
    "v1.30.0",
    /^does not fit talosVersion: Talos v1\.13\.9 runs Kubernetes v1\.31 to v1\.36, not v1\.30\.0: upgrade Kubernetes to v1\.31/,
  ],
  [
    "kubernetesVersion",
    "v1.37.0",
    /^does not fit talosVersion: .*choose a newer Talos or Kubernetes v1\.36$/,
  ],
  // URLs and networks.
  [
    "cluster.endpoint",
    "http://10.0.0.10:6443",
    /^is "http:\/\/10\.0\.0\.10:6443"; it must be an https URL with only host and port/,
  ],
  ["cluster.endpoint", "10.0.0.10:6443", /it must be an https URL/],
  ["cluster.endpoint", "https://", /it must be an https URL/],
  ["cluster.endpoint", "https://:6443", /it must be an https URL/],
  ["cluster.endpoint", "https://10.0.0.999:6443", /it must be an https URL/],
  ["cluster.endpoint", "https://10.0.0.10:99999", /it must be an https URL/],
  ["cluster.endpoint", "https://10.0.0.10:6443/api", /with only host and port/],
  [
    "cluster.endpoint",
    "https://admin:hunter2@10.0.0.10:6443",
    /^is "https:\/\/…@10\.0\.0\.10:6443"; it must be an https URL with only host and port/,
  ],
  [
    "image.factory",
    "factory.talos.dev",
    /^is "factory\.talos\.dev"; it must be a URL with only scheme and host, such as https:\/\/factory\.talos\.dev$/,
  ],
  ["image.factory", "ftp://factory.talos.dev", /with only scheme and host/],
  ["image.factory", "https://factory.talos.dev/image?arch=amd64", /with only scheme and host/],
  ["image.platform", "Metal!", /^is "Metal!"; it must be a Talos platform such as metal, nocloud or vmware$/],
  [
    "cluster.podSubnets",
    ["10.244.0.0/33"],
    /^is "10\.244\.0\.0\/33"; it must be a CIDR such as 10\.244\.0\.0\/16$/,
    "cluster.podSubnets[0]",
  ],
  ["cluster.podSubnets", ["10.244.0.0"], /it must be a CIDR/, "cluster.podSubnets[0]"],
  ["cluster.podSubnets", [], /it must be a list of at least one CIDR$/],
  ["cluster.serviceSubnets", "10.96.0.0/12", /^is "10\.96\.0\.0\/12"; it must be a list of CIDRs$/],
  // Durations and numbers.
  [
    "upgrade.timeout",
    "30",
    /^is "30"; it must be a duration such as 90s, 5m or 1h30m, greater than zero and at most 24h$/,
  ],
  ["upgrade.timeout", 1800, /^is 1800; it must be a duration such as/],
  ["upgrade.timeout", "0s", /greater than zero/],
  ["upgrade.timeout", "-5m", /it must be a duration/],
  ["upgrade.timeout", "99999h", /at most 24h$/],
  [
    "upgrade.drain",
    { whenBlocked: "delete", timeout: "1m" },
    /^must be less than upgrade\.drain\.timeout/,
    "upgrade.drain.blockedTimeout",
  ],
  ["upgrade.drain.timeout", "5 minutes", /it must be a duration/],
  ["upgrade.windows", "at night", /^is "at night"; it must be a list of windows/],
  [
    "upgrade.windows",
    [{ from: "22:00", to: "04:00" }],
    /IANA time zone such as Europe\/Berlin or UTC$/,
    "upgrade.windows[0].timeZone",
  ],
  [
    "upgrade.windows",
    [{ days: ["friday"], from: "22:00", to: "04:00", timeZone: "UTC" }],
    /^is "friday"; it must be one of mon, tue/,
    "upgrade.windows[0].days[0]",
  ],
  [
    "upgrade.windows",
    [{ from: "22:00", to: "04:00", timeZone: "+01:00" }],
    /^is "\+01:00"; it must be an IANA time zone/,
    "upgrade.windows[0].timeZone",
  ],
  [
    "upgrade.windows",
    [{ from: "22:00", to: "22:00", timeZone: "UTC" }],
    /^is the same as from; for a whole day, use 00:00 to 24:00$/,
    "upgrade.windows[0].to",
  ],
  [
    "upgrade.gates",
    [{ apiVersion: "v1", kind: "Pod", jsonPath: "{.status[}", value: "x" }],
    /^is no JSONPath: /,
    "upgrade.gates[0].jsonPath",
  ],
  [
    "upgrade.gates",
    [{ apiVersion: "v1", kind: "Pod", jsonPath: "{.status.phase}" }],
    /^needs jsonPath and value together$/,
    "upgrade.gates[0]",
  ],
  [
    "upgrade.gates",
    [{ apiVersion: "v1", kind: "Pod" }],
    /^needs either condition or jsonPath with value$/,
    "upgrade.gates[0]",
  ],
  [
    "upgrade.gates",
    [{ apiVersion: "v1", kind: "Pod", name: "a", labelSelector: "b=c", condition: "Ready" }],
    /^conflicts with name; set only one of them$/,
    "upgrade.gates[0].labelSelector",
  ],
  ["upgrade.outsideWindow", "wait", /it must be stop or fail$/],
  ["upgrade.workers.maxUnavailable", 0, /^is 0; it must be a number of nodes, at least 1, or a percentage/],
  ["upgrade.workers.maxUnavailable", "0%", /from 1% to 100%, such as 25%$/],
  ["upgrade.workers.maxUnavailable", "101%", /from 1% to 100%/],
  ["upgrade.workers.maxUnavailable", "2", /it must be a number of nodes/],
  ["upgrade.workers.maxUnavailable", 1.5, /it must be a number of nodes/],
  // The schematic.
  [
    "image.schematic",
    "iscsi-tools",
    /^is "iscsi-tools"; it must be the Image Factory's schematic as a mapping$/,
  ],
  [
    "image.schematic.extensions",
    ["siderolabs/iscsi-tools"],
    /^is not a known key; known keys: owner, overlay, customization$/,
  ],
  [
    "image.schematic.customization.systemExtension",
    {},
    /^is not a known key; known keys: .*systemExtensions/,
  ],
  ["image.schematic.customization.extraKernelArgs", "quiet", /^must be a list, not text$/],
  [
    "image.schematic.customization.systemExtensions.officialExtensions",
    ["siderolabs/util-linux-tools"],
    /^has no siderolabs\/iscsi-tools; without it nodes cannot reach iSCSI storage$/,
  ],
];

describe("a mistake is reported at its path, with what is wrong and what would be right", () => {
  it.each(mistakes)("%s: %j", (path, value, reason, at = path) => {
    const withSchematic = path.startsWith("image.schematic.")
      ? {
          "image.schematic": {
            customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } },
          },
        }
      : {};
    const { problems, message } = parseOutcome(
      withValues(withValues(usualSettings(), withSchematic), { [path]: value }),
    );
    expect(problems).toEqual([{ path: at, reason: expect.stringMatching(reason) as string }]);
    expect(message).toBe(
      `the configuration has 1 mistake:\n  ${coded(problemCode({ path: at }), `${at}: ${problems[0]?.reason}`)}`,
    );
  });

  it("an extension that is newer than the release", () => {
    const { problems } = parseOutcome(
      withValues(minimalSettings(), {
        talosVersion: "v1.8.4",
        "image.schematic.customization.systemExtensions.officialExtensions": [
          ...["siderolabs/iscsi-tools", "siderolabs/multipath-tools"],
        ],
      }),
    );
    expect(problems).toEqual([
      {
        path: "talosVersion",
        reason:
          "is v1.8.4, which has no extension multipath-tools; choose a newer release, or remove it from image.schematic",
      },
    ]);
  });

  it("one address in two spellings", () => {
    const { problems } = parseOutcome(
      withValues(usualSettings(), {
        "cluster.nodes[0].address": "fd00::1",
        "cluster.nodes[1].address": "FD00:0:0:0:0:0:0:1",
      }),
    );
    expect(problems.map(({ path }) => path)).toEqual(["cluster.nodes[1].address"]);
  });

  it("no control plane", () => {
    const { problems } = parseOutcome(withValues(minimalSettings(), { "cluster.nodes[0].role": "worker" }));
    expect(problems).toEqual([
      { path: "cluster.nodes", reason: "has no control plane; at least one node needs role: controlplane" },
    ]);
  });

  it("a node's own release that does not run the cluster's Kubernetes or cannot read its configuration", () => {
    const { problems } = parseOutcome(
      withValues(usualSettings(), {
        talosContract: "v1.13",
        kubernetesVersion: "v1.36.0",
        "cluster.nodes[4].talosVersion": "v1.12.7",
      }),
    );
    expect(problems).toEqual([
      {
        path: "talosContract",
        reason:
          "is v1.13, newer than cluster.nodes[4].talosVersion (v1.12.7); a release cannot read a newer machine configuration",
      },
      {
        path: "kubernetesVersion",
        reason: expect.stringContaining(
          "does not fit cluster.nodes[4].talosVersion: Talos v1.12.7",
        ) as string,
      },
    ]);
  });
});

describe("several mistakes", () => {
  it("are all reported at once, each once", () => {
    const { problems, message } = parseOutcome({
      talosVersion: "1.13.9",
      kubernetesVersion: "1.35",
      image: { factory: "factory.talos.dev", schematic: { customization: { extraKernelArgs: "quiet" } } },
      cluster: {
        name: "dev",
        endpoint: "http://10.0.0.10:6443",
        nodes: [
          { name: "w1", address: "10.0.0.21", role: "worker" },
          { name: "w1", address: "10.0.0.21", role: "worker" },
        ],
        podSubnets: ["10.244.0.0"],
      },
      upgrade: { timeout: "soon", drain: { timeout: 300 } },
      joviandss: {},
      synologie: {},
    });
    const paths = problems.map(({ path }) => path);
    expect(paths).toEqual([...new Set(paths)]);
    expect(new Set(paths)).toEqual(
      new Set([
        ...["talosVersion", "kubernetesVersion", "image.factory"],
        "image.schematic.customization.extraKernelArgs",
        ...["cluster.endpoint", "cluster.nodes", "cluster.nodes[1].name", "cluster.nodes[1].address"],
        ...["cluster.podSubnets[0]", "upgrade.timeout", "upgrade.drain.timeout"],
        ...["joviandss.image", "joviandss.endpoint", "joviandss.iscsi", "joviandss.pools", "synologie"],
      ]),
    );
    expect(message.split("\n")).toHaveLength(1 + problems.length);
    expect(message).toMatch(
      /^the configuration has 16 mistakes:\n {2}talosVersion: is "1\.13\.9"; it must be/,
    );
  });

  it("are all in the error itself", () => {
    const error = new SettingsError([
      { path: "", reason: "must be an object" },
      { path: "a", reason: "is wrong" },
    ]);
    expect(error.message).toBe(
      "the configuration has 2 mistakes:\n  must be an object [settings]\n  a: is wrong [settings]",
    );
    expect(error.name).toBe("SettingsError");
  });
});

describe("what is valid but probably a mistake", () => {
  const warnings = (values: Record<string, unknown>) => {
    const { settings, problems } = parseOutcome(withValues(usualSettings(), values));
    expect(problems).toEqual([]);
    return settings?.warnings;
  };

  it("causes no warning for the usual cluster", () => {
    expect(warnings({})).toEqual([]);
  });

  it.each([
    [
      2,
      "with two, losing either one stops the cluster, and neither can be upgraded, because etcd would lose its quorum",
    ],
    [4, "4 tolerate no more failures than 3"],
  ])("%i control planes, an even number, cause a warning", (count, advice) => {
    const nodes = Array.from({ length: count }, (_, index) => ({
      name: `cp${index}`,
      address: `10.0.0.${index + 11}`,
      role: "controlplane",
    }));
    expect(warnings({ "cluster.nodes": nodes })).toEqual([
      {
        path: "cluster.nodes",
        reason: `has an even number of control planes (${count}); ${advice}. Use an odd number`,
      },
    ]);
  });

  it("access mode guards are off with a warning if Kubernetes has no admission policies yet", () => {
    const old = {
      talosVersion: "v1.10.9",
      kubernetesVersion: "v1.29.15",
      joviandss: { ...joviandss, image: `a/b@sha256:${"0".repeat(64)}` },
      synology,
    };
    const { settings, problems } = parseOutcome(withValues(usualSettings(), old));
    expect(problems).toEqual([]);
    expect(settings?.joviandss?.guardAccessModes).toBe(false);
    expect(settings?.synology?.guardAccessModes).toBe(false);
    expect(settings?.warnings.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["joviandss.guardAccessModes", "synology.guardAccessModes"]),
    );
    const now = parseOutcome(withValues(usualSettings(), { ...old, kubernetesVersion: "v1.30.0" })).settings;
    expect(now?.joviandss?.guardAccessModes).toBe(true);
  });

  it("a new cluster's contract that differs from the release causes a warning", () => {
    expect(warnings({ talosContract: "v1.11" })).toEqual([
      {
        path: "talosContract",
        reason: expect.stringMatching(/^is v1\.11, but talosVersion is v1\.13\.9/) as string,
      },
    ]);
  });
});
