import { TalosError } from "../../talos/api/errors.ts";
import type { CallOptions, TalosReader } from "../../talos/api/talosClient.ts";
import { ConfigTextError, parseConfig } from "../../talos/configTree.ts";
import { upgradeApiOf } from "../../talos/features.ts";
import { installKernelArguments } from "../../talos/checkConfig.ts";
import { argumentsForSchematic, lostKernelArguments } from "../../talos/kernelArguments.ts";
import { scrubSecrets } from "../../talos/secrecy/text.ts";
import { VersionError } from "../../talos/version.ts";
import { talosctlCommand } from "../talosctl.ts";
import type { Finding } from "./finding.ts";

/** A node's kernel arguments; undefined values could not be read. */
interface KernelArgumentFacts {
  /** Its address, for commands in messages. */
  node: string;
  /** The running release: its API performs the upgrade. */
  version: string;
  /** The active machine configuration: the installer gets this one. */
  active: string | undefined;
  /** The configuration on disk, which differs while it waits for the next boot. */
  stored: string | undefined;
  /** `/proc/cmdline`. */
  cmdline: string | undefined;
  /** systemd-boot takes the image's arguments and ignores the configuration's anyway. */
  bootedWithUki: boolean | undefined;
}

/** Whether the upgrade would drop kernel arguments that the node runs with. */
function lostArgumentFindings(facts: KernelArgumentFacts): Finding[] {
  const { node, version, active, stored, cmdline, bootedWithUki } = facts;
  if (bootedWithUki === true || !upgradesByLifecycle(version)) return [];
  const args = ignoredArguments(active);
  const lost = lostKernelArguments(args, cmdline);
  if (lost.length === 0) return [];
  const boots =
    bootedWithUki === false
      ? "the node boots with GRUB"
      : "the node does not report whether it boots with GRUB";
  return [
    {
      code: "kernel-arguments",
      problem:
        `the upgrade would lose the kernel arguments ${lost.map(quoteArgument).join(" ")} of machine.install.extraKernelArgs: ` +
        `${boots}, and LifecycleService does not pass them to the installer (siderolabs/talos#13967)`,
      hint: lostArgumentHint(
        node,
        argumentsForSchematic(args, cmdline),
        stored !== undefined && ignoredArguments(stored).length === 0,
      ),
      mayPass: false,
    },
  ];
}

function lostArgumentHint(node: string, args: readonly string[], staged: boolean): string {
  const list = args.map((arg) => JSON.stringify(quoteArgument(arg))).join(", ");
  return (
    `Put them in the schematic: image.schematic.customization.extraKernelArgs: [${list}]. ` +
    (staged
      ? `The configuration that removes them from machine.install.extraKernelArgs is staged: reboot the node first so that the installer reads it (${talosctlCommand("reboot", node)}).`
      : "In the machine configuration, remove machine.install.extraKernelArgs and set machine.install.grubUseUKICmdline: true: without it, GRUB ignores the " +
        "schematic's arguments as well. A preview reads the node's current configuration.")
  );
}

const quoteArgument = (arg: string): string => scrubSecrets(arg, () => "[secret]");

/**
 * Reads what the rule needs. Values that the certificate's role may not read, or the release doesn't have, stay unknown.
 * @param isLater the node reboots before this upgrade: the configuration on disk counts
 */
export async function kernelArgumentFindings(
  node: string,
  talos: TalosReader,
  version: string,
  call: CallOptions,
  isLater = false,
): Promise<Finding[]> {
  if (!upgradesByLifecycle(version)) return [];
  const active = await unlessUnsupported(
    isLater ? talos.machineConfiguration(call) : talos.activeConfiguration(call),
  );
  if (ignoredArguments(active).length === 0) return [];
  const [stored, cmdline, bootedWithUki] = await Promise.all([
    unlessUnsupported(talos.machineConfiguration(call)),
    unlessUnsupported(talos.readText("/proc/cmdline", call)),
    unlessUnsupported(talos.bootedWithUki(call)),
  ]);
  return lostArgumentFindings({ node, version, active, stored, cmdline, bootedWithUki });
}

async function unlessUnsupported<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof TalosError && (error.kind === "denied" || error.kind === "unimplemented"))
      return undefined;
    throw error;
  }
}

function upgradesByLifecycle(version: string): boolean {
  try {
    return upgradeApiOf(version) === "lifecycle";
  } catch (error) {
    // A build with a custom tag: nothing is known about it.
    if (error instanceof VersionError) return false;
    throw error;
  }
}

/** The configuration's arguments, which LifecycleService ignores; none if GRUB uses the image's instead. */
function ignoredArguments(configuration: string | undefined): string[] {
  if (configuration === undefined) return [];
  try {
    const { args, grubUseUKICmdline } = installKernelArguments(parseConfig(configuration));
    return grubUseUKICmdline ? [] : args;
  } catch (error) {
    if (error instanceof ConfigTextError) return [];
    throw error;
  }
}
