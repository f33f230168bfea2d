/**
 * Known facts about Talos releases and upgrades between them, as data with sources: shown in the preview as a warning, or refused. Nothing here depends on a
 * node's state; the guards of an upgrade check that.
 */
import type { Schematic } from "./schematic.ts";
import { installerPartsOf } from "./image.ts";
import {
  findBadRelease,
  canonicalExtension,
  isExtensionAvailable,
  extensionName,
  hasTgtd,
  initiatorNameChanges,
  initiatorNameSource,
} from "./extensions.ts";
import { hasSchematicExtension } from "./features.ts";
import { lostKernelArguments } from "./kernelArguments.ts";
import { compareVersions, contractAtLeast, contractOf, parseVersion, versionAtLeast } from "./version.ts";

/** The upgrade that advisories are about. */
export interface AdvisoryQuestion {
  /** The running release; absent for a new machine. */
  readonly from?: string | undefined;
  /** The release to upgrade to. */
  readonly to: string;
  /** The contract of the machine configuration. */
  readonly contract: string;
  /** The extensions of the image, `iscsi-tools` or `siderolabs/iscsi-tools`. */
  readonly extensions: readonly string[];
  /** The schematic of the image. */
  readonly schematic?: Schematic | undefined;
  /** The installer image. */
  readonly image?: string | undefined;
  /** Kernel arguments in `machine.install.extraKernelArgs`, from any patch. */
  readonly installKernelArgs?: readonly string[] | undefined;
}

/** Something to know before an upgrade. */
export interface Advisory {
  /** Stable: `initiator-name-changes`. */
  readonly id: string;
  /** `warning` is shown; `refuse` stops the preview. */
  readonly severity: "warning" | "refuse";
  /** What happens, and what to do about it. */
  readonly text: string;
  /** The source of this fact. */
  readonly source: string;
}

interface Row extends Omit<Advisory, "text"> {
  /** The text if the advisory applies, else undefined. */
  readonly applies: (question: AdvisoryQuestion) => string | undefined;
}

const ISCSI = "iscsi-tools";
const wantsExtension = ({ extensions }: AdvisoryQuestion, name: string): boolean =>
  extensions.map(canonicalExtension).includes(name);
const messageIf = (condition: boolean, message: string): string | undefined =>
  condition ? message : undefined;

