import { expect, it } from "vitest";
import { PluginLines } from "../../lab/pluginLines.ts";

it("omits only the engine's lines about plugins from PATH, however the output is split", () => {
  const text =
    "Updating (dev):\n    pulumi:pulumi:Stack x  warning: using pulumi-resource-talos from $PATH at /x/bin/pulumi-resource-talos\n" +
    "    warning: something else\nerror: using pulumi-resource-talos failed\nno end";
  for (const size of [1, 7, 40, text.length]) {
    const lines = new PluginLines();
    let shown = "";
    for (let at = 0; at < text.length; at += size) shown += lines.filter(text.slice(at, at + size));
    expect(shown + lines.rest()).toBe(
      "Updating (dev):\n    warning: something else\nerror: using pulumi-resource-talos failed\nno end",
    );
  }
});
