import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  adoptedSettings,
  adoptedFiles,
  bundle,
  withValues,
  controlplane,
  leaksSecret,
  parseOutcome,
  pem,
  talosconfig,
} from "./settings/example.ts";

/** Valid settings keys, and keys that cause trouble in JavaScript. */
const key = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...keysOf(adoptedSettings()),
      "joviandss",
      "synology",
      "upgrade",
      "image",
      "patches",
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      "__proto__",
      "constructor",
      "prototype",
      "toString",
      "hasOwnProperty",
      "",
      "0",
      "\0",
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 12, unit: "binary" }) },
);

const leaf = fc.oneof(
  fc.constantFrom(
    null,
    undefined,
    true,
    false,
    NaN,
    Infinity,
    -0,
    1e308,
    -1,
    2 ** 53,
    "",
    " ",
    "\0",
    "\ud800",
  ),
  fc.constantFrom<unknown>(
    "v1.13.9",
    "v1.13.8",
    "v999999999999999999999.0.0",
    "controlplane",
    "worker",
    "100%",
    "1h",
    "::1",
  ),
  fc.constantFrom<unknown>(
    "https://",
    "https://[::1]:6443",
    "10.0.0.0/8",
    "/dev/sda",
    "a: &a [*a]",
    "%YAML 9.9\n---\n",
    "*x",
  ),
  fc.string({ unit: "binary" }),
  fc.bigInt(),
  fc.date(),
);

/** Any value, including own keys such as `__proto__`, which JSON.parse creates and object literals do not. */
const anything = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie("value")), { maxLength: 5 }).map(ownKeys),
  ),
})).value;

function ownKeys(entries: [string, unknown][]): object {
  return Object.fromEntries(entries);
}

function keysOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const own = Array.isArray(value) ? [] : Object.keys(value);
  return [...new Set([...own, ...Object.values(value).flatMap(keysOf)])];
}

/** Every place in the settings, as paths. */
function pathsOf(value: unknown, path = ""): string[] {
  const inner = Array.isArray(value)
    ? value.flatMap((item, index) => pathsOf(item, `${path}[${index}]`))
    : typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([name, item]) => pathsOf(item, path === "" ? name : `${path}.${name}`))
      : [];
  return path === "" ? inner : [path, ...inner];
}

const right = withValues(adoptedSettings(), {
  image: { factory: "https://factory.talos.dev", platform: "metal", secureBoot: false },
  "image.schematic.customization.systemExtensions.officialExtensions": ["siderolabs/iscsi-tools"],
  "image.schematic.customization.extraKernelArgs": ["iscsi_tcp=1"],
  "image.schematic.overlay.options": { any: "thing" },
  "cluster.podSubnets": ["10.244.0.0/16"],
  "cluster.protectSecrets": true,
  "cluster.nodes[0].patches": ["machine: {}"],
  "cluster.nodes[0].talosVersion": "v1.13.9",
  "cluster.nodes[0].installDisk": "/dev/sda",
  "cluster.patches": { all: [{ machine: {} }], controlplane: [], worker: [] },
  upgrade: {
    prePull: true,
    drain: { enabled: true, timeout: "5m" },
    workers: { maxUnavailable: 1 },
    timeout: "30m",
    allowSkew: false,
    etcdDowngrade: false,
  },
});
const place = fc.constantFrom(...pathsOf(right));

