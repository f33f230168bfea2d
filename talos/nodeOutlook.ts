/**
 * What a preview expects of a node in a rollout. As data for other modules, and as one line: previews show the lines and the engine compares them, so the
 * format of a line must not change.
 */

/** What a node runs, or should run. */
export interface OutlookImage {
  readonly version: string;
  /** Absent for an image not built by a factory. If parsed from a line, its first twelve digits. */
  readonly schematicId?: string | undefined;
  /** The image's name in the settings; absent if images have none. */
  readonly name?: string | undefined;
}

/** What will happen to a node. */
export type NodeOutlook =
  /** It is new in the stack: it waits for its configuration, or runs its desired image. */
  | { readonly fate: "new" | "unread"; readonly to: OutlookImage }
  | { readonly fate: "stays"; readonly runs: OutlookImage }
  | {
      readonly fate: "upgrade";
      readonly runs: OutlookImage;
      /** Releases it goes through first. */
      readonly hops: readonly string[];
      readonly to: OutlookImage;
      /** A control plane's etcd: `etcd 3.6.12, storage 3.6.0 -> 3.7.1`. */
      readonly etcd?: string | undefined;
    };

/** `v1.12.7 with no schematic -> v1.13.9 with schematic c9078f941996…, one reboot` */
export function outlookLine(outlook: NodeOutlook): string {
  switch (outlook.fate) {
    case "new":
      return `new in this stack -> ${imageText(outlook.to)}`;
    case "unread":
      return `not read -> ${imageText(outlook.to)}`;
    case "stays": {
      const { name } = outlook.runs;
      const image = name === undefined ? "" : `, image ${name},`;
      return `${describeImage(outlook.runs.version, outlook.runs.schematicId)}${image} already, no reboot`;
    }
    case "upgrade": {
      const { runs, hops, to, etcd } = outlook;
      const reboots = hops.length > 0 ? `${hops.length + 1} reboots` : "one reboot";
      const way = [describeImage(runs.version, runs.schematicId), ...hops, imageText(to)].join(" -> ");
      return `${way}, ${reboots}${etcd === undefined ? "" : `; ${etcd}`}`;
    }
  }
}

/** What can be read back from a line. */
export interface ReadOutlook {
  readonly fate: NodeOutlook["fate"];
  /** Absent if the node couldn't be asked. */
  readonly runs?: OutlookImage;
  readonly hops: readonly string[];
}

/** Parses a line from any release; undefined for one that is not about a node. */
export function readOutlook(line: string): ReadOutlook | undefined {
  if (line.startsWith("new in this stack")) return { fate: "new", hops: [] };
  if (line.startsWith("not read")) return { fate: "unread", hops: [] };
  const [, version, schematicId] = /^(\S+) with (?:no schematic|schematic ([0-9a-f]+))/.exec(line) ?? [];
  if (version === undefined) return undefined;
  const runs = { version, ...(schematicId === undefined ? {} : { schematicId }) };
  // The etcd part of a control plane's line comes last.
  const [way = ""] = line.split("; ");
  if (way.endsWith("already, no reboot")) return { fate: "stays", runs, hops: [] };
  if (!/(?:one reboot|\d+ reboots)$/.test(way)) return undefined;
  return { fate: "upgrade", runs, hops: way.split(" -> ").slice(1, -1) };
}

/** `v1.13.9 with schematic c9078f941996…` */
export function describeImage(version: string, schematicId: string | undefined): string {
  return `${version} with ${schematicId === undefined ? "no schematic" : `schematic ${schematicId.slice(0, 12)}…`}`;
}

/** If images have names: `v1.13.9, image gpu (schematic c9078f941996…)`. */
function imageText({ version, schematicId, name }: OutlookImage): string {
  if (name === undefined || schematicId === undefined) return describeImage(version, schematicId);
  return `${version}, image ${name} (schematic ${schematicId.slice(0, 12)}…)`;
}
