import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digestFromEvents, digestFromText } from "../../../report/digest/read.ts";
import { previewReport } from "../../../report/model/preview.ts";
import { h, Html, prose } from "../../../report/render/html.ts";
import { codeBlock, inlineCode, fitParts, escapeMarkdown } from "../../../report/render/markdown.ts";
import { previewHtml } from "../../../report/render/previewHtml.ts";
import { previewMarkdown } from "../../../report/render/previewMarkdown.ts";
import {
  canary,
  driverSecret,
  nodeSteps,
  savedPreview,
  secret,
  storageClass,
  urn,
  type SavedStep,
} from "./savedPreview.ts";

const at = Date.parse("2026-11-21T03:00:00Z");
const both = (text: string): string => {
  const report = previewReport(digestFromText(text), at);
  return `${previewHtml(report)}\n${previewMarkdown(report)}`;
};

function cluster(size: number): SavedStep[] {
  return nodeSteps(
    Array.from({ length: size }, (_, index) => ({
      name: `node-${index + 1}`,
      role: index < 3 ? ("controlplane" as const) : ("worker" as const),
      running: "v1.12.7",
      wanted: "v1.13.9",
    })),
  );
}

describe("a report has no secret", () => {
  it("that the engine marked, that a provider failed to mark, or that --show-secrets revealed", () => {
    expect(both(savedPreview([...cluster(5), ...driverSecret(), ...storageClass("replace")]))).not.toContain(
      canary,
    );
  });

  it("anywhere in a resource", () => {
    const path = fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(path, fc.constantFrom("create", "update", "delete"), (keys, op) => {
        const nested = (value: unknown) =>
          keys.reduceRight<unknown>((inner, key) => ({ [key]: inner, list: [inner] }), value);
        const state = (value: string) => ({
          custom: true,
          inputs: { spec: nested(secret(value)) },
          outputs: { spec: nested(secret(value)) },
        });
        const step = {
          op,
          urn: urn("a:b:C", "thing"),
          oldState: state(`a${canary}`),
          newState: state(`b${canary}`),
        };
        expect(both(savedPreview([step]))).not.toContain(canary);
      }),
    );
  });

  it.each([
    "password",
    "clientKey",
    "kubeconfig",
    "machineSecrets",
    "userPassword",
    "stringData",
    "privateKey",
  ])("in plain text under the name %s", (name) => {
    const step = {
      op: "create",
      urn: urn("a:b:C", "thing"),
      newState: { custom: true, inputs: { deep: [{ [name]: { x: canary } }] } },
    };
    expect(both(savedPreview([step]))).not.toContain(canary);
  });

  it("in the form of a private key, in a value or in an error", () => {
    const key = `-----BEGIN EC PRIVATE KEY-----\n${canary}\n-----END EC PRIVATE KEY-----`;
    const encoded = Buffer.from(key).toString("base64");
    const step = {
      op: "create",
      urn: urn("a:b:C", "thing"),
      newState: { custom: true, inputs: { a: key, b: encoded } },
    };
    const text = both(
      savedPreview([step], { diagnostics: [{ severity: "error", message: `bad key ${key}` }] }),
    );
    expect(text).not.toContain(canary);
    expect(text).not.toContain(encoded);
  });

  it("but shows the names of Secrets", () => {
    const step = {
      op: "create",
      urn: urn("a:b:C", "x"),
      newState: { custom: true, inputs: { secretName: "jdss-config" } },
    };
    expect(both(savedPreview([step]))).toContain("jdss-config");
  });
});

describe("HTML", () => {
  const hostile = fc.string({
    unit: fc.constantFrom(
      "<",
      ">",
      "&",
      '"',
      "'",
      "`",
      "\n",
      "a",
      "script",
      "</style>",
      "<!--",
      "\u0000",
      "\u202e",
      "\ud800",
    ),
  });

  it("escapes any text", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const escaped = h`${text}`.text;
        expect(escaped).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
        expect(h`<b title="${text}">${[text, new Html("<i></i>")]}</b>`.text).toBe(
          `<b title="${escaped}">${escaped}<i></i></b>`,
        );
      }),
    );
  });

  it("shows backquoted text as code, without interpreting it", () => {
    expect(prose("run `pulumi <up>` & wait").text).toBe("run <code>pulumi &lt;up&gt;</code> &amp; wait");
  });

  it("has no element, attribute or address from the data", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const bad = `<img src=x onerror=alert(1)>${text}`;
        const step = {
          op: "create",
          urn: urn("a:b:C", bad),
          newState: { custom: true, inputs: { [bad]: bad, text: `${bad}\n${bad}` } },
        };
        const page = previewHtml(
          previewReport(
            digestFromText(
              savedPreview([step, ...cluster(1)], {
                diagnostics: [{ severity: "error", message: bad, urn: urn("a:b:C", bad) }],
              }),
            ),
            at,
          ),
        );
        expect(page).not.toContain("<img");
        expect(page.match(/<(script|iframe|link|img|object|embed|form|base)\b/g)).toBeNull();
        const tags = page.match(/<[a-z][^>]*>/g) ?? [];
        expect(tags.filter((tag) => /\s(on\w+|style|src|href)=/.test(tag))).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  it("highlights the words that differ between an old and a new line", () => {
    const page = previewHtml(previewReport(digestFromText(savedPreview(cluster(1))), at));
    expect(page).toContain(":<mark>v1.12.7</mark></span>");
    expect(page).toContain(":<mark>v1.13.9</mark></span>");
  });

  it("allows its own style and nothing else", () => {
    const page = previewHtml(previewReport(digestFromText(savedPreview(cluster(1))), at));
    expect(page).toMatch(
      /content="default-src &#39;none&#39;; style-src &#39;sha256-[\w+/=]+&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;"/,
    );
    expect(page).not.toMatch(/https?:\/\//);
  });
});