const ROWS: readonly Row[] = [
  {
    id: "initiator-name-changes",
    severity: "warning",
    source: "siderolabs/extensions 4a2e536 (iscsi-tools v0.2.0)",
    applies: (question) => {
      const { from, to } = question;
      if (from === undefined || !wantsExtension(question, ISCSI) || !initiatorNameChanges(from, to))
        return undefined;
      return initiatorNameSource(to) === "machine-id"
        ? `from ${from} to ${to}, every node's iSCSI initiator name changes to iqn.2017-11.dev.talos:<machine id>; ` +
            "allow the new names on the array before the upgrade, or volumes will not attach " +
            "(afterwards, the names are outputs of this stack)"
        : `from ${from} to ${to}, every node's iSCSI initiator name is regenerated; allow the new names on the array`;
    },
  },
  {
    id: "tgtd-gone",
    severity: "warning",
    source: "siderolabs/extensions 4a2e536 (iscsi-tools v0.2.0)",
    applies: (question) => {
      const { from, to } = question;
      const applies = from !== undefined && wantsExtension(question, ISCSI) && hasTgtd(from) && !hasTgtd(to);
      return messageIf(
        applies,
        `${to} no longer has ext-tgtd; checks and monitoring that expect the service will fail`,
      );
    },
  },
  {
    id: "iscsi-paths-gone",
    severity: "warning",
    source: "democratic-csi/democratic-csi#543, siderolabs/extensions#688",
    applies: (question) => {
      const { from, to } = question;
      const applies =
        from !== undefined &&
        wantsExtension(question, ISCSI) &&
        !versionAtLeast(from, 10) &&
        versionAtLeast(to, 10);
      return messageIf(
        applies,
        `${to} has neither /usr/local/etc/iscsi nor /system/iscsi; a CSI driver that mounts one of them must first be ` +
          "changed to /etc/iscsi and /var/lib/iscsi",
      );
    },
  },
  {
    id: "iscsi-node-records",
    severity: "warning",
    source: "siderolabs/extensions#1182, fenio/tns-csi#194",
    applies: (question) => {
      const { from, to } = question;
      const applies =
        from !== undefined &&
        wantsExtension(question, ISCSI) &&
        compareVersions(from, "v1.13.8") < 0 &&
        compareVersions(to, "v1.13.8") >= 0;
      return messageIf(
        applies,
        `${to} ships open-iscsi 2.1.12. Node records in /var/lib/iscsi were written by an older version, and a CSI driver ` +
          "that ships its own iscsiadm must match it: if logins fail after the upgrade, rediscover the targets",
      );
    },
  },
  {
    id: "bad-release",
    severity: "refuse",
    source: "siderolabs/talos#12951, siderolabs/extensions#1006, siderolabs/extensions#1182",
    applies: ({ to, extensions }) => {
      const bad = findBadRelease(to, extensions);
      return (
        bad &&
        `${to} cannot be used with ${bad.extension}: ${bad.reason}. ${bad.instead} does not have this defect.`
      );
    },
  },
  {
    id: "extension-unavailable",
    severity: "refuse",
    source: "siderolabs/extensions",
    applies: ({ to, extensions }) => {
      const missing = extensions.filter((extension) => isExtensionAvailable(extension, to) === false);
      return messageIf(
        missing.length > 0,
        `${to} does not offer ${missing.join(", ")}; choose a newer release`,
      );
    },
  },
  {
    id: "extension-renamed",
    severity: "warning",
    source: "siderolabs/image-factory ExtensionNameAlias",
    applies: ({ schematic }) => {
      const given = schematic?.customization?.systemExtensions?.officialExtensions ?? [];
      const old = given.filter((name) => canonicalExtension(name) !== extensionName(name));
      const renamed = old.map((name) => `${name} is now siderolabs/${canonicalExtension(name)}`);
      return messageIf(
        old.length > 0,
        `the schematic uses old extension names: ${renamed.join(", ")}. The factory still builds them, and nodes are checked for ` +
          "either name. Renaming changes the schematic ID, so rename them with the next upgrade",
      );
    },
  },
  {
    id: "extension-twice",
    severity: "warning",
    source: "siderolabs/image-factory ExtensionNameAlias",
    applies: ({ schematic }) => {
      const given = schematic?.customization?.systemExtensions?.officialExtensions ?? [];
      const twice = given.filter((name, index) =>
        given.slice(0, index).some((other) => canonicalExtension(other) === canonicalExtension(name)),
      );
      return messageIf(
        twice.length > 0,
        `the schematic names an extension twice: ${twice.join(", ")}; list each extension once`,
      );
    },
  },
  {
    id: "kernel-arguments-ignored",
    severity: "warning",
    source: "siderolabs/docs v1.10 bootloader.mdx",
    applies: ({ from, to, installKernelArgs = [] }) =>
      messageIf(
        installKernelArgs.length > 0 && versionAtLeast(to, 10),
        `nodes that boot with systemd-boot ignore machine.install.extraKernelArgs (${installKernelArgs.join(" ")}); ` +
          "put them in the schematic (customization.extraKernelArgs)" +
          // Older releases reject the key.
          (versionAtLeast(from ?? to, 12)
            ? ", and for nodes that boot with GRUB set machine.install.grubUseUKICmdline: true instead of machine.install.extraKernelArgs"
            : ""),
      ),
  },
  {
    id: "kernel-arguments-dropped",
    severity: "warning",
    source: "siderolabs/docs v1.13 upgrading-talos.mdx, siderolabs/talos#13967",
    applies: ({ from, installKernelArgs = [] }) => {
      const lost = lostKernelArguments(installKernelArgs);
      return messageIf(
        from !== undefined && lost.length > 0 && versionAtLeast(from, 13),
        `${from} upgrades through LifecycleService, which does not pass on machine.install.extraKernelArgs: nodes that ` +
          `boot with GRUB would lose ${lost.join(" ")}, and the upgrade of such a node is refused. Put ` +
          `${installKernelArgs.join(" ")} in the schematic (customization.extraKernelArgs), remove ` +
          "machine.install.extraKernelArgs and set machine.install.grubUseUKICmdline: true; without it, GRUB ignores the schematic's arguments",
      );
    },
  },
  {
    id: "schematic-kernel-arguments-lost",
    severity: "warning",
    source: "siderolabs/talos 78e378a48",
    applies: ({ to, schematic, contract }) => {
      const args = schematic?.customization?.extraKernelArgs ?? [];
      const { minor, prerelease } = parseVersion(to);
      return messageIf(
        args.length > 0 && minor === 14 && prerelease !== undefined && contractAtLeast(contract, 14),
        `pre-releases of 1.14 lose the schematic's kernel arguments (${args.join(" ")}) on nodes that boot with GRUB; use a final release`,
      );
    },
  },
  {
    id: "contract-ahead",
    severity: "refuse",
    source: "siderolabs/talos pkg/machinery/config/contract.go",
    applies: ({ from, to, contract }) => {
      const minor = Number(contract.split(".")[1]);
      const behind = [from, to]
        .filter((version) => version !== undefined)
        .find((version) => !versionAtLeast(version, minor));
      return (
        behind &&
        `contract ${contract} has documents that ${behind} does not support; use ${contractOf(behind)} or older`
      );
    },
  },
  {
    id: "installer-not-published",
    severity: "refuse",
    source: "siderolabs/talos v1.14 release notes, home-operations/tuppr#576",
    applies: ({ to, image }) =>
      messageIf(
        image !== undefined &&
          versionAtLeast(to, 14) &&
          installerPartsOf(image)?.registry === "ghcr.io/siderolabs",
        `ghcr.io/siderolabs/installer is no longer published for ${to}; use the factory's installer`,
      ),
  },
  {
    id: "schematic-unreadable",
    severity: "warning",
    source: "siderolabs/talos v1.7 release notes",
    applies: ({ to }) =>
      messageIf(
        !hasSchematicExtension(to),
        `nodes on ${to} do not report their schematic, so only the version and the extensions can be verified`,
      ),
  },
];

/** All advisories for an upgrade, refusals first. */
export function advisories(question: AdvisoryQuestion): readonly Advisory[] {
  const found = ROWS.flatMap(({ id, severity, source, applies }): Advisory[] => {
    const message = applies(question);
    return message === undefined ? [] : [{ id, severity, text: message, source }];
  });
  return [
    ...found.filter(({ severity }) => severity === "refuse"),
    ...found.filter(({ severity }) => severity === "warning"),
  ];
}
