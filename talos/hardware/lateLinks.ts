import { sectionAt, textsIn, type Section } from "./sections.ts";

/** Links that appear only with the configuration itself, so that the machine cannot report them before it has it. */

/**
 * Whether the configuration creates virtual functions of network cards (SR-IOV). The driver and udev name them, and selectors match them like cards
 * (docs.kernel.org PCI/pci-iov-howto).
 */
export function makesVirtualFunctions(documents: readonly Section[]): boolean {
  return documents.some((document) =>
    [sectionAt(document, "machine", "sysfs"), ofKind(document, "SysfsConfig", "params")].some((params) =>
      Object.entries(params).some(([key, value]) => /(^|[./])sriov_numvfs$/.test(key) && Number(value) !== 0),
    ),
  );
}

/** Names that udev rules give to links; `*` where udev makes up the name. */
export function namesByUdev(documents: readonly Section[]): string[] {
  return documents
    .flatMap((document) => [
      ...textsIn(sectionAt(document, "machine", "udev")["rules"]),
      ...(document["kind"] === "UdevRulesConfig" ? textsIn(document["rules"]) : []),
    ])
    .flatMap((rule) => [...rule.matchAll(/(?:^|[\s,])NAME\s*:?=\s*"([^"]*)"/g)])
    .map(([, name = ""]) => name.replace(/[$%].*$/s, "*"));
}

function ofKind(document: Section, kind: string, key: string): Section {
  return document["kind"] === kind ? sectionAt(document, key) : {};
}
