import { describe, expect, it } from "vitest";
import { parseConfig } from "../../talos/configTree.ts";
import { machineryText } from "../../talos/machineryText.ts";

/** What types with writers of their own make of values, as Talos v1.13.9's machinery wrote them. */

const written = (text: string): string => machineryText(parseConfig(text), "v1.13");

/** The lines of a section, without those of the sections around it. */
function linesOf(text: string, after: string): string[] {
  const lines = written(text).split("\n");
  const start = lines.findIndex((line) => line.trim() === after);
  const end = lines.findIndex((line, index) => index > start && /^\S/.test(line));
  return lines.slice(start + 1, end).map((line) => line.trim());
}

describe("values written by Talos's own types", () => {
  it.each([
    ["0", undefined],
    ["0 GB", undefined],
    ['"0.5B"', undefined],
    ["00", undefined],
    ["1024", "1024"],
    ["100000", "100 kB"],
  ])("a partition's size %s", (given, size) => {
    const partition = `machine: { disks: [{ device: /dev/sdb, partitions: [{ size: ${given}, mountpoint: /a }] }] }`;
    expect(linesOf(partition, "partitions:")).toEqual(
      size === undefined ? ["- mountpoint: /a"] : [`- size: ${size}`, "mountpoint: /a"],
    );
  });

  it.each([
    ["0s", undefined],
    ["0.0000000001s", undefined],
    ["-0s", undefined],
    ["90m", "1h30m0s"],
    ["1500ms", "1.5s"],
    ["1500us", "1.5ms"],
    ["999999us", "999.999ms"],
    ["1us500ns", "1.5µs"],
    ["1ns", "1ns"],
    ["-1.5h", "-1h30m0s"],
    ["100h0.25s", "100h0m0.25s"],
    ["2540400h10m10.000000001s", "2540400h10m10.000000001s"],
  ])("a duration of %s", (given, duration) => {
    expect(linesOf(`machine: { time: { disabled: false, bootTimeout: ${given} } }`, "time:")).toEqual(
      duration === undefined ? ["disabled: false"] : ["disabled: false", `bootTimeout: ${duration}`],
    );
  });

  it("arguments of components: an empty one is null, and old words for booleans need no quotes", () => {
    const values = { a: "y", b: "12:30", c: "1.5", d: "", e: ["OFF", "true", ""], f: [], g: "a: b" };
    expect(linesOf(`cluster: { apiServer: { extraArgs: ${JSON.stringify(values)} } }`, "extraArgs:")).toEqual(
      ["a: y", "b: 12:30", 'c: "1.5"', "d: null", "e:", "- OFF", '- "true"', '- ""', "f: []", "g: 'a: b'"],
    );
  });

  it("a file's mode of zero, which is no missing one", () => {
    const file = "machine: { files: [{ path: /a, content: x, permissions: 0, op: create }] }";
    expect(linesOf(file, "files:")).toContain("permissions: 0o0");
  });
});
