import { Environment } from "@marcbachmann/cel-js";
import { matchesGlob } from "./glob.ts";
import type { ReportedLink } from "./reported.ts";

/** Which links the CEL expression of a LinkAliasConfig means, judged as Talos does (siderolabs/talos v1.14 pkg/machinery/cel/celenv, LinkLocator). */

/** Fields of the expression, and what the resource calls them. The node leaves out the empty ones. */
const textFields: Readonly<Record<string, string>> = {
  driver: "driver",
  bus_path: "busPath",
  pciid: "pciID",
  product_id: "productID",
  vendor_id: "vendorID",
  product: "product",
  vendor: "vendor",
};
/** As texts, which `mac` leaves as they are. One that an older release does not report is not known. */
const addressFields: Readonly<Record<string, string>> = {
  hardware_addr: "hardwareAddr",
  permanent_addr: "permanentAddr",
};

const celEnvironment = new Environment({ unlistedVariablesAreDyn: true })
  .registerFunction("glob(string, string): bool", (pattern: string, text: string) =>
    matchesGlob(pattern, text),
  )
  .registerFunction("mac(string): string", (address: string) => address);

/** Undefined where that cannot be told here. */
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
    // A function or field that this program does not know: the node does.
    return undefined;
  }
}
