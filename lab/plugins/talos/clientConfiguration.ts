import { readTexts, requireText } from "../read.ts";
import { secret } from "../values.ts";
import { readClientConfiguration, talosconfigYaml } from "./credentials.ts";
import { withSecretClientKey } from "./handler.ts";
import type { FunctionHandler } from "./handler.ts";

/** talos:client/getConfiguration: assembles a talosconfig. */
export const getClientConfiguration: FunctionHandler = async ({ args }) => {
  const clusterName = requireText(args, "clusterName");
  const talosConfig = talosconfigYaml(clusterName, readClientConfiguration(args), {
    endpoints: readTexts(args, "endpoints"),
    nodes: readTexts(args, "nodes"),
  });
  return { result: { ...withSecretClientKey(args), id: clusterName, talosConfig: secret(talosConfig) } };
};
