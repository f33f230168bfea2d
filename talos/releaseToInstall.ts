import { parseConfig, textOf } from "./configTree.ts";
import { releaseOfImage } from "./kubernetesImages.ts";

/** The Talos release that a machine configuration installs on an empty disk; undefined if it names none. */
export function releaseToInstall(configuration: string): string | undefined {
  const images = parseConfig(configuration).flatMap((document) => {
    const kind = textOf(document, "kind");
    if (kind === undefined) return textOf(document, "machine", "install", "image") ?? [];
    return kind === "UnattendedInstallConfig" ? (textOf(document, "installer", "image") ?? []) : [];
  });
  return releaseOfImage(images.at(-1));
}
