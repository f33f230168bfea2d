import { registerResources } from "../resource.ts";
import { Schematic } from "./schematic.ts";

export {
  getExtensionsVersions,
  type GetExtensionsVersionsArgs,
  getExtensionsVersionsOutput,
  type GetExtensionsVersionsOutputArgs,
  type GetExtensionsVersionsResult,
} from "./getExtensionsVersions.ts";
export {
  getOverlaysVersions,
  type GetOverlaysVersionsArgs,
  getOverlaysVersionsOutput,
  type GetOverlaysVersionsOutputArgs,
  type GetOverlaysVersionsResult,
} from "./getOverlaysVersions.ts";
export {
  getUrls,
  type GetUrlsArgs,
  getUrlsOutput,
  type GetUrlsOutputArgs,
  type GetUrlsResult,
} from "./getUrls.ts";
export {
  getVersions,
  type GetVersionsArgs,
  getVersionsOutput,
  type GetVersionsOutputArgs,
  type GetVersionsResult,
} from "./getVersions.ts";
export { Schematic, type SchematicArgs, type SchematicState } from "./schematic.ts";

registerResources({ "talos:imageFactory/schematic:Schematic": Schematic });