describe("any settings", () => {
  it("the example is valid", () => {
    expect(parseOutcome(right, adoptedFiles).problems).toEqual([]);
  });

  it("any input gives either settings or a list of mistakes", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const { settings, problems } = parseOutcome(value);
        expect(settings === undefined).toBe(problems.length > 0);
      }),
      { numRuns: 400 },
    );
  });

  it("a wrong value anywhere gives mistakes with a readable reason, each once", () => {
    fc.assert(
      fc.property(place, anything, (path, value) => {
        const { problems } = parseOutcome(withValue(right, path, value), adoptedFiles);
        for (const problem of problems) {
          expect(problem.reason.length).toBeGreaterThan(10);
          // Jargon of the schema library.
          expect(problem.reason).not.toMatch(
            /Invalid (input|string|option)|Unrecognized|expected|ZodError|\[object/,
          );
        }
        const lines = problems.map(({ path: at, reason }) => `${at} ${reason}`);
        expect(lines).toEqual([...new Set(lines)]);
      }),
      { numRuns: 400 },
    );
  });

  it("files in the wrong place are never shown", () => {
    const secret = fc.constantFrom<unknown>(
      ...[bundle, controlplane, talosconfig, pem("EC PRIVATE KEY"), `${bundle}\0`],
      ...[[bundle], { bundle }, { a: { b: [talosconfig] } }],
    );
    fc.assert(
      fc.property(place, place, secret, (path, other, value) => {
        const wrong = withValue(withValue(right, path, value), other, "mistake");
        expect(leaksSecret(parseOutcome(wrong, adoptedFiles).message)).toBe(false);
      }),
      { numRuns: 400 },
    );
  });

  it("contents of the secrets' files are never shown, no matter how damaged", () => {
    const cut = fc.tuple(
      fc.nat(2000),
      fc.nat(2000),
      fc.constantFrom("", "\n", "[", "*", "&x ", ": ", "\0", "\t", "!!binary "),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(bundle, controlplane),
        cut,
        cut,
        (text, [start, length, put], [at, size, add]) => {
          const secrets = {
            [text === bundle ? "bundle" : "controlplane"]:
              text.slice(0, start) + put + text.slice(start + (length % 40)),
            talosconfig: talosconfig.slice(0, at) + add + talosconfig.slice(at + (size % 40)),
          };
          const { message } = parseOutcome(withValues(adoptedSettings(), { "cluster.secrets": secrets }));
          expect(leaksSecret(message)).toBe(false);
        },
      ),
      { numRuns: 200 },
    );
  });

  it.each([
    ["mappings", (inner: unknown) => ({ a: inner })],
    ["lists", (inner: unknown) => [inner]],
  ])("endlessly nested %s are refused quickly, with the path", (_, wrap) => {
    let value: unknown = "bottom";
    for (let depth = 0; depth < 100_000; depth++) value = wrap(value);
    for (const path of ["image", "cluster", "joviandss", "nonsense"]) {
      expect(parseOutcome({ ...right, [path]: value }, adoptedFiles).problems).toEqual([
        { path, reason: "is nested deeper than 100 levels" },
      ]);
    }
  });

  it("a value that contains itself is refused", () => {
    const loop: Record<string, unknown> = {};
    Object.assign(loop, { a: loop, b: [loop, loop] });
    expect(parseOutcome({ ...right, image: loop }, adoptedFiles).problems).toHaveLength(1);
  });

  it("keys of Object's prototype are unknown keys, not settings", () => {
    const polluted = JSON.parse(
      '{"__proto__": {"talosVersion": "v1.13.9"}, "cluster": {"__proto__": {"name": "x"}, "constructor": 1}}',
    ) as unknown;
    const paths = parseOutcome(polluted).problems.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining(["talosVersion", "__proto__", "cluster.name", "cluster.__proto__"]),
    );
    expect(paths).toContain("cluster.constructor");
    expect(({} as Record<string, unknown>)["talosVersion"]).toBeUndefined();
  });

  it.each([null, undefined, [], "text", 7, true])("%j instead of the settings is a mistake", (value) => {
    expect(parseOutcome(value).problems[0]).toEqual({
      path: "",
      reason: expect.stringMatching(/an object with the keys talosVersion, talosContract/) as string,
    });
  });
});

/** Like `withValues`, for values that cannot be cloned and paths that an earlier change removed. */
function withValue(settings: unknown, path: string, value: unknown): Record<string, unknown> {
  const [first = "", ...rest] = path.split(/[.[\]]+/).filter((part) => part !== "");
  const inner = rest.length === 0 ? value : withValue(childOf(settings, first), rest.join("."), value);
  if (!Array.isArray(settings)) return { ...(isObject(settings) ? settings : {}), [first]: inner };
  const list: unknown[] = [...(settings as unknown[])];
  list[Number(first)] = inner;
  return Array.from(list) as unknown as Record<string, unknown>;
}

function childOf(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
