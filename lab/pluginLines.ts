/**
 * Filters the engine's repeated warnings about the lab's own plugins: it warns about each plugin it takes from PATH whenever it starts one, several times
 * per command. In a lab this is intended, and `npm run lab -- plugins` shows which plugins they are.
 */
export class PluginLines {
  #begun = "";

  /** Takes output in chunks, as it arrives; returns whole lines. */
  filter(text: string): string {
    const lines = (this.#begun + text).split("\n");
    this.#begun = lines.pop() ?? "";
    return lines
      .filter((line) => !/using pulumi-resource-\S+ from \$PATH/.test(line))
      .map((line) => `${line}\n`)
      .join("");
  }

  /** The last, unfinished line. */
  rest(): string {
    const begun = this.#begun;
    this.#begun = "";
    return begun;
  }
}
