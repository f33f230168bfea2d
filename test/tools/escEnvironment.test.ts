import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { exampleNamed, settingsIn } from "../exampleStacks.ts";
import { askGo } from "../../tools/goProgram.ts";
import { parseOutcome } from "../unit/settings/example.ts";

// Evaluates the ESC environment of the examples with ESC's own evaluator.
const text = readFileSync(join(import.meta.dirname, "../../examples/environment.esc.yaml"), "utf8");

interface Answer {
  values: { pulumiConfig: Record<string, unknown> } | null;
  redacted: unknown;
  problems: string[];
}

let right: Answer | undefined;
let wrong: Answer | undefined;

beforeAll(async () => {
  const mistaken = text.replace("${joviandss.password}", "${joviandss.passwort}");
  [right, wrong] = await askGo<Answer>("esc", [{ yaml: text }, { yaml: mistaken }]);
}, 300_000);

it("is accepted by ESC, and an unresolved reference is not", () => {
  expect(right?.problems).toEqual([]);
  expect(wrong?.problems.join()).toContain("passwort");
});

it("provides the settings of the example with the same storage, including the password", () => {
  const config = Object.fromEntries(
    Object.entries(right?.values?.pulumiConfig ?? {}).map(([key, value]) => [
      key.replace("talos-iscsi:", ""),
      value,
    ]),
  );
  const { settings, message } = parseOutcome(config);
  expect(message).toBe("");
  const stack = parseOutcome(settingsIn(exampleNamed("joviandss"))).settings;
  expect(settings?.joviandss?.endpoint.password).toBe("change-me");
  const password = { ...stack?.joviandss?.endpoint, password: "change-me" };
  const wanted = { ...stack, joviandss: { ...stack?.joviandss, endpoint: password } };
  expect(withoutOrder(settings)).toEqual(withoutOrder(wanted));
});

it("keeps the password secret, also in the settings", () => {
  expect(JSON.stringify(right?.redacted)).toContain("[secret]");
  expect(JSON.stringify(right?.redacted)).not.toContain("change-me");
});

/** ESC sorts keys, and a patch is text, so compare parsed patches. */
function withoutOrder(settings: unknown): unknown {
  return JSON.parse(JSON.stringify(settings), (_, value: unknown) =>
    typeof value === "string" && value.includes("\n") ? (parse(value) as unknown) : value,
  );
}
