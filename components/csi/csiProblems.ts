import { joviandssIdentity, synologyIdentity, type DriverIdentity } from "./driverIdentity.ts";
import type { HealthPorts } from "./iscsiDriver.ts";
import type { NamespaceSettings } from "./namespaceSettings.ts";
import { nsenterReason } from "./iscsiDriverProblems.ts";
import type { JovianDssSettings } from "./joviandssSettings.ts";
import type { Problem } from "./problems.ts";
import type { SnapshotControllerSettings } from "./snapshotsSettings.ts";
import type { SynologySettings } from "./synologySettings.ts";

/** The CSI drivers of one cluster, each valid by itself. */
export interface CsiSettings {
  joviandss?: JovianDssSettings | undefined;
  synology?: SynologySettings | undefined;
  snapshotController?: SnapshotControllerSettings | undefined;
  namespaces?: NamespaceSettings | undefined;
}

/** Facts about the cluster. */
export interface CsiSurroundings {
  /** Whether nodes isolate workloads from extensions (clusters created with Talos 1.14 or newer). Default: false. */
  workloadIsolation?: boolean | undefined;
}

/** Conflicts between drivers on one cluster, and unmet requirements of a driver. Paths start with the settings' key. */
export function csiProblems(settings: CsiSettings, surroundings: CsiSurroundings = {}): Problem[] {
  const drivers = driversInUse(settings);
  return [
    ...duplicateProblems(
      drivers.map(({ path, driverName }) => ({ value: driverName, path: path.driver, what: "driver" })),
    ),
    ...duplicateProblems([
      ...drivers.map(({ path, namespace }) => ({
        value: namespace,
        path: path.namespace,
        what: "namespace",
      })),
      ...(settings.namespaces ?? []).map(({ name }, index) => ({
        value: name,
        path: `namespaces[${index}].name`,
        what: "namespace",
      })),
    ]),
    ...duplicateProblems(
      drivers.flatMap(({ healthPorts, path }) =>
        portList(healthPorts).map((port) => ({ value: String(port), path: path.ports, what: "health port" })),
      ),
    ),
    ...duplicateProblems(
      drivers.flatMap(({ classes }) =>
        classes.map(({ name, path }) => ({ value: name, path: `${path}.name`, what: "StorageClass" })),
      ),
    ),
    ...duplicateProblems(
      drivers.flatMap(({ snapshotClass, path }) =>
        snapshotClass === undefined
          ? []
          : [{ value: snapshotClass, path: path.snapshotClass, what: "VolumeSnapshotClass" }],
      ),
    ),
    ...defaultClassProblems(drivers),
    ...nsenterProblems(settings, surroundings),
    ...snapshotProblems(settings),
    ...snapshotNamespaceProblems(settings, drivers),
  ];
}

/** Every namespace exempt from PodSecurity: those of the drivers, and those for drivers installed by other means. */
export function csiNamespaces(settings: CsiSettings): string[] {
  return [
    ...driversInUse(settings).map(({ namespace }) => namespace),
    ...(settings.namespaces ?? []).flatMap(({ name, exempt }) => (exempt ? [name] : [])),
  ];
}

interface DriverUse extends Pick<DriverIdentity, "driverName" | "namespace" | "healthPorts"> {
  classes: { name: string; path: string; default: boolean }[];
  snapshotClass: string | undefined;
  path: { driver: string; namespace: string; ports: string; snapshotClass: string };
}

function driversInUse({ joviandss, synology }: CsiSettings): DriverUse[] {
  const pools = (joviandss?.pools ?? []).map((pool, index): DriverUse => {
    const { snapshots } = joviandss as JovianDssSettings;
    const { suffix, ...identity } = joviandssIdentity(joviandss as JovianDssSettings, pool, index);
    const classes = pool.storageClasses ?? [{ name: `joviandss-sc${suffix}`, default: false }];
    return {
      ...identity,
      classes: classes.map((entry, position) => ({
        name: entry.name,
        default: entry.default,
        path: `joviandss.pools[${index}].storageClasses[${position}]`,
      })),
      snapshotClass: snapshots.enabled ? `${snapshots.className}${suffix}` : undefined,
      path: {
        driver: `joviandss.pools[${index}].driver.name`,
        namespace: "joviandss.namespace",
        ports:
          pool.healthPort === undefined ? "joviandss.healthPort" : `joviandss.pools[${index}].healthPort`,
        snapshotClass: "joviandss.snapshots.className",
      },
    };
  });
  if (synology === undefined) return pools;
  return [
    ...pools,
    {
      ...synologyIdentity(synology),
      classes: synology.storageClasses.map((entry, index) => ({
        name: entry.name,
        default: entry.default,
        path: `synology.storageClasses[${index}]`,
      })),
      snapshotClass: synology.snapshots.enabled ? synology.snapshots.className : undefined,
      path: {
        driver: "synology",
        namespace: "synology.namespace",
        ports: "synology.healthPort",
        snapshotClass: "synology.snapshots.className",
      },
    },
  ];
}

function portList({ node, registrar, controller }: HealthPorts): number[] {
  return [node, registrar, controller];
}

function duplicateProblems(values: { value: string; path: string; what: string }[]): Problem[] {
  const first = new Map<string, string>();
  return values.flatMap(({ value, path, what }) => {
    const other = first.get(value);
    if (other !== undefined)
      return [{ path, reason: `${what} ${value} is already used by ${other}; every driver needs its own` }];
    first.set(value, path);
    return [];
  });
}

function defaultClassProblems(drivers: DriverUse[]): Problem[] {
  const [first, ...more] = drivers.flatMap(({ classes }) => classes).filter((entry) => entry.default);
  return more.map(({ path }) => ({
    path: `${path}.default`,
    reason: `${first?.name} is already the default StorageClass; a cluster can have only one`,
  }));
}

function nsenterProblems(
  { joviandss, synology }: CsiSettings,
  { workloadIsolation = false }: CsiSurroundings,
): Problem[] {
  const strategies = { joviandss: joviandss?.iscsiadm.strategy, synology: synology?.iscsiadm.strategy };
  return Object.entries(strategies)
    .filter(([, strategy]) => workloadIsolation && strategy === "nsenter")
    .map(([driver]) => ({ path: `${driver}.iscsiadm.strategy`, reason: nsenterReason }));
}

function snapshotProblems({ joviandss, synology, snapshotController }: CsiSettings): Problem[] {
  if (snapshotController !== undefined) return [];
  const reason =
    "needs the snapshot CRDs and controller, which these settings do not install; add `snapshotController: {}`, or `snapshotController: { install: false }` if the cluster has them";
  return Object.entries({ joviandss, synology })
    .filter(([, settings]) => settings?.snapshots.enabled)
    .map(([driver]) => ({ path: `${driver}.snapshots.enabled`, reason }));
}

// The drivers wait for the snapshot controller: on a new cluster it would wait for the namespace in vain.
function snapshotNamespaceProblems({ snapshotController }: CsiSettings, drivers: DriverUse[]): Problem[] {
  if (snapshotController?.install !== true) return [];
  const owner = drivers.find(({ namespace }) => namespace === snapshotController.namespace);
  if (owner === undefined) return [];
  const reason = `${owner.namespace} is created after the snapshot controller, and deleted with its driver (${owner.path.namespace}); use a namespace that exists, such as kube-system`;
  return [{ path: "snapshotController.namespace", reason }];
}
