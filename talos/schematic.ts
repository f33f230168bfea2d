/**
 * The Image Factory's schematic: an image's extensions, kernel arguments and so on. Its ID is the SHA-256 of the document as the factory writes it
 * (siderolabs/image-factory pkg/schematic), so it can be computed without asking. The factory serves an ID only after the document was registered there.
 */
import { coded } from "./errorCodes.ts";
import { createHash } from "node:crypto";
import { GoStruct, marshalGoYaml, type GoValue } from "./goYaml.ts";

/** A schematic, field for field as the Image Factory accepts it. Lists keep their order: it is part of the ID. */
export interface Schematic {
  /** Its owner; only the factory's Enterprise edition accepts one. */
  readonly owner?: string;
  /** A board's overlay, for single-board computers. */
  readonly overlay?: {
    /** The overlay's image, `siderolabs/sbc-raspberrypi`. */
    readonly image?: string;
    /** The overlay's name, `rpi_generic`. */
    readonly name?: string;
    /** Options of the overlay, `{ configTxtAppend: "…" }`. */
    readonly options?: { readonly [key: string]: OverlayOption };
  };
  readonly customization?: {
    /** A machine configuration embedded in the image. */
    readonly embeddedMachineConfiguration?: string;
    readonly extraKernelArgs?: readonly string[];
    /** Initial META values: the key as a number from 0 to 255, `{ key: 10, value: "…" }`. */
    readonly meta?: readonly { readonly key: number; readonly value: string }[];
    readonly systemExtensions?: {
      /** `siderolabs/iscsi-tools` and others from the factory's list for the release. */
      readonly officialExtensions?: readonly string[];
    };
    /** The image's bootloader; `none` leaves it to Talos. */
    readonly bootloader?: Bootloader;
    readonly secureboot?: {
      /** When the SecureBoot keys are enrolled on first boot. */
      readonly enrollKeys?: EnrollKeys;
      readonly includeWellKnownCertificates?: boolean;
    };
    readonly diskImage?: {
      /** In bytes; 512 if absent. */
      readonly sectorSize?: number;
    };
  };
}

/** A value in an overlay's options. */
export type OverlayOption =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly OverlayOption[]
  | { readonly [key: string]: OverlayOption };

const BOOTLOADERS = ["none", "dual-boot", "sd-boot", "grub"] as const;
/** A disk image's boot loader; by default the factory chooses by release and firmware. */
export type Bootloader = (typeof BOOTLOADERS)[number];

const ENROLL_KEYS = ["off", "manual", "if-safe", "force"] as const;
/** Whether the SecureBoot keys are enrolled at first boot (systemd-boot's `secure-boot-enroll`). */
export type EnrollKeys = (typeof ENROLL_KEYS)[number];

/** One problem in a schematic. */
export interface SchematicProblem {
  /** `customization.meta[0].key`; empty for the document itself. */
  readonly path: string;
  readonly reason: string;
}

/** An invalid schematic; lists all of its problems at once. */
export class SchematicError extends Error {
  override readonly name = "SchematicError";
  readonly problems: readonly SchematicProblem[];

  constructor(problems: readonly SchematicProblem[]) {
    const lines = problems.map(({ path, reason }) => `  ${path === "" ? "(document)" : path}: ${reason}`);
    super(`${coded("schematic", "the schematic cannot be used")}:\n${lines.join("\n")}`);
    this.problems = problems;
  }
}

/**
 * Checks a value read from a settings file. Unknown keys, wrong types and values that the factory would reject are problems; an empty key (`systemExtensions:`
 * without a value) counts as absent, as it does for the factory.
 */
export function parseSchematic(value: unknown): Schematic {
  const problems: SchematicProblem[] = [];
  const parsed = checkSchematic(value, "", (path, reason) => problems.push({ path, reason }));
  if (problems.length > 0) throw new SchematicError(problems);
  return parsed as Schematic;
}

