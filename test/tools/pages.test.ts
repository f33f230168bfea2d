import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digestFromText } from "../../report/digest/read.ts";
import { previewReport } from "../../report/model/preview.ts";
import { rolloutReport } from "../../report/model/rollout.ts";
import { previewHtml } from "../../report/render/previewHtml.ts";
import { rolloutHtml } from "../../report/render/rolloutHtml.ts";
import { unpackBundled, findBrowser, openBrowser } from "../../tools/browser.ts";
import {
  driverSecret,
  nodeSteps,
  savedPreview,
  storageClass,
  timeline,
  urn,
  type FixtureNode,
} from "../unit/report/savedPreview.ts";
import { nightly } from "../lab/nightly.ts";
import { nodeSeconds, savedState } from "../unit/report/savedState.ts";

/** Checks the pages in a browser. Leaves screenshots in reports/pictures for review. */

const at = Date.parse("2026-11-21T03:00:00Z");
const pictures = join(import.meta.dirname, "../../reports/pictures");
const long = "x".repeat(300);

const nodes: FixtureNode[] = [
  ...["cp1", "cp2", "cp3"].map((name, index) => ({
    name,
    role: "controlplane" as const,
    running: "v1.12.7",
    wanted: "v1.13.9",
    timeline: timeline(290 + index * 20),
  })),
  ...["w1", "w2", "w3", "w4", "w5"].map((name, index) => ({
    name,
    role: "worker" as const,
    running: "v1.12.7",
    wanted: "v1.13.9",
    ...(index === 4 ? {} : { timeline: timeline(240 + index * 9) }),
  })),
];

const lanes = { config: { "talos-iscsi:upgrade": '{"workers":{"maxUnavailable":2}}' } };
const advisory = {
  severity: "warning",
  message:
    "From Talos 1.13 on an upgrade checks no etcd and drains nothing by itself: `talosctl upgrade` by hand does neither (siderolabs/talos#12345)",
};

const preview = (text: string) => previewHtml(previewReport(digestFromText(text), at));

const pages: Record<string, () => string> = {
  "preview-upgrade": () =>
    preview(
      savedPreview([...nodeSteps(nodes), ...storageClass("same"), ...driverSecret()], {
        ...lanes,
        diagnostics: [{ ...advisory, urn: urn("a:b:C", "upgrade-preflight") }],
      }),
    ),
  "preview-first": () =>
    preview(
      savedPreview(
        nodeSteps([...nodes.slice(0, 4)].map(({ name, role, wanted }) => ({ name, role, wanted }))),
      ),
    ),
  "preview-danger": () =>
    preview(savedPreview([...nodeSteps(nodes.slice(0, 3)), ...storageClass("replace")])),
  "preview-nothing": () => preview(savedPreview(storageClass("same"))),
  "preview-failed": () =>
    preview(
      savedPreview([], {
        diagnostics: [
          {
            severity: "error",
            message: `the configuration has 1 mistake:\n  talosVersion: is "latest"; it must be a full Talos release\n${long}`,
          },
        ],
      }),
    ),
  // Contains no spaces to break lines at.
  "preview-long": () =>
    preview(
      savedPreview([
        ...nodeSteps([
          {
            name: `node-${long}`,
            role: "worker",
            running: `v1.12.7-${long}`,
            wanted: `v1.13.9-${long}`,
            initErrors: [long],
          },
        ]),
        {
          op: "update",
          urn: urn("a:b:C", long),
          oldState: { custom: true, inputs: { [long]: "a", text: `a\n${long}` } },
          newState: { custom: true, inputs: { [long]: long, text: `b\n${long}` } },
        },
        {
          op: "create",
          urn: urn("kubernetes:core/v1:ConfigMap", "made"),
          newState: { custom: true, inputs: { data: { [long]: long } } },
        },
      ]),
    ),
  "rollout-failed": () =>
    rolloutHtml(
      rolloutReport(
        savedState([
          { name: "cp1", role: "controlplane", begun: 0 },
          { name: "cp2", role: "controlplane", begun: nodeSeconds + 2, slow: 1.3 },
          {
            name: "cp3",
            role: "controlplane",
            begun: nodeSeconds * 2.4,
            failedStep: "reboot",
            resumedAfter: 5_400,
          },
          { name: "w1", begun: nodeSeconds * 2.4 + 5_700 },
          { name: "w2", begun: nodeSeconds * 2.4 + 5_700, slow: 1.2 },
          {
            name: "w3",
            begun: nodeSeconds * 3.5 + 5_700,
            failedStep: "verify",
            reason:
              'w3 (10.10.0.16), step "verify": the node rebooted, but runs its old image again. Run `pulumi up` again once the cause is mended.',
          },
          { name: "w4", running: "v1.12.7" },
        ]),
        at,
      ),
    ),
  "rollout-many": () =>
    rolloutHtml(
      rolloutReport(
        savedState(
          Array.from({ length: 40 }, (_, index) => ({
            name: `worker-${index}-${"y".repeat(index)}`,
            begun: index * (nodeSeconds + 1),
          })),
        ),
        at,
      ),
    ),
};

