import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** Every secret of a secrets bundle and a talosconfig as plain text, to look for where none may be. */
export function canaries(...files: string[]): string[] {
  return files
    .flatMap((file) => leaves(parse(readFileSync(file, "utf8"))))
    .filter((text) => text.length >= 12);
}

/** Certificates are public, and so are names and addresses; the rest of these files is not. */
function leaves(value: unknown, key = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => leaves(item, key));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([name, inner]) => leaves(inner, name));
  const isPublic = ["crt", "ca", "context", "endpoints", "nodes", "id"].includes(key);
  if (typeof value !== "string" || isPublic) return [];
  return [value, Buffer.from(value, "base64").toString("utf8").split("\n")[1] ?? ""];
}

/** Files below a folder that contain one of the texts. */
export function filesWith(folder: string, texts: string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .filter((file) => {
      const content = readFileSync(file, "utf8");
      return texts.some((text) => content.includes(text));
    });
}