type Report = (path: string, reason: string) => void;
type Check = (value: unknown, path: string, report: Report) => unknown;

const checkText: Check = (value, path, report) => {
  if (typeof value !== "string") report(path, `must be text, not ${describeKind(value)}`);
  else if (!value.isWellFormed()) report(path, "has half of a surrogate pair, so it is not valid Unicode");
  return value;
};

const checkFlag: Check = (value, path, report) => {
  if (typeof value !== "boolean") report(path, `must be true or false, not ${describeKind(value)}`);
  return value;
};

function checkInteger(most: number): Check {
  return (value, path, report) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most) {
      report(
        path,
        `must be a whole number from 0 to ${most}, not ${typeof value === "number" ? value : describeKind(value)}`,
      );
    }
    return value;
  };
}

function checkOneOf(values: readonly string[]): Check {
  return (value, path, report) => {
    if (typeof value !== "string" || !values.includes(value)) {
      report(
        path,
        `must be one of ${values.join(", ")}, not ${typeof value === "string" ? `"${value}"` : describeKind(value)}`,
      );
    }
    return value;
  };
}

function checkList(check: Check): Check {
  return (value, path, report) => {
    if (!Array.isArray(value)) return void report(path, `must be a list, not ${describeKind(value)}`);
    return (value as unknown[]).map((item, i) => check(item, `${path}[${i}]`, report));
  };
}

function checkObject(fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, path, report) => {
    if (!isMapping(value)) return void report(path, `must be a mapping, not ${describeKind(value)}`);
    const at = (key: string): string => (path === "" ? key : `${path}.${key}`);
    for (const key of required) if (value[key] === undefined) report(at(key), "is missing");
    const present = Object.entries(value).filter(([, item]) => item !== undefined);
    const checked = present.map(([key, item]) => {
      const check = Object.hasOwn(fields, key) ? fields[key] : undefined;
      if (check === undefined)
        report(at(key), `is not a known key; known keys: ${Object.keys(fields).join(", ")}`);
      else if (item === null && required.includes(key)) report(at(key), "is missing");
      else if (item !== null) return [key, check(item, at(key), report)] as const;
      return [key, undefined] as const;
    });
    return Object.fromEntries(checked.filter(([, item]) => item !== undefined));
  };
}

const checkOption: Check = (value, path, report) => {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return checkText(value, path, report);
  if (typeof value === "number") return checkOptionNumber(value, path, report);
  if (typeof value === "bigint") return checkOptionBigint(value, path, report);
  if (Array.isArray(value)) return checkList(checkOption)(value, path, report);
  if (isMapping(value)) return checkOptions(value, path, report);
  report(path, `must be text, a number, true, false, null, a list or a mapping, not ${describeKind(value)}`);
  return value;
};

const checkOptions: Check = (value, path, report) => {
  if (!isMapping(value)) return void report(path, `must be a mapping, not ${describeKind(value)}`);
  const present = Object.entries(value).filter(([, item]) => item !== undefined);
  for (const [key] of present) if (!key.isWellFormed()) report(path, "has a key that is not valid Unicode");
  // A key such as __proto__ must stay a key.
  return Object.fromEntries(
    present.map(([key, item]) => [key, checkOption(item, `${path}.${key}`, report)] as const),
  );
};

// Between 2^53 and 2^64 the factory reads integers exactly, which JavaScript numbers can't represent.
const checkOptionNumber: Check = (value, path, report) => {
  const number = value as number;
  if (Number.isInteger(number) && !Number.isSafeInteger(number) && Math.abs(number) < 2 ** 64) {
    report(path, "is too large to be an exact number; write it as text");
  }
  return value;
};

const checkOptionBigint: Check = (value, path, report) => {
  const integer = value as bigint;
  if (integer >= 2n ** 64n || integer < -(2n ** 63n)) report(path, "does not fit into 64 bits");
  return value;
};