describe("Markdown", () => {
  it.each([
    ["a|b `c` <d> *e*", "a\\|b \\`c\\` \\<d\\> \\*e\\*"],
    ["two\nlines", "two lines"],
  ])("escapes %j", (text, expected) => {
    expect(escapeMarkdown(text)).toBe(expected);
  });

  it("has code that no backquote can end", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("`", "a", " ", "\n", "|") }), (text) => {
        const [, fence = "", inner = ""] = /^(`+)([\s\S]*?)\1$/.exec(inlineCode(text)) ?? [];
        expect(fence.length).toBeGreaterThan(0);
        const runs = (inner.match(/`+/g) ?? []).map((run) => run.length);
        expect(runs).not.toContain(fence.length);
        const [first, ...rest] = codeBlock(text, "diff").split("\n");
        const end = (first ?? "").replace("diff", "");
        expect(rest.slice(0, -1).filter((line) => line.trim().startsWith(end))).toEqual([]);
      }),
    );
  });

  it.each([5, 100, 700])(
    "of %i nodes fits in a comment, has its summary first, and closes all its blocks",
    (size) => {
      // Each node's configuration change differs, so nothing is grouped.
      const steps = cluster(size).map((step) => {
        const state = step.newState as { inputs: { configuration?: string } };
        const { configuration } = state.inputs;
        if (configuration === undefined) return step;
        const own = Array.from({ length: 40 }, (_, line) => `# ${step.urn} ${line}`).join("\n");
        return {
          ...step,
          newState: { ...state, inputs: { ...state.inputs, configuration: `${configuration}${own}\n` } },
        };
      });
      const text = previewMarkdown(
        previewReport(digestFromText(savedPreview([...steps, ...storageClass("delete")])), at),
      );
      expect(text.length).toBeLessThan(64_000);
      expect(text.split("\n")[0]).toContain(`${size} nodes will be upgraded`);
      expect(text.slice(0, 2_000)).toContain("Storage at risk");
      expect(text.match(/<details>/g)?.length ?? 0).toBe(text.match(/<\/details>/g)?.length ?? 0);
      expect((text.match(/^```/gm)?.length ?? 0) % 2).toBe(0);
      if (size > 5)
        expect(text).toMatch(
          /left out because of the comment size limit: the HTML page has everything\.\*\n$/,
        );
    },
  );

  it("never exceeds its limit", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 400 }), { maxLength: 20 }),
        fc.integer({ min: 80, max: 2_000 }),
        (parts, limit) => {
          expect(fitParts(parts, limit, (left) => `${left} left out`).length).toBeLessThanOrEqual(limit);
        },
      ),
    );
  });
});

describe("a saved preview", () => {
  it("may also be the engine's events, one per line", () => {
    const [step] = storageClass("delete");
    const { oldState, ...rest } = step ?? { oldState: undefined };
    const events = [
      { preludeEvent: { config: { "talos-iscsi:upgrade": "{}" } } },
      { resourcePreEvent: { metadata: { ...rest, old: oldState } } },
      {
        policyEvent: {
          message: "no",
          policyName: "p",
          policyPackName: "pack",
          enforcementLevel: "mandatory",
          color: "",
        },
      },
      { summaryEvent: { result: "succeeded" } },
    ];
    const fromText = digestFromText(events.map((event) => JSON.stringify(event)).join("\n"));
    expect(fromText).toEqual(digestFromEvents(events));
    expect(fromText).toMatchObject({
      stack: "prod",
      steps: [{ operation: "delete", name: "joviandss-sc" }],
      messages: [{ severity: "error", text: "Policy pack/p: no" }],
    });
  });

  it.each([
    ["", /it is empty/],
    ["no json", /neither JSON nor/],
    ["[]", /not what `pulumi preview --json` prints/],
    ['{"version":3,"deployment":{}}', /not what `pulumi preview --json` prints \(it has no steps\)/],
    ['{"steps":[{"op":1}]}', /steps\.0\.op/],
  ])("is refused with a clear message if invalid: %j", (text, reason) => {
    expect(() => digestFromText(text)).toThrow(reason);
  });
});
