/**
 * Leaves out what the engine repeats about the lab's own plugins: it warns of each plugin that it takes from PATH whenever it starts one, several times
 * in one command. In a lab that is what is wanted, and `npm run lab -- plugins` shows which they are.
 */
export class PluginLines {
  #begun = "";

  /** Takes output as it comes, in pieces; gives back whole lines. */
  filter(text: string): string {
    const lines = (this.#begun + text).split("\n");
    this.#begun = lines.pop() ?? "";
    return lines
      .filter((line) => !/using pulumi-resource-\S+ from \$PATH/.test(line))
      .map((line) => `${line}\n`)
      .join("");
  }

  /** What was said last, without the end of a line. */
  rest(): string {
    const begun = this.#begun;
    this.#begun = "";
    return begun;
  }
}
