/** A valid digest. */
export const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/** The minimal JovianDSS settings. */
export const joviandss = {
  image: `docker.io/opene/joviandss-csi@${digest}`,
  endpoint: { addresses: ["192.168.0.100"], user: "admin", password: "hunter2" },
  iscsi: { addresses: ["192.168.0.100"] },
  pools: [{ name: "Pool-0" }],
};

/** The minimal Synology settings. */
export const synology = { arrays: [{ host: "192.168.0.20", username: "kubernetes", password: "hunter2" }] };

export type Path = (string | number)[];

/** A copy with one value changed, or removed if undefined. */
export function withChange(settings: object, path: Path, value: unknown): object {
  const copy = structuredClone(settings);
  const parent = path.slice(0, -1).reduce<Record<string | number, unknown>>(
    (inner, key) => {
      inner[key] ??= {};
      return inner[key] as Record<string | number, unknown>;
    },
    copy as Record<string | number, unknown>,
  );
  const last = path.at(-1) as string;
  if (value === undefined) Reflect.deleteProperty(parent, last);
  else parent[last] = value;
  return copy;
}
