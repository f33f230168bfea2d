import { Environment } from "@marcbachmann/cel-js";
import { UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { matchesGlob } from "./glob.ts";
import { unitBytes } from "../scalars.ts";
import type { ReportedDisk } from "./reported.ts";

/** Which disks a machine configuration's selector matches, judged as Talos does. */

// siderolabs/talos v1.13 internal/pkg/cel and block.DiskSpec: unset fields have their type's zero value.
const numberFields = ["size", "io_size", "sector_size"] as const;
const flagFields = ["readonly", "rotational", "cdrom"] as const;
const textFields = [
  "model",
  "serial",
  "modalias",
  "wwid",
  "uuid",
  "bus_path",
  "sub_system",
  "transport",
  "dev_path",
  "pretty_size",
] as const;

const units: Readonly<Record<string, bigint>> = Object.fromEntries(
  ["k", "M", "G", "T", "P"].flatMap((letter, index) => [
    [`${letter.toUpperCase()}iB`, 1024n ** BigInt(index + 1)],
    [`${letter}B`, 1000n ** BigInt(index + 1)],
  ]),
);

const celEnvironment = new Environment({ unlistedVariablesAreDyn: true }).registerFunction(
  "glob(string, string): bool",
  (pattern: string, text: string) => matchesGlob(pattern, text),
);

/** Whether a CEL expression, as in a VolumeConfig, selects the disk; undefined if that can't be evaluated here. */
export function matchesExpression(expression: string, disk: ReportedDisk): boolean | undefined {
  if (disk.isSystemDisk !== undefined) return evaluate(expression, disk, disk.isSystemDisk);
  // The installation decides: `system_disk` will match the disk that it chooses.
  const [installed, other] = [true, false].map((isSystemDisk) => evaluate(expression, disk, isSystemDisk));
  return installed === other ? installed : undefined;
}

function evaluate(expression: string, disk: ReportedDisk, isSystemDisk: boolean): boolean | undefined {
  const fields: Record<string, unknown> = {
    ...Object.fromEntries(numberFields.map((key) => [key, new UnsignedInt(toBigInt(disk.fields[key]))])),
    ...Object.fromEntries(flagFields.map((key) => [key, disk.fields[key] === true])),
    ...Object.fromEntries(textFields.map((key) => [key, toText(disk.fields[key])])),
    ...Object.fromEntries(
      ["symlinks", "secondary_disks"].map((key) => [key, toTextList(disk.fields[key])] as const),
    ),
  };
  const constants = Object.fromEntries(
    Object.entries(units).map(([name, value]) => [name, new UnsignedInt(value)]),
  );
  try {
    const result: unknown = celEnvironment.evaluate(expression, {
      ...constants,
      disk: fields,
      system_disk: isSystemDisk,
    });
    return typeof result === "boolean" ? result : undefined;
  } catch {
    // A function or field of a newer Talos, which only the node knows.
    return undefined;
  }
}

/** Fields of `machine.install.diskSelector`, and the fields they are compared with. */
const selectorFields: Readonly<Record<string, string>> = {
  model: "model",
  serial: "serial",
  modalias: "modalias",
  uuid: "uuid",
  wwid: "wwid",
  busPath: "bus_path",
};

/** Whether an install disk selector matches the disk; undefined if that can't be evaluated. */
export function matchesSelector(
  selector: Readonly<Record<string, unknown>>,
  disk: ReportedDisk,
): boolean | undefined {
  const verdicts = Object.entries(selector).map(([key, value]): boolean | undefined => {
    if (key === "size") return matchesSize(String(value), toBigInt(disk.fields["size"]));
    if (key === "type") return matchesType(String(value), disk);
    const field = selectorFields[key];
    // The node omits empty strings.
    return field === undefined ? undefined : matchesGlob(String(value), toText(disk.fields[field]));
  });
  if (verdicts.includes(false) || !isInstallable(disk)) return false;
  return verdicts.includes(undefined) ? undefined : true;
}

/** Applies to every selector (siderolabs/talos v1.13 v1alpha1_provider.go, DiskMatchExpression). */
function isInstallable({ fields }: ReportedDisk): boolean {
  return fields["readonly"] !== true && fields["cdrom"] !== true && toText(fields["transport"]) !== "";
}

/** Whether the selector would match the disk if its transport were known: it is not behind some RAID controllers and on some hypervisors. */
export function lacksOnlyTransport(
  selector: Readonly<Record<string, unknown>>,
  { fields, ...disk }: ReportedDisk,
): boolean {
  if (toText(fields["transport"]) !== "") return false;
  return matchesSelector(selector, { ...disk, fields: { ...fields, transport: "unknown" } }) === true;
}

function matchesType(type: string, { fields }: ReportedDisk): boolean | undefined {
  switch (type.toLowerCase()) {
    case "nvme":
      return fields["transport"] === "nvme";
    case "sd":
      return fields["transport"] === "mmc";
    case "hdd":
      return fields["rotational"] === true;
    case "ssd":
      return fields["rotational"] !== true;
    default:
      return undefined;
  }
}

/** `>= 100GB`, `<= 2TiB`, `1600gb`; undefined if invalid. Talos ignores case here. */
function matchesSize(condition: string, size: bigint): boolean | undefined {
  const [, operator = "==", amount = "", unit = ""] =
    /^\s*(>=|<=|==|>|<)?\s*(\d+(?:\.\d+)?)\s*((?:[kmgtp]i?)?b?)\s*$/i.exec(condition) ?? [];
  const factor = unitBytes(unit);
  if (amount === "" || factor === undefined) return undefined;
  const [actual, wanted] = [Number(size), Number(amount) * factor];
  switch (operator) {
    case ">=":
      return actual >= wanted;
    case "<=":
      return actual <= wanted;
    case ">":
      return actual > wanted;
    case "<":
      return actual < wanted;
    default:
      return actual === wanted;
  }
}

function toBigInt(value: unknown): bigint {
  return typeof value === "number" && Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
}

function toText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function toTextList(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
