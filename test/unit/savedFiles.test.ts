import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { parseSettings } from "../../config.ts";
import { runPreviewReport } from "../../report/previewCommand.ts";
import { adoptedSettings, bundle, talosconfig, withValues } from "./settings/example.ts";

/** Files that PowerShell saved with `>`: UTF-16 up to version 5.1, and UTF-8 with a byte order mark by `Out-File -Encoding utf8`. */
const encodings: [string, (text: string) => Buffer][] = [
  ["UTF-8 with a mark", (text) => Buffer.from(`\ufeff${text}`, "utf8")],
  ["UTF-16 little endian", (text) => Buffer.from(`\ufeff${text}`, "utf16le")],
  ["UTF-16 big endian", (text) => Buffer.from(`\ufeff${text}`, "utf16le").swap16()],
];

const folder = mkdtempSync(join(tmpdir(), "talos-iscsi-saved-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function save(name: string, bytes: Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe.each(encodings)("a file in %s", (_, encode) => {
  it("is read as a preview", async () => {
    vi.spyOn(process.stdout, "write").mockReturnValue(true);
    const from = save(
      "preview.json",
      encode(JSON.stringify({ steps: [], diagnostics: [{ severity: "error", message: "failed" }] })),
    );
    const options = { from, out: folder, refresh: false, expectNoChanges: false, refuseStorageLoss: false };
    // The report is written, with the preview's error.
    expect(await runPreviewReport(options)).toBe(2);
    vi.restoreAllMocks();
  });

  it("is read by the policies, from standard input too", () => {
    const state = encode(JSON.stringify({ version: 3, deployment: { resources: [] } }));
    const policy = (from: string, input?: Buffer) =>
      spawnSync(process.execPath, ["policy/cli.ts", "--from", from], {
        encoding: "utf8",
        input: input ?? "",
      });
    for (const { status, stdout, stderr } of [policy(save("state.json", state)), policy("-", state)])
      expect({ status, stdout, stderr }).toMatchObject({
        status: 0,
        stdout: expect.stringContaining("0 resources") as string,
      });
  });

  it("is read where settings name it", () => {
    const settings = withValues(adoptedSettings(), {
      "cluster.secrets": {
        bundleFile: save("secrets.yaml", encode(bundle)),
        talosconfigFile: save("talosconfig", encode(talosconfig)),
      },
    });
    expect(parseSettings(settings).cluster.secrets).toBeDefined();
  });
});
