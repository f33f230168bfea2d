import * as pulumi from "@pulumi/pulumi";
import * as talos from "@pulumiverse/talos";
import { installerImage, isoUrl, pxeUrl } from "../talos/image.ts";
import { schematicId, schematicYaml, type Schematic } from "../talos/schematic.ts";

/** What image the factory is to build, and which factory. */
export interface FactoryImageArgs {
  /**
   * URL of the Image Factory, without a path. It is also the registry that nodes pull from.
   * Default of the settings: `https://factory.talos.dev`.
   */
  factory: string;
  /** Talos platform, such as `metal`, `nocloud` or `vmware`. */
  platform: string;
  /** Whether the SecureBoot variant is wanted. It has its own installer, ISO and PXE references. */
  secureBoot: boolean;
  /**
   * The factory's document: extensions, kernel arguments and so on.
   * @example `{ customization: { systemExtensions: { officialExtensions: ["siderolabs/iscsi-tools"] } } }`
   */
  schematic: Schematic;
  /** Talos release of the references below, such as `v1.13.9`. */
  talosVersion: string;
}

/**
 * An image of the Image Factory: the schematic is registered there, and the references to what the factory builds
 * from it are outputs.
 *
 * The schematic's ID is computed here, so that the first preview already shows the image. What the factory answers
 * is compared with it before anything is handed on: a factory that answers another ID builds another image.
 */
export class FactoryImage extends pulumi.ComponentResource {
  /** ID of the schematic (64 hexadecimal digits), confirmed by the factory when not in a preview. */
  declare readonly schematicId: pulumi.Output<string>;
  /** Installer image of `talosVersion`, such as `factory.talos.dev/metal-installer/c9078f…:v1.13.9`. */
  declare readonly installerImage: pulumi.Output<string>;
  /** URL of the ISO that boots a machine into maintenance mode. */
  declare readonly isoUrl: pulumi.Output<string>;
  /** URL of the iPXE script that boots a machine into maintenance mode. */
  declare readonly pxeUrl: pulumi.Output<string>;
  /** The Talos provider that speaks to this factory; other Talos resources can share it, so that its plugin runs once. */
  declare readonly provider: talos.Provider;

  private readonly args: FactoryImageArgs;

  constructor(name: string, args: FactoryImageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("talos-iscsi:index:FactoryImage", name, { ...args }, opts);
    this.args = args;
    this.provider = new talos.Provider(
      `${name}-factory`,
      { imageFactoryUrl: args.factory },
      { parent: this },
    );
    const registration = new talos.imagefactory.Schematic(
      `${name}-schematic`,
      { schematic: schematicYaml(args.schematic) },
      // Updated in place it would keep the ID of the document before (the engine takes no new ID from an update).
      { parent: this, provider: this.provider, replaceOnChanges: ["schematic"] },
    );
    this.schematicId = confirmedId(registration, schematicId(args.schematic), args.factory);
    this.installerImage = this.installerImageOf(args.talosVersion);
    const reference = { ...args, version: args.talosVersion };
    this.isoUrl = this.schematicId.apply((id) => isoUrl({ ...reference, schematicId: id }));
    this.pxeUrl = this.schematicId.apply((id) => pxeUrl({ ...reference, schematicId: id }));
    this.registerOutputs({
      schematicId: this.schematicId,
      installerImage: this.installerImage,
      isoUrl: this.isoUrl,
      pxeUrl: this.pxeUrl,
    });
  }

  /** The installer image of another Talos release with the same schematic: for a node that overrides its version. */
  installerImageOf(talosVersion: string): pulumi.Output<string> {
    return this.schematicId.apply((id) =>
      installerImage({ ...this.args, schematicId: id, version: talosVersion }),
    );
  }
}

/**
 * The ID to hand on: in a preview the computed one (the factory is not asked, and every diff below stays readable),
 * in an update the factory's answer after it was compared.
 */
function confirmedId(
  registration: talos.imagefactory.Schematic,
  computed: string,
  factory: string,
): pulumi.Output<string> {
  if (pulumi.runtime.isDryRun()) return pulumi.output(computed);
  return registration.id.apply((answered) => {
    if (answered !== computed) throw new pulumi.RunError(otherIdMessage({ answered, computed, factory }));
    return computed;
  });
}

/** What a person is told when the factory's ID is not the one of the schematic. */
export function otherIdMessage(ids: { answered: string; computed: string; factory: string }): string {
  return [
    `FactoryImage: the Image Factory ${ids.factory} answered another schematic ID than the schematic has.`,
    `  answered ${ids.answered}`,
    `  expected ${ids.computed}`,
    "The image it builds would not be the one that was asked for, so nothing further is done. Known cause: a provider or factory that",
    "drops keys it does not know (owner, embeddedMachineConfiguration, diskImage, secureboot.enrollKeys with Talos provider 0.8).",
    "Take those keys out of image.schematic, or use a factory and provider that know them.",
  ].join("\n");
}
