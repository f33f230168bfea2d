import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { runPreviewReport } from "../../../report/previewCommand.ts";

let folder: string | undefined;
afterEach(() => {
  vi.restoreAllMocks();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

it("proves no drift if a node could not be read", async () => {
  folder = mkdtempSync(join(tmpdir(), "talos-iscsi-report-"));
  const from = join(folder, "preview.json");
  const urn = "urn:pulumi:prod::talos-iscsi::talos-node:index:NodeUpgrade::upgrade-w1";
  const warning = {
    severity: "warning",
    urn,
    message: "w1 (10.0.0.21) could not be read; its state is unchanged: no answer [node-unreachable]",
  };
  const lines: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((line) => lines.push(String(line)) > 0);
  const options = { from, out: folder, refresh: false, refuseStorageLoss: false };
  const exitCode = async (ops: string[], diagnostics: object[], expectNoChanges: boolean) => {
    writeFileSync(from, JSON.stringify({ steps: ops.map((op) => ({ op, urn })), diagnostics }));
    return runPreviewReport({ ...options, expectNoChanges });
  };
  expect(await exitCode(["refresh", "same"], [warning], true)).toBe(3);
  expect(lines.join("")).toMatch(/could be compared with the stack's state:\n {2}upgrade-w1: w1 \(10/);
  expect(await exitCode(["refresh", "same"], [warning], false)).toBe(0);
  expect(await exitCode(["refresh", "same"], [], true)).toBe(0);
  expect(await exitCode(["same"], [warning], true)).toBe(0);
});

it("prints why the engine failed before it lists the files", async () => {
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
  const variables = join(folder, "plan.env");
  writeFileSync(variables, "KEPT=1\n");
  const options = {
    from,
    variables,
    out: folder,
    refresh: false,
    expectNoChanges: false,
    refuseStorageLoss: false,
  };
  expect(await runPreviewReport(options)).toBe(2);
  const told = lines.join("");
  expect(told).toContain("cluster.nodes[1].address is that of cp1");
  expect(told).toMatch(/upgrade-w1: w1 did not answer/);
  expect(told).not.toContain("a tag can be moved");
  expect(told.indexOf("did not answer")).toBeLessThan(told.indexOf(".html"));
  const name = readdirSync(folder).find((file) => file.endsWith(".json") && file !== "preview.json");
  const data: unknown = JSON.parse(readFileSync(join(folder, name ?? ""), "utf8"));
  expect(data).toMatchObject({
    changes: false,
    errors: [{ text: "cluster.nodes[1].address is that of cp1" }, { resources: ["upgrade-w1"] }],
  });
  expect(readFileSync(variables, "utf8")).toBe(
    "KEPT=1\nTALOS_ISCSI_CHANGES=false\nTALOS_ISCSI_APPROVED_PLAN=none\n",
  );
});
