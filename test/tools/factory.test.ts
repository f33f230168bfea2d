import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readSchematic, UnsupportedSchematicError } from "../../lab/factory/document.ts";
import { FactoryServer } from "../../lab/factory/server.ts";
import { schematicId } from "../../talos/schematic.ts";

const VANILLA = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
const ISCSI = "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac";
const iscsi = { customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } };

let factory: FactoryServer;

beforeEach(async () => {
  factory = new FactoryServer();
  await factory.start();
});

afterEach(() => factory.stop());

async function register(
  document: unknown,
): Promise<{ status: number; body: string; id: string | undefined }> {
  const response = await fetch(`${factory.url}/schematics`, {
    method: "POST",
    body: typeof document === "string" ? document : JSON.stringify(document),
  });
  const body = await response.text();
  return {
    status: response.status,
    body,
    id: response.ok ? (JSON.parse(body) as { id: string }).id : undefined,
  };
}

const head = async (path: string) => (await fetch(`${factory.url}${path}`, { method: "HEAD" })).status;
const text = async (path: string) => (await fetch(`${factory.url}${path}`)).text();

describe("schematics", () => {
  // Test vectors from image-factory schematic_test.go and internal/profile/profile_test.go; the last one is from the Synology guide.
  it.each([
    ["nothing", "customization: {}", VANILLA],
    ["no customization", "{}", VANILLA],
    [
      "empty parts",
      "{overlay: {}, customization: {systemExtensions: {officialExtensions: []}, bootloader: none}}",
      VANILLA,
    ],
    [
      "kernel arguments",
      "customization: {extraKernelArgs: [noapic, nolapic]}",
      "9cba8e32753f91a16c1837ab8abf356af021706ef284aef07380780177d9a06c",
    ],
    [
      "meta",
      "customization: {meta: [{key: 10, value: foo}]}",
      "d308a2a5ee2277bed5fbaa104fcbc8d59122abfa737df987a95b4ca763459a7f",
    ],
    [
      "overlay",
      "overlay: {name: rpi_generic, image: siderolabs/sbc-raspberrypi}",
      "ee21ef4a5ef808a9b7484cc0dda0f25075021691c8c09a276591eedb638ea1f9",
    ],
    ["iscsi-tools", JSON.stringify(iscsi), ISCSI],
    [
      "two extensions, in the order given",
      "customization: {systemExtensions: {officialExtensions: [siderolabs/util-linux-tools, siderolabs/iscsi-tools]}}",
      "ffdc59f4fd5b62784876a03c3e31a81fbfecc871eaa7f27aca33b9f5ff1ec96e",
    ],
  ])("gives %s the same ID as the factory", async (_name, document, id) => {
    expect(await register(document)).toMatchObject({ status: 201, id });
    expect(factory.knows(id)).toBe(true);
  });

  it.each([
    ["an unknown key", { customization: { extensions: [] } }, "customization.extensions"],
    ["a wrong type", { customization: { extraKernelArgs: "noapic" } }, "customization.extraKernelArgs"],
    [
      "a META key over a byte",
      { customization: { meta: [{ key: 256, value: "" }] } },
      "customization.meta[0].key",
    ],
    ["an owner", { owner: "me" }, "owner"],
    ["nothing at all", "", "EOF"],
  ])("refuses %s with 400", async (_name, document, message) => {
    const answer = await register(document);
    expect(answer.status).toBe(400);
    expect(answer.body).toContain(message);
  });

  it("returns a registered one in canonical form, and 404 for others", async () => {
    expect(await head(`/schematics/${ISCSI}`)).toBe(404);
    await register(iscsi);
    expect(await text(`/schematics/${ISCSI}`)).toBe(
      "customization:\n    systemExtensions:\n        officialExtensions:\n            - siderolabs/iscsi-tools\n",
    );
  });

  it("keeps them across a restart if it has a folder", async () => {
    const directory = await mkdtemp(join(tmpdir(), "factory-"));
    try {
      const first = new FactoryServer({ directory });
      await first.start();
      await fetch(`${first.url}/schematics`, { method: "POST", body: JSON.stringify(iscsi) });
      await first.stop();
      expect(new FactoryServer({ directory }).knows(ISCSI)).toBe(true);
      expect(factory.knows(ISCSI)).toBe(false);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("its own schematic parser", () => {
  const words = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[-+.:,0-9a-fxoTZ_ ]{0,12}$/),
    fc.stringMatching(/^[ab:#'"{}\n -]{0,12}$/),
    fc.constantFrom(
      "yes",
      "No",
      "~",
      "0x1f",
      "0b_",
      "0o_7",
      "0x_",
      "1e3",
      "2020-01-01",
      "12:30",
      "=",
      "---",
      "a: b",
      "console=ttyS0",
      "x #y",
    ),
  );
  const documents = fc.record(
    {
      extraKernelArgs: fc.array(words, { maxLength: 3 }),
      meta: fc.array(fc.record({ key: fc.integer({ min: 0, max: 255 }), value: words }), { maxLength: 2 }),
      systemExtensions: fc.record({ officialExtensions: fc.array(words, { maxLength: 3 }) }),
      bootloader: fc.constantFrom("none" as const, "dual-boot" as const, "sd-boot" as const, "grub" as const),
      secureboot: fc.record({ includeWellKnownCertificates: fc.boolean() }),
      diskImage: fc.record({ sectorSize: fc.constantFrom(0, 512, 4096) }),
    },
    { requiredKeys: [] },
  );

  it("computes the same IDs as the program independently, or reports that it can't", () => {
    let compared = 0;
    fc.assert(
      fc.property(documents, (customization) => {
        try {
          expect(readSchematic(JSON.stringify({ customization })).id).toBe(schematicId({ customization }));
          compared += 1;
        } catch (error) {
          if (!(error instanceof UnsupportedSchematicError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
    expect(compared).toBeGreaterThan(250);
  });
});

describe("versions and images", () => {
  it("lists the releases and their extensions", async () => {
    const versions = JSON.parse(await text("/versions")) as string[];
    expect(versions).toEqual(expect.arrayContaining(["v1.6.7", "v1.12.7", "v1.13.9", "v1.14.1"]));
    const of = async (version: string) =>
      (
        JSON.parse(await text(`/version/${version}/extensions/official`)) as { name: string; ref: string }[]
      ).find(({ name }) => name === "siderolabs/iscsi-tools")?.ref;
    expect(await of("v1.6.7")).toBe("ghcr.io/siderolabs/iscsi-tools:v0.1.4");
    expect(await of("1.13.9")).toBe("ghcr.io/siderolabs/iscsi-tools:v0.2.0");
    expect(await head("/version/v0.9.0/extensions/official")).toBe(404);
  });

  it("has an installer image for a registered schematic, by tag and by digest", async () => {
    const path = `/v2/metal-installer/${ISCSI}/manifests`;
    expect(await head(`${path}/v1.13.9`)).toBe(404);
    await register(iscsi);
    const response = await fetch(`${factory.url}${path}/v1.13.9`);
    const digest = response.headers.get("docker-content-digest") ?? "";
    expect(response.status).toBe(200);
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await head(`${path}/${digest}`)).toBe(200);
    expect(await head(`${path}/v1.13.99`)).toBe(404);
    expect(await head(`/v2/metal-installer-secureboot/${ISCSI}/manifests/latest`)).toBe(200);
    expect(await head(`/image/${ISCSI}/v1.13.9/metal-amd64.iso`)).toBe(200);
    expect(await text(`/pxe/${ISCSI}/v1.13.9/metal-amd64`)).toContain(`/image/${ISCSI}/v1.13.9/kernel-amd64`);
  });

  it("registers an extension that no release has, and fails when an image is requested", async () => {
    const { id } = await register({
      customization: { systemExtensions: { officialExtensions: ["siderolabs/nope"] } },
    });
    const response = await fetch(`${factory.url}/v2/installer/${id}/manifests/v1.13.9`);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain(
      'official extension "siderolabs/nope" is not available for Talos version v1.13.9',
    );
  });
});

describe("faults", () => {
  it("returns a different ID", async () => {
    factory.faults.answerId = VANILLA;
    expect((await register(iscsi)).id).toBe(VANILLA);
    expect(factory.knows(ISCSI)).toBe(true);
  });

  it("fails every request", async () => {
    factory.faults.failWith = 503;
    expect((await register(iscsi)).status).toBe(503);
    expect(await head("/versions")).toBe(503);
  });

  it("forgets a schematic until it is registered again", async () => {
    await register(iscsi);
    factory.faults.forgotten.add(ISCSI);
    expect(await head(`/v2/installer/${ISCSI}/manifests/v1.13.9`)).toBe(404);
    await register(iscsi);
    expect(await head(`/v2/installer/${ISCSI}/manifests/v1.13.9`)).toBe(200);
  });

  it("lacks an extension", async () => {
    await register(iscsi);
    factory.faults.missingExtensions.add("siderolabs/iscsi-tools");
    expect(await head(`/v2/installer/${ISCSI}/manifests/v1.13.9`)).toBe(400);
  });
});
