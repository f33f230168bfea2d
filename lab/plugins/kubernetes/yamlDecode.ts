import { parseAllDocuments } from "yaml";
import type { InvokeCall, InvokeResult } from "../plugin.ts";
import { readText, requireText } from "../read.ts";
import type { Properties } from "../values.ts";
import { withNamespace } from "./object.ts";

/** The provider's only function here: the objects of a YAML text, which the SDK's ConfigGroup and ConfigFile ask for. */
export async function invoke({ token, args }: InvokeCall): Promise<InvokeResult> {
  if (token !== "kubernetes:yaml:decode") {
    throw new Error(`the stand-in of the kubernetes plugin has no function ${token}`);
  }
  const documents = parseAllDocuments(requireText(args, "text"));
  const problem = documents.flatMap((document) => document.errors)[0];
  if (problem !== undefined) throw new Error(`text: is no YAML: ${problem.message}`);
  const namespace = readText(args, "defaultNamespace");
  const objects = documents
    .map((document) => document.toJS() as Properties | null)
    .filter((object) => object !== null);
  return { result: { result: objects.map((object) => defaultNamespaced(object, namespace)) } };
}

function defaultNamespaced(object: Properties, namespace: string | undefined): Properties {
  return namespace === undefined ? object : withNamespace(object, namespace);
}
