import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commandPages, provesCommand, fencedCommands, proofs } from "../docsCommands.ts";

/**
 * Every command in the documentation is run by a test, or `test/docsCommands.json` says why not. test/tools/docsCommands.test.ts checks the
 * options against the real tools.
 */

const root = join(import.meta.dirname, "../..");
const all = commandPages.flatMap(fencedCommands);

describe("the commands of the documentation", () => {
  it("are found", () => {
    expect(all.length).toBeGreaterThan(30);
    expect(all.map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        "pulumi config set --secret --path cluster.secrets.bundle < secrets.yaml",
        "pulumi up",
      ]),
    );
  });

  it.each(all.map((command) => [`${command.page}: ${command.text}`, command] as const))(
    "include a proof for %s",
    (_, command) => {
      const found = proofs.filter((proof) => provesCommand(proof, command));
      expect(
        found.length,
        "is in no entry of test/docsCommands.json: give the test that runs it, or say why none can",
      ).toBeGreaterThan(0);
    },
  );

  it.each(proofs.map((proof) => [proof.command, proof] as const))(
    "%s has an existing test or a reason",
    (_, proof) => {
      if (proof.why !== undefined) {
        expect(proof).not.toHaveProperty("test");
        expect(proof.why.length).toBeGreaterThan(20);
        return;
      }
      const test = join(root, proof.test ?? "");
      expect(existsSync(test), proof.test).toBe(true);
      // Independent of the formatter's line breaks.
      const flat = readFileSync(test, "utf8")
        .replace(/\s+/g, " ")
        .replace(/([[(]) /g, "$1")
        .replace(/,? ([\])])/g, "$1");
      expect(flat).toContain(proof.by);
    },
  );

  it("have no entry that no page needs", () => {
    const unused = proofs.filter((proof) => !all.some((command) => provesCommand(proof, command)));
    expect(unused.map(({ command }) => command)).toEqual([]);
  });
});
