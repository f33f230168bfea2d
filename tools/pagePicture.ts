import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { Command } from "commander";
import { openBrowser } from "./browser.ts";

/** `npm run picture -- <page.html> <picture.png>`: takes a screenshot of a page. The images in docs/pictures were made with it. */
const command = new Command("picture")
  .description("Takes a screenshot of a page with a headless Chromium.")
  .argument("<page>", "the HTML file")
  .argument("<picture>", "the PNG file to write")
  .option("--width <pixels>", "width of the window", Number, 1000)
  .option("--height <pixels>", "height of the window; default: the whole page", Number)
  .option("--dark", "use the dark color scheme", false);
await command.parseAsync();

const [page = "", picture = ""] = command.args;
const { width, height, dark } = command.opts<{ width: number; height?: number; dark: boolean }>();
const browser = await openBrowser();
try {
  const tab = await browser.newPage();
  await tab.setViewport({ width, height: height ?? 800 });
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await tab.goto(pathToFileURL(resolve(page)).href);
  await tab.screenshot({ path: `${picture.replace(/\.png$/, "")}.png`, fullPage: height === undefined });
} finally {
  await browser.close();
}
