import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parse } from "yaml";
import { DsmArray } from "../../lab/arrays/dsm.ts";
import { TgtDisks } from "../../lab/arrays/tgtDisks.ts";

/** The acceptance workflow's array. Checks its tgtadm calls against calls that tgtd 1.0.85 accepted and whose LUN a real initiator saw. */

let folder: string;
let array: DsmArray;
let asked: string[];
let session = "";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "talos-iscsi-tgt-"));
  asked = [];
  array = await DsmArray.start({
    ...{ folder, user: "kubernetes", password: "of a test" },
    disks: new TgtDisks(folder, (args) => void asked.push(args.join(" "))),
  });
  session = "";
  ({ sid: session } = await ask<{ sid: string }>("SYNO.API.Auth", "login", {
    account: "kubernetes",
    passwd: "of a test",
  }));
});
afterEach(async () => {
  await array.stop();
  rmSync(folder, { recursive: true });
});

/** Makes a call like the driver. */
async function ask<Data>(api: string, method: string, given: Record<string, string>): Promise<Data> {
  const query = new URLSearchParams({ api, method, ...given }).toString();
  const answer = await fetch(`http://127.0.0.1:${array.port}/webapi/entry.cgi?${query}`, {
    headers: { cookie: `id=${session}` },
  });
  const { success, data } = (await answer.json()) as { success: boolean; data: Data };
  expect(success).toBe(true);
  return data;
}

/** Creates a volume of a size, and its target. */
async function exported(name: string, bytes: number): Promise<{ lun: string; target: string; iqn: string }> {
  const iqn = `iqn.2000-01.com.synology:lab.${name}`;
  const { uuid: lun } = await ask<{ uuid: string }>("SYNO.Core.ISCSI.LUN", "create", {
    ...{ name, size: String(bytes), location: "/volume1" },
  });
  const { target_id: id } = await ask<{ target_id: number }>("SYNO.Core.ISCSI.Target", "create", {
    name,
    iqn,
  });
  await ask("SYNO.Core.ISCSI.LUN", "map_target", { uuid: lun, target_ids: `[${id}]` });
  return { lun, target: String(id), iqn };
}

it("creates a target for each volume, with the volume's disk as LUN 1, and removes it again", async () => {
  const [one, two] = [await exported("one", 2 ** 26), await exported("two", 2 ** 20)];
  const fileOf = ({ lun }: { lun: string }): string => join(folder, "disks", `${lun}.img`);
  const made = (number: number, of: typeof one): string[] => [
    `--mode target --op new --tid ${number} --targetname ${of.iqn}`,
    `--mode target --op bind --tid ${number} --initiator-address ALL`,
    `--mode logicalunit --op new --tid ${number} --lun 1 --backing-store ${fileOf(of)}`,
  ];
  expect(asked).toEqual([...made(1, one), ...made(2, two)]);
  expect([statSync(fileOf(one)).size, statSync(fileOf(two)).size]).toEqual([2 ** 26, 2 ** 20]);
  const { target } = await ask<{ target: { mapped_luns: { mapping_index: number }[] } }>(
    "SYNO.Core.ISCSI.Target",
    "get",
    { target_id: one.target },
  );
  expect(target.mapped_luns.map(({ mapping_index: lun }) => lun)).toEqual([1]);

  asked = [];
  await ask("SYNO.Core.ISCSI.Target", "delete", { target_id: one.target });
  const three = await exported("three", 2 ** 20);
  expect(asked).toEqual(["--mode target --op delete --force --tid 1", ...made(3, three)]);
});

it("is started by the workflow's step, which continues once it serves", () => {
  const root = join(import.meta.dirname, "../..");
  const { jobs } = parse(readFileSync(join(root, ".github/workflows/acceptance.yml"), "utf8")) as {
    jobs: { qemu: { env: Record<string, string>; steps: { name?: string; run?: string }[] } };
  };
  const step = jobs.qemu.steps.find(({ name }) => name === "Array")?.run ?? "";
  expect(step).toContain("--address 10.5.0.1");
  const bin = join(folder, "bin");
  mkdirSync(bin);
  // A fake sudo without root. It runs in the repository's folder, though the report must not end up there.
  const sudo = `#!/bin/bash\ncd ${root}\nsetsid "$@" &\necho $! > ${folder}/pid\nwait\n`;
  writeFileSync(join(bin, "sudo"), sudo, { mode: 0o755 });
  try {
    execFileSync("bash", ["-e", "-c", step.replace("10.5.0.1", "127.0.0.1 --port 0")], {
      cwd: folder,
      stdio: "ignore",
      env: {
        ...process.env,
        ...jobs.qemu.env,
        RUNNER_TEMP: folder,
        PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      },
    });
    expect(readFileSync(join(folder, "reports", "array.log"), "utf8")).toMatch(/^serving http:\/\/127/m);
  } finally {
    process.kill(-Number(readFileSync(join(folder, "pid"), "utf8")));
  }
});
