import { describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { FactoryImage, type FactoryImageArgs } from "../../components/factoryImage.ts";
import { record, onlyResource, valueOf, type RecordOptions } from "./components/recorder.ts";

// The ID that factory.talos.dev returns for this schematic, as recorded in test/unit/schematic.test.ts.
const iscsiId = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const args: FactoryImageArgs = {
  factory: "https://factory.talos.dev",
  platform: "metal",
  secureBoot: false,
  schematic: { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } },
  talosVersion: "v1.13.9",
};

/** A factory that answers with this ID. */
function answering(id: string, more: RecordOptions = {}): RecordOptions {
  return { ...more, made: ({ type }) => (type === schematicType ? { id } : {}) };
}
const schematicType = "talos:imageFactory/schematic:Schematic";

function make(changes: Partial<FactoryImageArgs> = {}, options = answering(iscsiId)) {
  return record(() => new FactoryImage("image", { ...args, ...changes }), options);
}

describe("FactoryImage", () => {
  it("registers the schematic at the configured factory, as its own child", async () => {
    const { resources } = await make({ factory: "http://127.10.0.2:8080" });
    const registration = onlyResource(resources, schematicType);
    expect(parseDocument(registration.inputs["schematic"] as string).toJS()).toEqual(args.schematic);
    expect(registration.parent).toBe("talos-iscsi:index:FactoryImage::image");
    const provider = onlyResource(resources, "pulumi:providers:talos");
    expect(provider.inputs["imageFactoryUrl"]).toBe("http://127.10.0.2:8080");
    expect(registration.provider).toBe(provider.name);
  });

  it("shows the image's contents in its own inputs, for the preview's diff", async () => {
    const { resources } = await make();
    expect(onlyResource(resources, "talos-iscsi:index:FactoryImage").inputs).toEqual(args);
  });

  it("returns the references to installer, ISO and iPXE script", async () => {
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

  it("returns those of the SecureBoot variant, another platform and another factory", async () => {
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

  it("returns another release's installer for the same schematic", async () => {
    const { result } = await record(
      () => new FactoryImage("image", args).installerImageOf("v1.8.4"),
      answering(iscsiId),
    );
    expect(await valueOf(result)).toBe(`factory.talos.dev/installer/${iscsiId}:v1.8.4`);
  });

  it("knows the ID in the first preview, before contacting a factory", async () => {
    const { result: image, resources } = await make({}, { preview: true });
    expect(await valueOf(image.installerImage)).toBe(`factory.talos.dev/metal-installer/${iscsiId}:v1.13.9`);
    expect(new Set(resources.map(({ type }) => type))).toEqual(
      new Set([
        "pulumi:providers:talos",
        schematicType,
        "talos-node:index:ConfirmedSchematic",
        "talos-iscsi:index:FactoryImage",
      ]),
    );
  });

  it("passes on the computed ID in preview and update alike, with the same dependencies", async () => {
    const references = async (preview: boolean) => {
      const { result: image } = await make({}, answering(iscsiId, { preview }));
      const outputs = [image.schematicId, image.installerImage, image.isoUrl, image.pxeUrl];
      return Promise.all(
        outputs.map(async (output) => ({
          value: await valueOf(output),
          after: (await (output as unknown as { allResources(): Promise<Set<unknown>> }).allResources()).size,
        })),
      );
    };
    expect(await references(true)).toEqual(await references(false));
  });

  it("lets our provider compare the factory's answer with the computed ID", async () => {
    const other = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
    const { resources, result: image } = await make({}, answering(other));
    const confirmed = onlyResource(resources, "talos-node:index:ConfirmedSchematic");
    expect(confirmed.inputs).toEqual({ factory: args.factory, schematicId: iscsiId, registeredId: other });
    expect(confirmed.after).toContain("image-schematic");
    expect(await valueOf(image.confirmed.urn)).toContain("ConfirmedSchematic::image-confirmed");
  });
});
