import { describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { FactoryImage, otherIdMessage, type FactoryImageArgs } from "../../components/factoryImage.ts";
import { record, only, valueOf, type RecordOptions } from "./components/recorder.ts";

// The ID that factory.talos.dev gives this schematic: facts on record in test/unit/schematic.test.ts.
const iscsiId = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const args: FactoryImageArgs = {
  factory: "https://factory.talos.dev",
  platform: "metal",
  secureBoot: false,
  schematic: { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } },
  talosVersion: "v1.13.9",
};

/** A factory that answers this ID. */
function answering(id: string, more: RecordOptions = {}): RecordOptions {
  return { ...more, made: ({ type }) => (type === schematicType ? { id } : {}) };
}
const schematicType = "talos:imageFactory/schematic:Schematic";

function make(changes: Partial<FactoryImageArgs> = {}, options = answering(iscsiId)) {
  return record(() => new FactoryImage("image", { ...args, ...changes }), options);
}

describe("FactoryImage", () => {
  it("registers the schematic at the factory that was asked for, inside of itself", async () => {
    const { resources } = await make({ factory: "http://127.10.0.2:8080" });
    const registration = only(resources, schematicType);
    expect(parseDocument(registration.inputs["schematic"] as string).toJS()).toEqual(args.schematic);
    expect(registration.parent).toBe("talos-iscsi:index:FactoryImage::image");
    const provider = only(resources, "pulumi:providers:talos");
    expect(provider.inputs["imageFactoryUrl"]).toBe("http://127.10.0.2:8080");
    expect(registration.provider).toBe(provider.name);
  });

  it("shows in its own inputs what the image is made of, for the preview's diff", async () => {
    const { resources } = await make();
    expect(only(resources, "talos-iscsi:index:FactoryImage").inputs).toEqual(args);
  });

  it("gives the references to installer, ISO and iPXE script", async () => {
    const { result: image } = await make();
    expect(await valueOf(image.schematicId)).toBe(iscsiId);
    expect(await valueOf(image.installerImage)).toBe(`factory.talos.dev/metal-installer/${iscsiId}:v1.13.9`);
    expect(await valueOf(image.isoUrl)).toBe(
      `https://factory.talos.dev/image/${iscsiId}/v1.13.9/metal-amd64.iso`,
    );
    expect(await valueOf(image.pxeUrl)).toBe(
      `https://pxe.factory.talos.dev/pxe/${iscsiId}/v1.13.9/metal-amd64`,
    );
  });

  it("gives those of the SecureBoot variant, another platform and another factory", async () => {
    const { result: image } = await make({
      factory: "http://127.10.0.2:8080",
      platform: "nocloud",
      secureBoot: true,
    });
    expect(await valueOf(image.installerImage)).toBe(
      `127.10.0.2:8080/nocloud-installer-secureboot/${iscsiId}:v1.13.9`,
    );
    expect(await valueOf(image.isoUrl)).toBe(
      `http://127.10.0.2:8080/image/${iscsiId}/v1.13.9/nocloud-amd64-secureboot.iso`,
    );
  });

  it("gives the installer of another release with the same schematic, for a node of its own release", async () => {
    const { result } = await record(
      () => new FactoryImage("image", args).installerImageOf("v1.8.4"),
      answering(iscsiId),
    );
    expect(await valueOf(result)).toBe(`factory.talos.dev/installer/${iscsiId}:v1.8.4`);
  });

  it("knows the ID in the first preview, before any factory was asked", async () => {
    const { result: image, resources } = await make({}, { preview: true });
    expect(await valueOf(image.installerImage)).toBe(`factory.talos.dev/metal-installer/${iscsiId}:v1.13.9`);
    expect(new Set(resources.map(({ type }) => type))).toEqual(
      new Set(["pulumi:providers:talos", schematicType, "talos-iscsi:index:FactoryImage"]),
    );
  });

  it("hands nothing on when the factory answers another ID, and says which, and what is known of the cause", async () => {
    const other = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    const outputs = ["schematicId", "installerImage", "isoUrl", "pxeUrl"] as const;
    const failures: string[] = [];
    const swallowed = await unhandled(async () => {
      const { result: image } = await make({}, answering(other));
      for (const name of outputs)
        failures.push(
          await valueOf(image[name]).then(
            () => "no failure",
            (error: Error) => error.message,
          ),
        );
    });
    const message = otherIdMessage({ answered: other, computed: iscsiId, factory: args.factory });
    expect(failures).toEqual(outputs.map(() => expect.stringContaining(message) as string));
    for (const error of swallowed) expect(String(error)).toContain("answered another schematic ID");
    expect(message).toContain(`answered ${other}`);
    expect(message).toContain(`expected ${iscsiId}`);
    expect(message).toMatch(/Take those keys out of image\.schematic/);
  });
});

/** Runs what leaves rejections that the language host would report, and returns them. */
async function unhandled(run: () => Promise<void>): Promise<unknown[]> {
  const seen: unknown[] = [];
  const before = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (error) => seen.push(error));
  try {
    await run();
    await new Promise((resolve) => setTimeout(resolve, 50));
  } finally {
    process.removeAllListeners("unhandledRejection");
    for (const listener of before) process.on("unhandledRejection", listener);
  }
  return seen;
}
