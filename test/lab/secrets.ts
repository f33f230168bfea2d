import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** Every secret of a secrets bundle and a talosconfig in plain text, to search for leaks. */
export function canaries(...files: string[]): string[] {
  return files
    .flatMap((file) => leaves(parse(readFileSync(file, "utf8"))))
    .filter((text) => text.length >= 12);
}

/** Certificates, names and addresses are public; everything else in these files is secret. */
function leaves(value: unknown, key = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => leaves(item, key));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([name, inner]) => leaves(inner, name));
  const isPublic = ["crt", "ca", "context", "endpoints", "nodes", "id"].includes(key);
  if (typeof value !== "string" || isPublic) return [];
  return [value, Buffer.from(value, "base64").toString("utf8").split("\n")[1] ?? ""];
}

/** The files below a folder that contain any of the texts. */
export function filesWith(folder: string, texts: string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .filter((file) => {
      const content = readFileSync(file, "utf8");
      return texts.some((text) => content.includes(text));
    });
}
