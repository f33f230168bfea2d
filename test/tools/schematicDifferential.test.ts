import fc from "fast-check";
import { expect, test } from "vitest";
import { schematicId, schematicYaml, type OverlayOption, type Schematic } from "../../talos/schematic.ts";
import { compareKeys } from "../../talos/goYamlKeys.ts";
import { askGo } from "../../tools/goProgram.ts";

interface Answer {
  /** The schematic's ID according to the factory's own package. */
  id: string;
  /** Its ID for the text that we would register. */
  textId?: string;
  textError?: string;
}

// Fragments that YAML, YAML 1.1 or Go's YAML writer treat specially, to be combined at random.
const pieces = fc.constantFrom(
  ..."yes no on off y N true null ~ << = 0 1 7 - -- --- ... . e E 0x 0b 0o _ : # ' \" \\ ! & * ? | > % @ ` { } [ ] , + a Z é ☃ ß 日本 Ω".split(
    " ",
  ),
  ..."2001-01-01 2001-2-30 T10:20:30Z 12:30 -1:20 1.5 1e3 1e999 .inf .nan 0755 0o17 18446744073709551615 console=ttyS0 {{x}} $y <tag>".split(
    " ",
  ),
  ": ",
  " :",
  " #",
  "# ",
  "- ",
  "? ",
  "\n",
  "\n\n",
  " ",
  "  ",
  "\t",
  "\r",
  "\r\n",
  "\u0085",
  "\u2028",
  "\u2029",
  "\ufeff",
  "\0",
  "\x07",
  "\x1b",
  "\x7f",
  "\x9f",
  "\u00a0",
  "\u3000",
  "\ufffe",
  "\uffff",
  "\ue000",
  "😀",
  "\u{10ffff}",
  "٣",
  "apiVersion: v1alpha1\nkind: X\n",
  "x".repeat(140),
);
const text = fc.oneof(
  { weight: 6, arbitrary: fc.array(pieces, { maxLength: 6 }).map((parts) => parts.join("")) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "binary", maxLength: 20 }).filter((value) => value.isWellFormed()),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
);

const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -0,
    1e6,
    1e21,
    -1e300,
    1e-7,
    0.0001,
    0.00001,
    1234567.5,
    123456.5,
    5e-324,
    1.7976931348623157e308,
  ),
  fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n)),
);
// Go and this Node.js may use different Unicode versions, and whether a rare character is a letter affects sorting.
const key = fc
  .oneof(text, fc.stringMatching(/^[a-c]{0,2}[0-9]{0,3}[-_.]?[a-cA-C0-9]{0,2}$/))
  .filter((name) =>
    [...name].every((character) => character === "😀" || (character.codePointAt(0) ?? 0) < 0x3100),
  );

/** Whether Go's key order is consistent: for some keys it is circular, and then Go's own result is random. */
function ordered(map: Record<string, unknown>): boolean {
  const keys = Object.keys(map).sort(compareKeys);
  return keys.every((a, i) => keys.slice(i + 1).every((b) => compareKeys(a, b) < 0));
}

const option = fc.letrec<{ any: OverlayOption; map: Record<string, OverlayOption> }>((tie) => ({
  any: fc.oneof(
    { depthSize: "small" },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("any"), { maxLength: 4 }),
    tie("map"),
  ),
  map: fc.dictionary(key, tie("any"), { maxKeys: 6, noNullPrototype: true }).filter(ordered),
}));

const optional = { requiredKeys: [] };
const schematic: fc.Arbitrary<Schematic> = fc.record(
  {
    owner: text,
    overlay: fc.record({ image: text, name: text, options: option.map }, optional),
    customization: fc.record(
      {
        embeddedMachineConfiguration: text,
        extraKernelArgs: fc.array(text, { maxLength: 4 }),
        meta: fc.array(fc.record({ key: fc.integer({ min: 0, max: 255 }), value: text }), { maxLength: 3 }),
        systemExtensions: fc.record({ officialExtensions: fc.array(text, { maxLength: 4 }) }, optional),
        bootloader: fc.constantFrom("none", "dual-boot", "sd-boot", "grub"),
        secureboot: fc.record(
          {
            enrollKeys: fc.constantFrom("off", "manual", "if-safe", "force"),
            includeWellKnownCertificates: fc.boolean(),
          },
          optional,
        ),
        diskImage: fc.record({ sectorSize: fc.constantFrom(0, 512, 4096) }, optional),
      },
      optional,
    ),
  },
  optional,
);

const TOTAL = 5000;

// One run of the program checks them all, with the version of the factory's package that tools/schematiccheck pins.
test(
  `${TOTAL} random schematics get the same IDs as from the Image Factory's own package`,
  { timeout: 600_000 },
  async () => {
    const samples = fc.sample(schematic, { numRuns: TOTAL });
    const answers = await askGo<Answer>(
      "schematiccheck",
      samples.map((sample) => ({ schematic: sample, text: schematicYaml(sample) })),
    );
    const wrong = samples.flatMap((sample, i) => {
      const answer = answers[i];
      const ours = {
        id: schematicId(sample),
        textId: schematicId(sample),
      };
      // The registered text (textId) must parse to the same schematic, or the factory would return a different ID.
      const same = ours.id === answer?.id && ours.textId === answer.textId;
      return same ? [] : [{ sample, ours, answer, text: schematicYaml(sample) }];
    });
    expect(answers).toHaveLength(TOTAL);
    expect(wrong.slice(0, 3)).toEqual([]);
  },
);
