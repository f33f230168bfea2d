import { describe, expect, it } from "vitest";
import { z } from "zod";
import { settingsSchema } from "../../../settings/settingsSchema.ts";
import { minimalSettings, parseOutcome } from "./example.ts";

/** Every place that the schema knows, with one item per list and one entry per mapping; lists and mappings of anything end a path. */
function placesIn(schema: z.ZodType, path: (string | number)[] = []): (string | number)[][] {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodExactOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  )
    return placesIn(schema.unwrap() as z.ZodType, path);
  if (schema instanceof z.ZodPipe) return placesIn(schema.in as z.ZodType, path);
  if (schema instanceof z.ZodUnion)
    return schema.options.flatMap((option) => placesIn(option as z.ZodType, path));
  const inner: [string | number, z.ZodType][] =
    schema instanceof z.ZodObject
      ? Object.entries(schema.shape)
      : schema instanceof z.ZodArray
        ? [[0, schema.element as z.ZodType]]
        : schema instanceof z.ZodRecord
          ? [["any", schema.valueType as z.ZodType]]
          : [];
  const deeper = inner
    .filter(([, item]) => !(item instanceof z.ZodUnknown))
    .flatMap(([key, item]) => placesIn(item, [...path, key]));
  return path.length === 0 ? deeper : [path, ...deeper];
}

const places = [...new Map(placesIn(settingsSchema).map((place) => [JSON.stringify(place), place])).values()];

const textOf = (place: (string | number)[]): string =>
  place.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );

/** The problems at a place that has this value; sections on the way there are added. */
function reasonsAt(place: (string | number)[], value: unknown): string[] {
  const settings = minimalSettings();
  let inner = settings as Record<string | number, unknown>;
  for (const [depth, key] of place.entries()) {
    if (depth === place.length - 1) inner[key] = value;
    else inner = (inner[key] ??= typeof place[depth + 1] === "number" ? [] : {}) as typeof inner;
  }
  const path = textOf(place);
  const { problems } = parseOutcome(settings);
  if (value === null) expect(problems).not.toEqual([]);
  return problems
    .filter((problem) => problem.path === path && !/unknown (key|pool)/.test(problem.reason))
    .map(({ reason }) => reason);
}

describe("a key without a value", () => {
  it.each(places.map((place) => [textOf(place), place] as const))("is named as empty: %s", (_, place) => {
    for (const reason of reasonsAt(place, null))
      expect(reason).toMatch(
        /^is empty; (remove it, or (set .|give it a value$)|it must be .|give it a value$)/,
      );
  });

  it("says that it may be removed only where the setting has a default", () => {
    expect(reasonsAt(["upgrade"], null)).toEqual([
      expect.stringMatching(/^is empty; remove it, or set an object with the keys prePull, /),
    ]);
    expect(reasonsAt(["upgrade"], "")).toEqual(reasonsAt(["upgrade"], null));
    expect(reasonsAt(["talosVersion"], null)).toEqual([
      "is empty; it must be a Talos release such as v1.13.9",
    ]);
  });
});

describe("a wrong value", () => {
  // The parser of JSONPath has its own words.
  const judged = places.filter((place) => place.at(-1) !== "jsonPath");
  const values = ["x y", 1.5, true, ["x", null], { "no such key": 1 }];
  it.each(judged.map((place) => [textOf(place), place] as const))("has a readable reason: %s", (_, place) => {
    for (const value of values)
      for (const reason of reasonsAt(place, value))
        expect(reason).not.toMatch(/Invalid |Unrecognized|expected|received|null|Too (big|small)|\[object/);
  });
});
