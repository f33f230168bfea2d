import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { launch, type Browser } from "puppeteer-core";
import { extract } from "tar-stream";

/**
 * A headless Chromium for tests and screenshots of the report pages: the one that CHROME points to, one on PATH, or the one bundled in the npm package
 * @sparticuz/chromium (Linux on x64 only), with the libraries and the font it needs.
 */

const root = join(import.meta.dirname, "..");
const names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

export async function openBrowser(): Promise<Browser> {
  const { path, env } = await findBrowser();
  return launch({
    executablePath: path,
    headless: true,
    pipe: true,
    env: { ...process.env, ...env },
    // Containers have no user namespaces and little shared memory; the pages are our own.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"],
  });
}

interface FoundBrowser {
  path: string;
  env: Record<string, string>;
}

/** @throws Error that explains how to install Chromium. */
export async function findBrowser(env: NodeJS.ProcessEnv = process.env): Promise<FoundBrowser> {
  const given = env["CHROME"];
  if (given !== undefined && given !== "") {
    if (existsSync(given)) return { path: given, env: {} };
    throw new Error(`CHROME is ${given}, which does not exist. Unset it, or set it to a Chromium or Chrome.`);
  }
  const installed = (env["PATH"] ?? "")
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
  if (installed !== undefined) return { path: installed, env: {} };
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error(installHint("for Linux on x64 only"));
  return unpackBundled();
}

function installHint(why: string): string {
  return `Rendering the pages needs a headless Chromium, and none was found: CHROME is not set, none is on PATH (${names.join(", ")}), and the npm package @sparticuz/chromium has one ${why}. Install one (Debian: apt-get install chromium; macOS: brew install --cask chromium) or set CHROME to its path.`;
}

/** Unpacks each version once, into the cache below node_modules. */
export async function unpackBundled(): Promise<FoundBrowser> {
  const folder = packageFolder();
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
  const home = join(root, "node_modules", ".cache", "talos-iscsi", `chromium-${version}`);
  if (!existsSync(home)) await unpackArchive(join(folder, "bin"), home);
  return {
    path: join(home, "chromium"),
    env: { LD_LIBRARY_PATH: join(home, "lib"), FONTCONFIG_PATH: home },
  };
}

function packageFolder(): string {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")));
  } catch {
    throw new Error(installHint("but is not installed (run npm install without --omit=dev)"));
  }
}

/** Unpacks next to the target and renames: another run may be unpacking too, and must not see a partial result. */
async function unpackArchive(packed: string, home: string): Promise<void> {
  mkdirSync(dirname(home), { recursive: true });
  const aside = mkdtempSync(`${home}-`);
  const read = (name: string) => brotliDecompressSync(readFileSync(join(packed, name)));
  writeFileSync(join(aside, "chromium"), read("chromium.br"), { mode: 0o755 });
  await untar(read("al2023.tar.br"), aside);
  await untar(read("fonts.tar.br"), aside);
  // The bundled fonts.conf refers to a folder that does not exist on this machine.
  const fonts = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>${join(home, "fonts")}</dir><cachedir>${join(home, "cache")}</cachedir></fontconfig>`;
  writeFileSync(join(aside, "fonts.conf"), fonts);
  try {
    renameSync(aside, home);
  } catch (error) {
    rmSync(aside, { recursive: true, force: true });
    if (!existsSync(home)) throw error;
  }
}

async function untar(archive: Buffer, folder: string): Promise<void> {
  const reader = extract();
  reader.end(archive);
  for await (const entry of reader) {
    const path = join(folder, entry.header.name);
    if (entry.header.type === "file") {
      mkdirSync(dirname(path), { recursive: true });
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      writeFileSync(path, Buffer.concat(chunks));
    } else entry.resume();
  }
}
