/** A saved `pulumi preview --json`, as the engine prints it, of a cluster of any size. */

const secretSignature = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };

/** A secret as the engine writes it with --show-secrets. It must never be visible. */
export const canary = "canary-9f3b1c";

export interface SavedStep {
  op: string;
  urn: string;
  oldState?: unknown;
  newState?: unknown;
  detailedDiff?: Record<string, unknown>;
  replaceReasons?: string[];
}

export function urn(types: string, name: string): string {
  return `urn:pulumi:prod::talos-iscsi::${types}::${name}`;
}

export function secret(value: unknown): unknown {
  return { ...secretSignature, plaintext: JSON.stringify(value), ciphertext: JSON.stringify(value) };
}

export interface FixtureNode {
  name: string;
  role: "controlplane" | "worker";
  running?: string;
  wanted: string;
  timeline?: unknown;
  initErrors?: string[];
  op?: string;
}

export const schematicId = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const image = (version: string) => `factory.talos.dev/metal-installer/${schematicId}:${version}`;
const addressOf = (index: number) => `10.0.${Math.floor(index / 250)}.${(index % 250) + 1}`;

function configurationText(version: string, extra = ""): string {
  return `machine:\n  type: controlplane\n  token: «secret 3f9a12bc»\n  install:\n    disk: /dev/sda\n    image: ${image(version)}\n${extra}cluster:\n  id: «secret 11111111»\n  network:\n    dnsDomain: cluster.local\n`;
}

/** Both resources of each node, and the preflight that lists the nodes in order. */
export function nodeSteps(nodes: readonly FixtureNode[]): SavedStep[] {
  const list = nodes.map(({ name, role, wanted }, index) => ({
    name,
    node: addressOf(index),
    role,
    talosVersion: wanted,
  }));
  return [
    {
      op: "update",
      urn: urn("talos-iscsi:index:RollingUpgrade$talos-node:index:RolloutPreflight", "upgrade-preflight"),
      oldState: { custom: true, inputs: { nodes: [] } },
      newState: { custom: true, inputs: { nodes: list, clientConfiguration: secret({ clientKey: canary }) } },
    },
    ...nodes.flatMap((node, index) => stepsOf(node, addressOf(index))),
  ];
}

function stepsOf(
  {
    name,
    role,
    running,
    wanted,
    timeline,
    initErrors,
    op = running === undefined ? "create" : "update",
  }: FixtureNode,
  node: string,
): SavedStep[] {
  const inputs = (version: string) => ({
    name,
    node,
    role,
    talosVersion: version,
    schematicId,
    image: image(version),
    clientConfiguration: secret({ clientKey: canary }),
    kubeconfig: canary,
  });
  const before = running === undefined ? undefined : configurationText(running);
  const shown = (configuration: string | undefined, changes?: string[]) => ({
    custom: true,
    inputs: { node, configuration, machineConfiguration: canary, patches: secret([canary]), changes },
  });
  const earlier = "+ machine.kernel.modules[iscsi_tcp].name: iscsi_tcp";
  const change = `~ machine.install.image: ${image(running ?? "v1.11.0")} -> ${image(wanted)}`;
  return [
    {
      op,
      urn: urn("talos-iscsi:index:TalosCluster$talos-node:index:NodeConfiguration", `cluster-config-${name}`),
      ...(before === undefined ? {} : { oldState: shown(before, [earlier]) }),
      newState: shown(configurationText(wanted), before === undefined ? [change] : [earlier, change]),
    },
    {
      op,
      urn: urn("talos-iscsi:index:RollingUpgrade$talos-node:index:NodeUpgrade", `upgrade-${name}`),
      ...(running === undefined
        ? {}
        : {
            oldState: {
              custom: true,
              inputs: inputs(running),
              outputs: {
                ...inputs(running),
                runningVersion: running,
                runningSchematic: schematicId,
                ...(timeline === undefined ? {} : { timeline }),
              },
              ...(initErrors === undefined ? {} : { initErrors }),
            },
          }),
      newState: { custom: true, inputs: inputs(wanted) },
    },
  ];
}

const driver = "talos-iscsi:index:JovianDssCsi$talos-iscsi:index:IscsiCsiDriver";

export function storageClass(op: "delete" | "replace" | "same" | "create"): SavedStep[] {
  const type = `${driver}$kubernetes:storage.k8s.io/v1:StorageClass`;
  const state = (pool: string) => ({
    custom: true,
    inputs: {
      metadata: { name: "joviandss-sc" },
      parameters: { pool, "csi.storage.k8s.io/node-stage-secret-name": "jdss" },
    },
  });
  const place = urn(type, "joviandss-sc");
  if (op === "delete") return [{ op, urn: place, oldState: state("Pool-0") }];
  if (op === "create") return [{ op, urn: place, newState: state("Pool-0") }];
  if (op === "same") return [{ op, urn: place, oldState: state("Pool-0"), newState: state("Pool-0") }];
  return ["create-replacement", "replace", "delete-replaced"].map((step) => ({
    op: step,
    urn: place,
    oldState: state("Pool-0"),
    ...(step === "delete-replaced" ? {} : { newState: state("Pool-1") }),
    replaceReasons: ["parameters.pool"],
  }));
}

/** A Secret with plain data, as after `--show-secrets`. */
export function driverSecret(): SavedStep[] {
  const state = (value: string) => ({
    custom: true,
    inputs: {
      metadata: { name: "jdss", namespace: "csi" },
      stringData: { "config.yaml": value },
      data: { more: value },
    },
    outputs: { data: { more: value } },
  });
  return [
    {
      op: "update",
      urn: urn(`${driver}$kubernetes:core/v1:Secret`, "joviandss-config"),
      oldState: state(`old-${canary}`),
      newState: state(`new-${canary}`),
      detailedDiff: { 'stringData["config.yaml"]': { diffKind: "update" } },
    },
  ];
}

export function timeline(seconds: number, change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    from: { version: "v1.11.5", schematicId },
    to: { version: "v1.12.7", schematicId, image: image("v1.12.7") },
    started: "2026-10-02T03:00:00.000Z",
    seconds,
    ended: "upgraded",
    steps: [
      { name: "inspect", started: "2026-10-02T03:00:00.000Z", seconds: 1 },
      { name: "reboot", started: "2026-10-02T03:00:01.000Z", seconds: seconds - 1 },
    ],
    ...change,
  };
}

export function savedPreview(steps: SavedStep[], change: Record<string, unknown> = {}): string {
  return JSON.stringify({ config: {}, steps, changeSummary: {}, ...change });
}
