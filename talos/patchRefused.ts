/** What a patch asks for and the configuration does not have, or Talos does not do. */
export class PatchRefused extends Error {
  override readonly name = "PatchRefused";
}
