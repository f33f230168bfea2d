import { isDeepStrictEqual } from "node:util";
import type { Key } from "./keys.ts";

/** A default without the values that its entries get by default: `[{ name: synology-iscsi-storage }]`. */
export function briefDefault({ byDefault, list, variants }: Key): unknown {
  const keys = variants[0]?.keys ?? [];
  if (!list || keys.length === 0 || !Array.isArray(byDefault)) return byDefault;
  return byDefault.map((entry: unknown) =>
    Object.fromEntries(
      Object.entries(entry as object).filter(([name, value]) => {
        const key = keys.find((candidate) => candidate.name === name);
        return key?.byDefault === undefined || !isDeepStrictEqual(key.byDefault, value);
      }),
    ),
  );
}
