import { z } from "zod";
import { sectionSchema } from "../components/csi/fields.ts";
import { must } from "./messages.ts";

const diskTextSchema = (what: string, example: string) =>
  z
    .string(must(`a string such as ${example}`))
    .min(1, must(`a string such as ${example}`))
    .optional()
    .describe(what);

/** `cluster.nodes[].diskSelector`: the fields of `machine.install.diskSelector`, and `match`, which needs contract v1.14 or newer. */
export const diskSelectorSchema = sectionSchema({
  size: z
    .string(must('a size such as ">= 100GB"'))
    .regex(/^(>=|<=|>|<|==)?\s*\d+(\.\d+)?\s*([KMGTP]i?B|B)?$/i, must('a size such as ">= 100GB"'))
    .optional()
    .describe("Size, such as `>= 100GB`."),
  name: diskTextSchema("Device name.", "SD16G"),
  model: diskTextSchema("Model, `*` allowed.", "WDC*"),
  serial: diskTextSchema("Serial number.", "S4EVNX0R"),
  modalias: diskTextSchema("Modalias.", "nvme:*"),
  uuid: diskTextSchema("UUID.", "7f3a*"),
  wwid: diskTextSchema("WWID.", "eui.0025*"),
  type: z.enum(["ssd", "hdd", "nvme", "sd"], must("ssd, hdd, nvme or sd")).optional().describe("Disk type."),
  busPath: diskTextSchema("Bus path.", "/pci0000:00/*"),
  match: diskTextSchema(
    "CEL expression instead of other keys (contract v1.14 or newer).",
    'disk.transport == "nvme"',
  ),
}).refine(
  (selector) => Object.values(selector).some((value) => value !== undefined),
  must("a mapping with at least one property of the disk, such as size or type"),
);
