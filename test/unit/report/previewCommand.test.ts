import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { previewCommand } from "../../../report/previewCommand.ts";

let folder: string | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

it("prints why the engine failed, before the files", async () => {
  folder = mkdtempSync(join(tmpdir(), "talos-iscsi-report-"));
  const from = join(folder, "preview.json");
  const diagnostics = [
    { severity: "warning", message: "a tag can be moved" },
    { severity: "error", message: "error: cluster.nodes[1].address is that of cp1" },
    {
      severity: "error",
      urn: "urn:pulumi:prod::talos-iscsi::talos-node:index:NodeUpgrade::upgrade-w1",
      message: "w1 did not answer",
    },
  ];
  writeFileSync(from, JSON.stringify({ steps: [], diagnostics }));
  const lines: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((line) => lines.push(String(line)) > 0);
  const options = { from, out: folder, refresh: false, expectNoChanges: false, refuseStorageLoss: false };
  expect(await previewCommand(options)).toBe(2);
  const told = lines.join("");
  expect(told).toContain("cluster.nodes[1].address is that of cp1");
  expect(told).toMatch(/upgrade-w1: w1 did not answer/);
  expect(told).not.toContain("a tag can be moved");
  expect(told.indexOf("did not answer")).toBeLessThan(told.indexOf(".html"));
});
