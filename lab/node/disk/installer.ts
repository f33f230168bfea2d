import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { CallFailure } from "../machine/failure.ts";
import type { Disk, Slot } from "../machine/disk.ts";
import { pinned, preflight, resolveImage, type NodeImage } from "../machine/images.ts";
import type { Machine } from "../machine/machine.ts";
import type { MachineConfig } from "../machine/machineConfig.ts";
import type { InstallVia } from "../machine/records.ts";

const vanilla = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";

/** The share of a pull that reports progress (seen on real Talos 1.13: it continues for a while after 100 %). */
const fetching = 0.6;

/** Pulls an image into the node's containerd; an image that is already there takes no time. */
export async function pull(
  node: Machine,
  reference: string,
  signal: AbortSignal,
  progress: (share: number) => void = () => {},
  mirrors = node.config?.mirrors ?? {},
): Promise<NodeImage> {
  const present = node.disk.images[reference];
  if (present !== undefined) return present;
  const { faults } = node;
  if (faults.has("pull-hangs")) {
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    throw new CallFailure(status.CANCELLED, "context canceled");
  }
  if (faults.strikes("pull-not-found")) {
    throw new CallFailure(status.NOT_FOUND, `error pulling image: ${reference}: not found`);
  }
  if (faults.strikes("pull-fails")) {
    throw new CallFailure(
      status.UNKNOWN,
      `failed to pull image "${reference}": unexpected status from GET request: 503 Service Unavailable`,
    );
  }
  const image = await resolveImage(reference, mirrors, signal);
  const seconds = node.timings.pullSeconds * faults.factor("slow-pull");
  const steps = Math.max(4, Math.ceil(seconds / 0.5));
  for (let step = 1; step <= steps; step++) {
    await delay((seconds * fetching * 1000) / steps, undefined, { signal });
    progress(step / steps);
  }
  // Then layers are unpacked, without any progress.
  await delay(seconds * (1 - fetching) * 1000, undefined, { signal });
  node.disk.images[reference] = image;
  node.disk.images[pinned(image)] = image;
  node.saveDisk();
  return image;
}

// From siderolabs/talos v1.13.9 internal/app/lifecycle/container.go.
const preserved =
  /^(siderolink\.api|talos\.events\.sink|talos\.logging\.kernel|em\.events_url|talos\.(auditd|dashboard)\.disabled|net\.ifnames|module\.sig_enforce)=/;

/** The kernel arguments of an installed image (siderolabs/talos v1.13.9 grub/install.go and cmd/installer/pkg/install/install.go). */
function bootArgs(
  node: Machine,
  image: NodeImage,
  via: InstallVia,
  config: MachineConfig | undefined,
): string[] {
  // systemd-boot takes them only from the image; so does GRUB if it is configured to, or if there is no configuration yet.
  if (node.disk.bootloader === "sd-boot" || config === undefined || config.grubUseUKICmdline)
    return image.kernelArgs;
  // Otherwise GRUB gets none of the image's, and LifecycleService doesn't pass those in the configuration to the installer.
  const configured = via === "lifecycle" ? [] : config.extraKernelArgs;
  const running = node.boot?.kernelArgs ?? [];
  return [...new Set([...configured, ...running.filter((arg) => preserved.test(arg))])];
}

/**
 * Runs an image's installer: writes a slot, and makes it the one to boot next.
 * @returns the installer's exit code
 */
export async function install(
  node: Machine,
  image: NodeImage,
  via: InstallVia,
  say: (line: string) => void,
  signal: AbortSignal,
  config = node.config,
): Promise<number> {
  const { faults, disk } = node;
  const seconds = node.timings.installSeconds * faults.factor("slow-install");
  const finish = (exitCode: number): number => {
    node.installs.push({
      at: new Date().toISOString(),
      via,
      image: image.reference,
      version: image.version,
      ...(image.schematic === undefined ? {} : { schematic: image.schematic }),
      exitCode,
    });
    return exitCode;
  };
  say(`running Talos installer ${image.version}\n`);
  if (via !== "apply") {
    const refusal = preflight(node.version, image.version);
    if (refusal !== undefined) {
      say(`error: pre-flight checks failed: ${refusal}\n`);
      return finish(1);
    }
    say(`host Talos version: ${node.version}\n`);
    if (node.disk.bootloader === "sd-boot" && (config?.extraKernelArgs.length ?? 0) > 0) {
      say("WARNING: config.machine.install.extraKernelArgs is not supported when booting using SDBoot\n");
    }
  }
  await delay(seconds * 500, undefined, { signal });
  if (faults.has("install-exits-nonzero")) {
    const exitCode = faults.value("install-exits-nonzero");
    faults.strikes("install-exits-nonzero");
    say("error: failed to write the boot assets: input/output error\n");
    return finish(exitCode);
  }
  say("installing the boot assets\n");
  await delay(seconds * 500, undefined, { signal });
  if (!faults.strikes("install-not-written")) {
    const slot = slotToWrite(disk);
    const written = faults.strikes("schematic-differs") ? differently(image) : image;
    disk.slots[slot] = { ...written, bootArgs: bootArgs(node, written, via, config) };
    if (disk.active !== undefined && disk.active !== slot) disk.fallback = disk.active;
    disk.active = slot;
    node.saveDisk();
  }
  say(`installation of ${image.version} complete\n`);
  return finish(0);
}

/**
 * The slot that isn't the boot loader's default, no matter which one is booted: a second installation in the same boot overwrites the
 * running image (siderolabs/talos v1.13.9 bootloader/grub/upgrade.go; sdboot/sdboot.go only keeps the default entry).
 */
function slotToWrite({ active }: Disk): Slot {
  return active === "A" ? "B" : "A";
}

function differently(image: NodeImage): NodeImage {
  return {
    ...image,
    schematic: vanilla,
    schematicYaml: "customization: {}\n",
    extensions: [],
    kernelArgs: [],
  };
}
