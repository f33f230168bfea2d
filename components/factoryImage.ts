import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import { diskImageUrl } from "../talos/diskImage.ts";
import { installerImage, isoUrl, pxeUrl, type Architecture, type FactoryImageSpec } from "../talos/image.ts";
import { schematicId, schematicYaml, type Schematic } from "../talos/schematic.ts";
import { ConfirmedSchematic } from "./confirmedSchematic.ts";

/** The image to build, and the factory that builds it. */
export interface FactoryImageArgs {
  /** URL of the Image Factory, without a path. Nodes also pull from this registry. Default of the settings: `https://factory.talos.dev`. */
  factory: string;
  /** Talos platform, such as `metal`, `nocloud` or `vmware`. */
  platform: string;
  /** Architecture of the machines, for ISO, iPXE script and disk image. Default: `amd64`. */
  architecture?: Architecture | undefined;
  /** Whether to use the SecureBoot variant. It has its own installer, ISO and PXE references. */
  secureBoot: boolean;
  /**
   * The factory's document: extensions, kernel arguments and so on.
   * @example `{ customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } }`
   */
  schematic: Schematic;
  /** Talos release of the references below, such as `v1.13.9`. */
  talosVersion: string;
  /** The provider of another image from the same factory, to share. Default: a new one. */
  sharedProvider?: talos.Provider | undefined;
}

/**
 * An image of the Image Factory: registers the schematic and outputs the references to what the factory builds from it.
 *
 * The schematic's ID is computed here and passed on as is, so that previews show the image and updates get the same values. `confirmed` compares it with the
 * factory's answer, and everything that installs the image must depend on that: a factory that answers another ID builds another image.
 */
export class FactoryImage extends pulumi.ComponentResource {
  /** ID of the schematic (64 hexadecimal digits), computed. Known in every preview; `confirmed` shows whether the factory agrees. */
  declare readonly schematicId: pulumi.Output<string>;
  /** Installer image of `talosVersion`, such as `factory.talos.dev/metal-installer/c9078f…:v1.13.9`. */
  declare readonly installerImage: pulumi.Output<string>;
  /** Architecture of ISO, iPXE script and disk image. */
  declare readonly architecture: Architecture;
  /** URL of the ISO that boots a machine into maintenance mode. */
  declare readonly isoUrl: pulumi.Output<string>;
  /** URL of the iPXE script that boots a machine into maintenance mode. */
  declare readonly pxeUrl: pulumi.Output<string>;
  /** URL of the disk image, such as `…/metal-arm64.raw.xz`; undefined for a platform that has none. */
  declare readonly diskImageUrl: pulumi.Output<string | undefined>;
  /**
   * Exists once the factory has returned the computed ID; fails otherwise. The outputs above don't depend on it: a provider function whose arguments depend on
   * a resource that doesn't exist yet isn't called in a preview, and machine configurations would be unknown.
   */
  declare readonly confirmed: pulumi.Resource;
  /** The Talos provider for this factory; other Talos resources can share it, so that its plugin runs once. */
  declare readonly provider: talos.Provider;

  private readonly args: FactoryImageArgs;
  /** By Talos release: shared by all nodes that run it. */
  private readonly references = new Map<string, pulumi.Output<string>>();

  constructor(name: string, args: FactoryImageArgs, opts?: pulumi.ComponentResourceOptions) {
    const { sharedProvider, architecture = "amd64", ...shown } = args;
    // The default is not shown: older states have none.
    super(
      "talos-iscsi:index:FactoryImage",
      name,
      architecture === "amd64" ? shown : { ...shown, architecture },
      opts,
    );
    this.args = args;
    this.architecture = architecture;
    this.provider =
      sharedProvider ??
      new talos.Provider(`${name}-factory`, { imageFactoryUrl: args.factory }, { parent: this });
    const registration = new talos.imagefactory.Schematic(
      `${name}-schematic`,
      { schematic: schematicYaml(args.schematic) },
      // An in-place update would keep the ID of the previous document (the engine takes no new ID from an update).
      { parent: this, provider: this.provider, replaceOnChanges: ["schematic"] },
    );
    const computed = schematicId(args.schematic);
    this.confirmed = new ConfirmedSchematic(
      `${name}-confirmed`,
      { factory: args.factory, schematicId: computed, registeredId: registration.id },
      { parent: this },
    );
    this.schematicId = pulumi.output(computed);
    this.installerImage = this.installerImageOf(args.talosVersion);
    const reference = { ...args, version: args.talosVersion };
    const urlOf = <Url>(url: (spec: FactoryImageSpec, architecture: Architecture) => Url) =>
      this.schematicId.apply((id) => url({ ...reference, schematicId: id }, architecture));
    this.isoUrl = urlOf(isoUrl);
    this.pxeUrl = urlOf(pxeUrl);
    this.diskImageUrl = urlOf(diskImageUrl);
    this.registerOutputs({
      schematicId: this.schematicId,
      installerImage: this.installerImage,
      isoUrl: this.isoUrl,
      pxeUrl: this.pxeUrl,
    });
  }

  /** The installer image of another Talos release with the same schematic, for a node that overrides its version. */
  installerImageOf(talosVersion: string): pulumi.Output<string> {
    const known = this.references.get(talosVersion);
    if (known !== undefined) return known;
    const reference = this.schematicId.apply((id) =>
      installerImage({ ...this.args, schematicId: id, version: talosVersion }),
    );
    this.references.set(talosVersion, reference);
    return reference;
  }
}
