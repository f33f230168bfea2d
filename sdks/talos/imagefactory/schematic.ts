import * as pulumi from "@pulumi/pulumi";
import { hasType, resourceOptions, resourceProperties, type ResourceShape } from "../resource.ts";

const shape: ResourceShape<SchematicArgs, SchematicState> = { inputs: { schematic: {} }, computed: {} };

/**
 * A schematic made known to the Image Factory: what an image consists of besides Talos. Its `id` is the schematic's
 * ID. The factory keeps every schematic; destroying this resource removes it from the state alone.
 */
export class Schematic extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:imageFactory/schematic:Schematic";

  /** Stands for a Schematic that exists already; `state` narrows the look-up. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: SchematicState,
    opts?: pulumi.CustomResourceOptions,
  ): Schematic {
    return new Schematic(name, state, { ...opts, id });
  }

  /** Tells whether an object is a Schematic, also one from another copy of this package. */
  static override isInstance(obj: unknown): obj is Schematic {
    return hasType(obj, Schematic.__pulumiType);
  }

  /** The schematic, YAML. */
  declare readonly schematic: pulumi.Output<string | undefined>;

  /**
   * @param name Unique among the stack's Schematics.
   * @param args The schematic.
   * @param opts Options that hold for every Pulumi resource.
   */
  constructor(name: string, args?: SchematicArgs, opts?: pulumi.CustomResourceOptions);
  constructor(name: string, given?: SchematicArgs | SchematicState, opts?: pulumi.CustomResourceOptions) {
    super(Schematic.__pulumiType, name, resourceProperties(shape, given, opts), resourceOptions(shape, opts));
  }
}

/** Known properties of a Schematic to look up. */
export interface SchematicState {
  /** The schematic, YAML. */
  schematic?: pulumi.Input<string | undefined>;
}

/** What a {@link Schematic} takes. */
export interface SchematicArgs {
  /** The schematic, YAML. Without one it is the vanilla image's. */
  schematic?: pulumi.Input<string | undefined>;
}
