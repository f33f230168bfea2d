import { createHash } from "node:crypto";
import { h, Html } from "./html.ts";
import { style } from "./style.ts";

/** One self-contained page: it loads nothing, runs nothing, and says so to the browser. */
export function page(title: string, body: Html): string {
  const hash = createHash("sha256").update(style, "utf8").digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  // Not a space around the style: its hash is that of exactly this text.
  const head = h`<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${new Html(style)}</style>`;
  return `<!doctype html>\n${h`<html lang="en"><head>${head}</head><body><main>${body}</main></body></html>`.text}\n`;
}
