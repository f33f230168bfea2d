import { isRecord } from "../values.ts";

/** A mapping of a machine configuration. */
export type Section = Readonly<Record<string, unknown>>;

/** `size: >= 100GB, type: nvme` */
export function describeSection(selector: Section): string {
  return Object.entries(selector)
    .map(([key, value]) => `${key}: ${String(value)}`)
    .join(", ");
}

export function nameOf({ name }: Section): string {
  return typeof name === "string" ? ` ${name}` : "";
}

export function isSection(value: unknown): value is Section {
  return isRecord(value);
}

/** The mapping at a path; empty if there is none. */
export function sectionAt(from: Section, ...path: string[]): Section {
  let at: unknown = from;
  for (const key of path) at = isSection(at) ? at[key] : undefined;
  return isSection(at) ? at : {};
}

export function sectionsIn(value: unknown): Section[] {
  return Array.isArray(value) ? value.filter(isSection) : [];
}

/** The strings of a list. */
export function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
