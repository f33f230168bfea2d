import type { ResourceValidationArgs, ResourceValidationPolicy } from "@pulumi/policy";
import { parseAllDocuments } from "yaml";
import { parseImageReference } from "../components/csi/imageReference.ts";
import { installerPartsOf, PUBLIC_FACTORY } from "../talos/image.ts";
import { isPlain } from "./policyView.ts";
import { isRecord } from "../talos/values.ts";
import { leaves, machineConfigurationType, nodeUpgradeType, storageProbeType, type Leaf } from "./types.ts";

/** An image whose tag or digest may be missing is another image tomorrow, and a node that restarts runs another than its neighbour. */
export const imagesPinned: ResourceValidationPolicy = {
  name: "images-pinned",
  displayName: "Images are pinned",
  description: "Every container and installer image has a tag or, better, a digest.",
  enforcementLevel: "mandatory",
  severity: "high",
  remediationSteps: "Set the tag of a release, or the digest that you tested.",
  configSchema: {
    properties: {
      digest: {
        type: "boolean",
        description: "Require a digest for container images, since a tag can change.",
      },
    },
  },
  validateResource: (args, reportViolation) => {
    const { digest = false } = args.getConfig<{ digest?: boolean }>();
    for (const { path, value } of findImages(args)) {
      const parsed = parseImageReference(value);
      if (parsed === undefined) {
        reportViolation(
          `${path}: "${value}" is not an image reference; use host/path:tag or host/path@sha256:<64 hex digits>.`,
        );
      } else if (parsed.tag === undefined && parsed.digest === undefined) {
        reportViolation(
          `${path}: "${value}" has neither tag nor digest, which means :latest; set the version that you tested.`,
        );
      } else if (digest && parsed.digest === undefined && args.type.startsWith("kubernetes:")) {
        reportViolation(
          `${path}: "${value}" is a tag, which can change; use its digest (${parsed.path}@sha256:…).`,
        );
      }
    }
  },
};

/** To the runtime, `:latest` is a tag like any other, but it is certain to change. */
export const noLatest: ResourceValidationPolicy = {
  name: "no-latest",
  displayName: "No :latest",
  description: "No image has the tag latest.",
  enforcementLevel: "mandatory",
  severity: "high",
  remediationSteps: "Use the tag of a release, or a digest, instead of latest.",
  validateResource: (args, reportViolation) => {
    for (const { path, value } of findImages(args)) {
      const parsed = parseImageReference(value);
      if (parsed?.tag === "latest" && parsed.digest === undefined)
        reportViolation(`${path}: "${value}" can change at any time; use a release tag or a digest.`);
    }
  },
};

/** The installer decides what runs on a node as root: it comes from the factory that was agreed on, and from nowhere else. */
export const installerFromFactory: ResourceValidationPolicy = {
  name: "installer-from-factory",
  displayName: "Installers come from the configured Image Factory",
  description:
    "The installer image of every node comes from the Image Factory that this policy is configured with.",
  enforcementLevel: "mandatory",
  severity: "high",
  remediationSteps:
    "Set image.factory in the stack's settings to the approved factory and remove other installer images from the patches, or configure the policy's factory.",
  configSchema: {
    properties: {
      factory: {
        type: "string",
        description: "URL of the Image Factory, as in image.factory.",
        default: PUBLIC_FACTORY,
      },
      others: {
        type: "array",
        items: { type: "string" },
        description: "URLs of additional factories that may build images, as in images.NAME.factory.",
      },
    },
  },
  validateResource: (args, reportViolation) => {
    const { factory = PUBLIC_FACTORY, others = [] } = args.getConfig<{
      factory?: string;
      others?: string[];
    }>();
    const [wanted = "", ...further] = [factory, ...others].map(registryOf);
    for (const { path, value } of findInstallers(args)) {
      const registry = installerPartsOf(value)?.registry;
      if (registry !== wanted && !further.includes(registry ?? ""))
        reportViolation(
          `${path}: "${value}" does not come from the Image Factory ${[wanted, ...further].join(" or ")} that the policy allows. ` +
            "Set image.factory to it, or configure this policy with the factory that you trust.",
        );
    }
  },
};

/** As in the installer images that the factory's URL leads to: in lower case, without the usual port. */
function registryOf(url: string): string {
  const whole = /^https?:\/\//.test(url) ? url : `https://${url}`;
  return (URL.parse(whole)?.href ?? whole).replace(/^https?:\/\//, "").replace(/\/+$/, "");
}

interface FoundImage {
  path: string;
  value: string;
}

/** Images of pods, whatever the kind of object they are in, and installers. */
function findImages(args: ResourceValidationArgs): FoundImage[] {
  // The plugin makes its pods, so that the engine never sees them.
  if (args.type === storageProbeType)
    return plainTexts({ image: args.props["image"] as unknown }, () => true);
  if (!args.type.startsWith("kubernetes:")) return findInstallers(args);
  return plainTexts(
    args.props,
    ({ name, path }) => name === "image" && /[cC]ontainers\[\d+\]\.image$/.test(path),
  );
}

/** The installer images that a resource gives a node, in a machine configuration too. */
function findInstallers({ type, props }: ResourceValidationArgs): FoundImage[] {
  if (type === nodeUpgradeType) return plainTexts({ image: props["image"] as unknown }, () => true);
  if (type !== machineConfigurationType || typeof props["configuration"] !== "string") return [];
  return parseAllDocuments(props["configuration"]).flatMap((document) => {
    const content: unknown = document.toJS();
    if (!isRecord(content)) return [];
    const machine = isRecord(content["machine"]) ? content["machine"]["install"] : undefined;
    const install = content["kind"] === "UnattendedInstallConfig" ? content : machine;
    const found = isRecord(install) ? plainTexts({ image: install["image"] }, () => true) : [];
    return found.map(({ value }) => ({ path: "configuration: install.image", value }));
  });
}

function plainTexts(value: unknown, which: (leaf: Leaf) => boolean): FoundImage[] {
  return [...leaves(value)].flatMap((leaf) =>
    typeof leaf.value === "string" && isPlain(leaf.value) && which(leaf)
      ? [{ path: leaf.path, value: leaf.value }]
      : [],
  );
}
