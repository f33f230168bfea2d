import * as pulumi from "@pulumi/pulumi";
import { hasType, resourceOptions, resourceProperties, type ResourceShape } from "../resource.ts";

const shape: ResourceShape<SchematicArgs, SchematicState> = { inputs: { schematic: {} }, computed: {} };

/**
 * A schematic registered with the Image Factory: what an image contains besides Talos. Its `id` is the schematic's
 * ID. The factory keeps every schematic; destroying this resource only removes it from the state.
 */
export class Schematic extends pulumi.CustomResource {
  private static readonly __pulumiType = "talos:imageFactory/schematic:Schematic";

  /** Looks up an existing Schematic; `state` narrows the lookup. */
  static get(
    name: string,
    id: pulumi.Input<pulumi.ID>,
    state?: SchematicState,
    opts?: pulumi.CustomResourceOptions,
  ): Schematic {
    return new Schematic(name, state, { ...opts, id });
  }

  /** Whether an object is a Schematic, even from another copy of this package. */
  static override isInstance(obj: unknown): obj is Schematic {
    return hasType(obj, Schematic.__pulumiType);
  }

  /** The schematic, YAML. */
  declare readonly schematic: pulumi.Output<string | undefined>;

  /**
   * @param name Unique among the stack's Schematics.
   * @param args The schematic.
   * @param opts Pulumi resource options.
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
  /** The schematic, YAML. Default: the schematic of the vanilla image. */
  schematic?: pulumi.Input<string | undefined>;
}
