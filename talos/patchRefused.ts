/** A patch requests something that the configuration doesn't have, or that Talos doesn't do. */
export class PatchRefused extends Error {
  override readonly name = "PatchRefused";
}
