import { Environment } from "@marcbachmann/cel-js";
import { matchesGlob } from "./glob.ts";
import type { ReportedLink } from "./reported.ts";

/** Which links the CEL expression of a LinkAliasConfig matches, judged as Talos does (siderolabs/talos v1.14 pkg/machinery/cel/celenv, LinkLocator). */

/** Fields of the expression, and their names in the resource. The node omits empty ones. */
const textFields: Readonly<Record<string, string>> = {
  driver: "driver",
  bus_path: "busPath",
  pciid: "pciID",
  product_id: "productID",
  vendor_id: "vendorID",
  product: "product",
  vendor: "vendor",
};
/** As strings, which `mac` leaves unchanged. Fields that an older release doesn't report are unknown. */
const addressFields: Readonly<Record<string, string>> = {
  hardware_addr: "hardwareAddr",
  permanent_addr: "permanentAddr",
};

const celEnvironment = new Environment({ unlistedVariablesAreDyn: true })
  .registerFunction("glob(string, string): bool", (pattern: string, text: string) =>
    matchesGlob(pattern, text),
  )
  .registerFunction("mac(string): string", (address: string) => address);

/** Undefined if that can't be evaluated here. */
export function matchesLinkExpression(expression: string, { fields }: ReportedLink): boolean | undefined {
  const link: Record<string, unknown> = {};
  for (const [name, key] of Object.entries(textFields))
    link[name] = typeof fields[key] === "string" ? fields[key] : "";
  for (const [name, key] of Object.entries(addressFields))
    if (typeof fields[key] === "string") link[name] = fields[key].toLowerCase();
  try {
    const result: unknown = celEnvironment.evaluate(expression, { link });
    return typeof result === "boolean" ? result : undefined;
  } catch {
    // A function or field that only the node knows.
    return undefined;
  }
}