let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "talos-iscsi-pages-"));
  mkdirSync(pictures, { recursive: true });
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** Opens a page. Returns it with everything the browser complained about. */
async function open(
  name: string,
  width: number,
  scheme: "light" | "dark",
): Promise<{ page: Page; complaints: string[] }> {
  const file = join(folder, `${name}.html`);
  writeFileSync(file, pages[name]?.() ?? "");
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => void complaints.push(message.text()));
  page.on("request", (request) => {
    if (!request.url().startsWith("file:")) complaints.push(`asked for ${request.url()}`);
  });
  await page.setViewport({ width, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(pathToFileURL(file).href);
  return { page, complaints };
}

// These run in the page, outside this project's type checking, so they are strings rather than functions.
const widths = "[document.documentElement.scrollWidth, window.innerWidth]";
/** Elements that overflow the page, except inside scrollable boxes. */
const outside = `[...document.querySelectorAll("main *")].filter((element) => {
  for (let up = element; up !== null; up = up.parentElement) {
    if (up instanceof SVGElement || ["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return false;
  }
  const { left, right, width } = element.getBoundingClientRect();
  return width > 0 && (left < -0.5 || right > window.innerWidth + 0.5);
}).map((element) => element.outerHTML.slice(0, 120))`;
/** Texts with too little contrast to their background (WCAG 2, level AA: 4.5, or 3 for large text). */
const faint = `(() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { r, g, b, a }; };
  const light = ({ r, g, b }) => { const part = (v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
  const behind = (element) => { for (let up = element; up; up = up.parentElement) { const c = parse(getComputedStyle(up).backgroundColor); if (c.a > 0) return c; } return { r: 255, g: 255, b: 255 }; };
  return [...document.querySelectorAll("main *:not(svg *)")].filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "")).flatMap((element) => {
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    return ratio < (isLarge ? 3 : 4.5) ? [ratio.toFixed(2) + " " + element.outerHTML.slice(0, 100)] : [];
  });
})()`;

describe.each(Object.keys(pages))("%s", (name) => {
  const fits = async (width: number, scheme: "light" | "dark"): Promise<void> => {
    const { page, complaints } = await open(name, width, scheme);
    await page.screenshot({ path: join(pictures, `${name}-${width}-${scheme}.png`), fullPage: true });
    const [needed, there] = (await page.evaluate(widths)) as [number, number];
    expect(await page.evaluate(outside)).toEqual([]);
    expect(needed).toBeLessThanOrEqual(there);
    expect(there).toBe(width);
    expect(await page.evaluate(faint)).toEqual([]);
    expect(complaints).toEqual([]);
    // All of the above would also pass if the page's own CSP blocked its style.
    expect(await page.evaluate('getComputedStyle(document.querySelector(".verdict")).borderTopStyle')).toBe(
      "solid",
    );
    await page.close();
  };
  const title = "fits a window of %i pixels, %s";
  it.each([
    [1200, "light"],
    [320, "dark"],
  ] as const)(title, fits);
  nightly.each([
    [1200, "dark"],
    [390, "light"],
    [390, "dark"],
    [320, "light"],
  ] as const)(title, fits);
});

describe("a rollout on a phone", () => {
  it.each([390, 320])("has each node's result in a window of %i pixels, without scrolling", async (width) => {
    const { page } = await open("rollout-failed", width, "light");
    const cells = `[...document.querySelectorAll("main tr:has(.tag)")].map((row) => {
      const [tag, box] = [row.querySelector(".tag"), row.closest(".scroll")].map((element) => element.getBoundingClientRect());
      return [row.querySelector("th").textContent, tag.left >= box.left && tag.right <= Math.min(box.right, window.innerWidth)];
    })`;
    const results = (await page.evaluate(cells)) as [string, boolean][];
    expect(results.map(([name]) => name).sort()).toEqual(["cp1", "cp2", "cp3", "w1", "w2", "w3"]);
    expect(results.filter(([, isSeen]) => !isSeen)).toEqual([]);
    await page.close();
  });
});

describe("on paper", () => {
  it("prints collapsed sections too, on a white background", async () => {
    const { page } = await open("preview-long", 1200, "dark");
    await page.emulateMediaType("print");
    expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe("rgb(255, 255, 255)");
    const closed =
      "[...document.querySelectorAll('details:not([open]) pre')].map((pre) => pre.getBoundingClientRect().height)";
    const heights = (await page.evaluate(closed)) as number[];
    expect(heights.length).toBeGreaterThan(0);
    for (const height of heights) expect(height).toBeGreaterThan(0);
    expect((await page.pdf({ format: "A4" })).length).toBeGreaterThan(1_000);
    await page.close();
  });
});

describe("with a keyboard and a screen reader", () => {
  it("scrollable boxes can be focused and have names, and drawings have labels", async () => {
    const { page } = await open("rollout-failed", 390, "light");
    const unreachable = `[...document.querySelectorAll("*")].filter((element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX === "auto" && (element.tabIndex < 0 || !element.ariaLabel)).map((element) => element.outerHTML.slice(0, 100))`;
    expect(await page.evaluate(unreachable)).toEqual([]);
    expect(
      await page.evaluate(
        `[...document.querySelectorAll("svg:not([aria-hidden]):not(svg svg)")].every((svg) => svg.ariaLabel)`,
      ),
    ).toBe(true);
    expect(await page.evaluate(`document.querySelectorAll("h1").length`)).toBe(1);
    await page.close();
  });
});

describe("the browser for these tests", () => {
  it("is the one that CHROME names, and a wrong path is reported", async () => {
    expect(await findBrowser({ CHROME: process.execPath })).toMatchObject({ path: process.execPath });
    await expect(findBrowser({ CHROME: "/nowhere/chrome" })).rejects.toThrow("CHROME is /nowhere/chrome");
  });

  it.runIf(process.platform === "linux" && process.arch === "x64")(
    "comes with npm install if none is installed",
    async () => {
      const { path, env } = await unpackBundled();
      const { execFileSync } = await import("node:child_process");
      expect(execFileSync(path, ["--version"], { env, encoding: "utf8" })).toMatch(/\d+\.\d+\.\d+/);
    },
  );
});
