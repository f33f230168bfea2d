import type { Placement } from "./iscsiDriver.ts";

/** Turns any text into a part of a Kubernetes name: `Pool_1` becomes `pool-1`. With 38 characters, `joviandss-csi-<slug>-controller` is still a label's value. */
export function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+/, "")
    .slice(0, 38)
    .replace(/-+$/, "");
}

/** Whether a namespace is one of Kubernetes' own. */
export function belongsToKubernetes(namespace: string): boolean {
  return /^(kube-|default$)/.test(namespace);
}

/**
 * The part of a StorageClass's Pulumi name after its component's: `sc` for `joviandss-sc` of `joviandss`, so that the component's name appears only once; the
 * whole name if another class would get the same one.
 */
export function classSuffix(component: string, className: string, classNames: readonly string[]): string {
  const prefix = `${component}-`;
  const rest = className.startsWith(prefix) ? className.slice(prefix.length) : "";
  return rest === "" || classNames.includes(rest) ? className : rest;
}

type Tolerations = { tolerations: Record<string, string | number | undefined>[] };
type Settings = Tolerations & { nodeSelector: Record<string, string> };

/** The placement from the settings, without unset keys. */
export function toPlacement(settings: Settings): Placement {
  return { nodeSelector: settings.nodeSelector, tolerations: definedTolerations(settings) };
}

/** The tolerations, without unset keys. */
export function definedTolerations({ tolerations }: Tolerations): Placement["tolerations"] {
  return tolerations.map((entry) =>
    Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== undefined)),
  );
}
