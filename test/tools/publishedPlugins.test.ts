import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findAcquirable, acquirePlugins } from "../../lab/acquirePlugins.ts";
import { languageHost } from "../../lab/pluginPaths.ts";

/** How a lab gets the published plugins and the language host. */

const talos = { name: "talos", version: "0.8.1", server: "github://api.github.com/pulumiverse" };
const kubernetes = { name: "kubernetes", version: "4.34.2" };

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "lab-plugins-"))));
afterEach(() => rmSync(dir, { recursive: true }));

function program(path: string, script: string): string {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("published plugins", () => {
  const yes = () => Promise.resolve(true);

  it("are downloaded if they are not installed and there is a network", async () => {
    const env = { PULUMI_HOME: join(dir, "home") };
    expect(await findAcquirable([talos, kubernetes], env, yes)).toEqual([talos, kubernetes]);
    program(join(dir, "home", "plugins", "resource-talos-v0.8.1", "pulumi-resource-talos"), "exit 1");
    expect(await findAcquirable([talos, kubernetes], env, yes)).toEqual([kubernetes]);
  });

  it("are not downloaded without a network, or if the engine may not install plugins", async () => {
    const env = { PULUMI_HOME: join(dir, "home") };
    expect(await findAcquirable([talos], env, () => Promise.resolve(false))).toEqual([]);
    const forbidden = { ...env, PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true" };
    const never = () => Promise.reject(new Error("asked for the network"));
    expect(await findAcquirable([talos], forbidden, never)).toEqual([]);
  });

  it("an unreachable proxy counts as no network", async () => {
    const env = { PULUMI_HOME: join(dir, "home"), HTTPS_PROXY: "http://127.0.0.1:1" };
    expect(await findAcquirable([talos], env)).toEqual([]);
  });

  it("are installed by the engine, from the server in the SDK", async () => {
    const pulumi = program(join(dir, "pulumi"), `echo "$@" >>${join(dir, "calls")}`);
    const lines: string[] = [];
    await acquirePlugins(pulumi, [talos, kubernetes], (line) => lines.push(line));
    expect(readFileSync(join(dir, "calls"), "utf8").trim().split("\n")).toEqual([
      "plugin install resource talos 0.8.1 --server github://api.github.com/pulumiverse",
      "plugin install resource kubernetes 4.34.2",
    ]);
    expect(lines).toEqual([
      "provider talos: fetching the published plugin v0.8.1",
      "provider kubernetes: fetching the published plugin v4.34.2",
    ]);
  });

  it.each([
    ["fail", "echo 'error: 404 HTTP error' >&2; exit 1", /^provider kubernetes: not fetched: error: 404/],
    ["hang", "exec sleep 60", /^provider kubernetes: not fetched within 0\.5 s$/],
  ])("that %s are reported, and the lab continues", async (_, script, told) => {
    const lines: string[] = [];
    const say = (line: string) => lines.push(line);
    await acquirePlugins(program(join(dir, "pulumi"), script), [kubernetes], say, 500);
    expect(lines.at(-1)).toMatch(told);
  });
});

describe("the language host", () => {
  it("is the one on PATH, or else the one next to the engine, or else none", () => {
    const pulumi = program(join(dir, "pulumi", "pulumi"), "exit 0");
    const env = { PATH: join(dir, "bin") };
    expect(languageHost(pulumi, env)).toBeUndefined();
    const beside = program(join(dir, "pulumi", "pulumi-language-nodejs"), "exit 0");
    expect(languageHost(pulumi, env)).toBe(beside);
    const onPath = program(join(dir, "bin", "pulumi-language-nodejs"), "exit 0");
    expect(languageHost(pulumi, env)).toBe(onPath);
  });
});