const checkSchematic = checkObject({
  owner: checkText,
  overlay: checkObject({ image: checkText, name: checkText, options: checkOptions }),
  customization: checkObject({
    embeddedMachineConfiguration: checkText,
    extraKernelArgs: checkList(checkText),
    meta: checkList(checkObject({ key: checkInteger(255), value: checkText }, ["key", "value"])),
    systemExtensions: checkObject({ officialExtensions: checkList(checkText) }),
    bootloader: checkOneOf(BOOTLOADERS),
    secureboot: checkObject({ enrollKeys: checkOneOf(ENROLL_KEYS), includeWellKnownCertificates: checkFlag }),
    diskImage: checkObject({ sectorSize: checkInteger(Number.MAX_SAFE_INTEGER) }),
  }),
});

function isMapping(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describeKind(value: unknown): string {
  if (value === null) return "empty";
  if (value === undefined) return "absent";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return isMapping(value) ? "a mapping" : `a ${value.constructor.name}`;
  return typeof value === "string" ? "text" : `a ${typeof value}`;
}

/** The ID of a schematic: 64 hexadecimal digits. Throws `SchematicError` for a document the factory would reject. */
export function schematicId(schematic: Schematic): string {
  return createHash("sha256").update(canonicalSchematic(schematic), "utf8").digest("hex");
}

/** The bytes whose hash is the ID: the factory's own form of the document. */
function canonicalSchematic(schematic: Schematic): string {
  return marshalGoYaml(toGo(parseSchematic(schematic)));
}

/** The document to register at the factory. The canonical form, except for texts that it can't transport. */
export function schematicYaml(schematic: Schematic): string {
  return marshalGoYaml(toGo(parseSchematic(schematic)), { portable: true });
}

type Field = readonly [name: string, value: GoValue];

// Fields in the order of the factory's structs; empty ones are left out (omitempty), except `customization`.
function toGo({ owner, overlay, customization = {} }: Schematic): GoStruct {
  const overlayFields: readonly Field[] = [
    ["image", overlay?.image ?? ""],
    ["name", overlay?.name ?? ""],
    ...filledField("options", overlay?.options),
  ];
  const hasOverlay = overlayFields.some(([, value]) => value !== "");
  return new GoStruct([
    ...filledField("owner", owner),
    ...(hasOverlay ? [["overlay", new GoStruct(overlayFields)] as const] : []),
    [
      "customization",
      new GoStruct([
        ...filledField("embeddedMachineConfiguration", customization.embeddedMachineConfiguration),
        ...filledField("extraKernelArgs", customization.extraKernelArgs),
        ...filledField(
          "meta",
          customization.meta?.map(
            ({ key, value }) =>
              new GoStruct([
                ["key", key],
                ["value", value],
              ]),
          ),
        ),
        ...structField(
          "systemExtensions",
          filledField("officialExtensions", customization.systemExtensions?.officialExtensions),
        ),
        ...filledField(
          "bootloader",
          customization.bootloader === "none" ? undefined : customization.bootloader,
        ),
        ...structField("secureboot", [
          ...filledField("enrollKeys", customization.secureboot?.enrollKeys),
          ...filledField(
            "includeWellKnownCertificates",
            customization.secureboot?.includeWellKnownCertificates,
          ),
        ]),
        ...structField("diskImage", filledField("sectorSize", customization.diskImage?.sectorSize)),
      ]),
    ],
  ]);
}

function filledField(name: string, value: GoValue | undefined): readonly Field[] {
  const empty =
    value === undefined ||
    value === "" ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === "object" &&
      !(value instanceof GoStruct) &&
      value !== null &&
      Object.keys(value).length === 0);
  return empty ? [] : [[name, value]];
}

function structField(name: string, fields: readonly Field[]): readonly Field[] {
  return fields.length === 0 ? [] : [[name, new GoStruct(fields)]];
}
