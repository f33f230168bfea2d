import type { ResourceValidationPolicy, StackValidationPolicy } from "@pulumi/policy";
import { parseAllDocuments } from "yaml";
import { isPlain } from "./policyView.ts";
import { isRecord } from "../talos/values.ts";
import { machineConfigurationType, namespaceType, isOfCsiDriver } from "./types.ts";

const allowed = {
  type: "array",
  items: { type: "string" },
  description: "Additional namespaces that may be privileged.",
} as const;

interface Config {
  allowed?: string[];
}

/** In a privileged namespace any pod may become root on its node. */
export const privilegedNamespaces: ResourceValidationPolicy = {
  name: "privileged-namespaces",
  displayName: "Privileged namespaces are for the CSI drivers only",
  description: "Only the namespaces of this program's CSI drivers carry the pod-security label privileged.",
  enforcementLevel: "mandatory",
  severity: "high",
  remediationSteps:
    "Label the namespace baseline or restricted, or add its name to `allowed` in the policy's configuration.",
  configSchema: { properties: { allowed } },
  validateResource: (args, reportViolation) => {
    const { type, urn, props, name } = args;
    if (type !== namespaceType || isOfCsiDriver(urn)) return;
    const metadata = isRecord(props["metadata"]) ? props["metadata"] : {};
    const namespace = typeof metadata["name"] === "string" ? metadata["name"] : name;
    if ((args.getConfig<Config>().allowed ?? []).includes(namespace)) return;
    const labels = isRecord(metadata["labels"]) ? metadata["labels"] : {};
    // audit and warn refuse nothing; enforce is what lets a privileged pod in.
    if (labels["pod-security.kubernetes.io/enforce"] !== "privileged") return;
    reportViolation(
      `Namespace ${namespace} lets any pod be root on its node (pod-security.kubernetes.io/enforce: privileged). ` +
        "Make it baseline or restricted, or allow the name in this policy's configuration.",
    );
  },
};

/** A namespace that PodSecurity exempts needs no label to run privileged pods. */
export const podSecurityExemptions: StackValidationPolicy = {
  name: "pod-security-exemptions",
  displayName: "PodSecurity exempts only the CSI drivers' namespaces",
  description:
    "The API server's PodSecurity exemptions name kube-system and the CSI drivers' namespaces, nothing else.",
  enforcementLevel: "mandatory",
  severity: "high",
  remediationSteps:
    "Remove the namespace from the exemptions in cluster.patches, or add it to `allowed` in the policy's configuration.",
  configSchema: { properties: { allowed } },
  validateStack: (args, reportViolation) => {
    const { resources } = args;
    const fine = new Set(["kube-system", ...(args.getConfig<Config>().allowed ?? [])]);
    for (const { type, urn, props, name } of resources) {
      if (type !== namespaceType || !isOfCsiDriver(urn)) continue;
      const metadata = isRecord(props["metadata"]) ? props["metadata"] : {};
      fine.add(typeof metadata["name"] === "string" ? metadata["name"] : name);
    }
    for (const { type, urn, props } of resources) {
      const configuration: unknown = props["redacted"] ?? props["configuration"];
      if (type !== machineConfigurationType || typeof configuration !== "string" || !isPlain(configuration))
        continue;
      for (const namespace of exemptedNamespacesIn(configuration)) {
        if (fine.has(namespace)) continue;
        reportViolation(
          `PodSecurity exempts the namespace ${namespace}, where any pod may then be root on its node. ` +
            "Remove it from the exemptions, or allow the name in this policy's configuration.",
          urn,
        );
      }
    }
  },
};

/** Namespaces that the machine configuration exempts from PodSecurity, in either of the forms that Talos has for it. */
function exemptedNamespacesIn(configuration: string): string[] {
  return parseAllDocuments(configuration).flatMap((document) => {
    const content: unknown = document.toJS();
    if (!isRecord(content)) return [];
    const ownDocument = content["kind"] === "KubeAdmissionControlConfig" ? [content] : [];
    const cluster = isRecord(content["cluster"]) ? content["cluster"] : {};
    const apiServer = isRecord(cluster["apiServer"]) ? cluster["apiServer"] : {};
    const plugins = Array.isArray(apiServer["admissionControl"])
      ? (apiServer["admissionControl"] as unknown[])
      : [];
    return [...plugins, ...ownDocument].flatMap((plugin) => {
      if (!isRecord(plugin) || plugin["name"] !== "PodSecurity") return [];
      const inner = isRecord(plugin["configuration"]) ? plugin["configuration"] : {};
      const exempt = isRecord(inner["exemptions"]) ? inner["exemptions"]["namespaces"] : [];
      return Array.isArray(exempt) ? exempt.map(String) : [];
    });
  });
}
