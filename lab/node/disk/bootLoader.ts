import { Boot } from "../machine/boot.ts";
import type { Slot } from "../machine/disk.ts";
import type { NodeImage } from "../machine/images.ts";
import type { Machine } from "../machine/machine.ts";
import type { BootRecord } from "../machine/records.ts";

/**
 * Boots the active slot, or falls back to the other one if a new image doesn't come up. With an empty disk, it boots from the
 * medium.
 */
export function loadImage(node: Machine, medium: NodeImage | undefined): Boot {
  const { disk, faults } = node;
  let slot = disk.active;
  if (slot !== undefined && disk.fallback !== undefined && faults.strikes("falls-back")) {
    record(node, disk.slots[slot], slot, "failed");
    disk.active = slot = disk.fallback;
    delete disk.fallback;
    node.saveDisk();
  }
  const installed = slot === undefined ? undefined : disk.slots[slot];
  const image = installed ?? medium;
  if (image === undefined) throw new Error(`${node.name} has nothing to boot from`);
  // 0x06 names the boot entry that the boot loader falls back to; real machines also have 0x09.
  const meta = new Map([["0x09", "null"]]);
  if (disk.fallback !== undefined) meta.set("0x06", disk.fallback);
  const boot = new Boot(image, installed?.bootArgs ?? image.kernelArgs, slot, meta, () =>
    node.changes.notify(),
  );
  record(node, image, slot, "booted", boot.id);
  return boot;
}

function record(
  node: Machine,
  image: NodeImage | undefined,
  slot: Slot | undefined,
  outcome: BootRecord["outcome"],
  bootId = "",
): void {
  node.boots.push({
    at: new Date().toISOString(),
    bootId,
    version: image?.version ?? "",
    outcome,
    ...(image?.schematic === undefined ? {} : { schematic: image.schematic }),
    ...(slot === undefined ? {} : { slot }),
  });
}
