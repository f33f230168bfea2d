import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { type Properties } from "../../lab/plugins/values.ts";
import { inputsFor } from "./nodeUpgradeHarness.ts";
import { PluginClient, urnOf } from "./pluginClient.ts";
import { SimulatedCluster } from "./simulatedCluster.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "provider");
const type = "talos-node:index:NodeUpgrade";

/** Makes Node.js report an old version before it loads anything else. */
const temporary = mkdtempSync(join(tmpdir(), "talos-iscsi-old-node-"));
const asOldNode = ["-r", join(temporary, "old.cjs")];
writeFileSync(
  join(temporary, "old.cjs"),
  `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });
   Object.defineProperty(process, "version", { value: "v20.20.2" });`,
);
afterAll(() => rmSync(temporary, { recursive: true }));

describe("an old Node.js", () => {
  it.each([
    ["the executable", [join(folder, "pulumi-resource-talos-node")]],
    ["the file that PulumiPlugin.yaml leads to", [join(folder, "start.cjs")]],
  ])("is refused by %s with advice and without a stack trace", (_, args) => {
    const { status, stderr } = spawnSync(process.execPath, [...asOldNode, ...args], { encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toContain("Node.js 22.18 or newer");
    expect(stderr).toContain("v20.20.2");
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it("is refused by the program with an error that Pulumi shows without a stack trace", () => {
    const load = `import { RunError } from "@pulumi/pulumi/errors.js";
      await import("./main.js").catch((error) => console.log(JSON.stringify({ bare: RunError.isInstance(error), message: error.message })));`;
    const { stdout } = spawnSync(process.execPath, [...asOldNode, "--input-type=module", "-e", load], {
      cwd: root,
      encoding: "utf8",
    });
    const { bare, message } = JSON.parse(stdout) as { bare: boolean; message: string };
    expect(bare).toBe(true);
    expect(message).toContain("Node.js 22.18 or newer");
    expect(message).toContain("v20.20.2");
  });

  it("is refused by every npm script that runs TypeScript, with two lines of text only", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const commands = Object.values(scripts).filter(
      (script) => /\.ts\b/.test(script) && script.startsWith("node "),
    );
    expect(commands.length).toBeGreaterThan(10);
    for (const command of commands) {
      const { status, stderr } = spawnSync(process.execPath, [...asOldNode, ...command.split(" ").slice(1)], {
        cwd: root,
        encoding: "utf8",
      });
      expect([command, status, stderr]).toEqual([
        command,
        1,
        expect.stringMatching(/^talos-iscsi needs Node\.js 22\.18 or newer.*v20\.20\.2.*\n.*\n$/),
      ]);
    }
  });

  it("is checked by the program's entry: package.json names that file for Pulumi", () => {
    const { main } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { main: string };
    expect(main).toBe("main.js");
  });
});

it("the program turns off source maps, which it does not have, so errors name its own lines", () => {
  // As @pulumi/pulumi/cmd/run does before it loads a program.
  const load = `import "source-map-support/register.js";
    const hooked = typeof Error.prepareStackTrace;
    await import("./main.js").catch(() => undefined);
    const { parseSettings } = await import("./config.ts");
    let stack = "";
    try { parseSettings(null); } catch (error) { stack = error.stack; }
    console.log(JSON.stringify({ hooked, now: typeof Error.prepareStackTrace, stack }));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", load], {
    cwd: root,
    encoding: "utf8",
  });
  const { hooked, now, stack } = JSON.parse(stdout) as Record<string, string>;
  expect([hooked, now]).toEqual(["function", "undefined"]);
  const [, file = "", line = "0"] = /at .*?\/((?:config|settings\/\w+)\.ts):(\d+)/.exec(stack ?? "") ?? [];
  expect(readFileSync(join(root, file), "utf8").split("\n")[Number(line) - 1]).toMatch(/throw|error|parse/i);
});

it("a plugin turns off the look-up of source maps that the SDK's server installs", () => {
  const start = `require("./provider/startPlugin.cjs")("test", ${JSON.stringify(join(root, "provider"))}, async () => {
      require("source-map-support").install();
      setTimeout(() => console.log(typeof Error.prepareStackTrace), 10);
    })`;
  const { stdout } = spawnSync(process.execPath, ["-e", start], { cwd: root, encoding: "utf8" });
  expect(stdout.trim()).toBe("undefined");
});

describe("the plugin, started through PulumiPlugin.yaml as the language host does", () => {
  const heard: { urn: string; message: string }[] = [];
  let cluster: SimulatedCluster;
  let engine: grpc.Server;
  let plugin: PluginClient;

  beforeAll(async () => {
    cluster = await SimulatedCluster.start({ subnet: "127.44.9", workers: 1 });
    engine = new grpc.Server();
    engine.addService(engineGrpc.EngineService, {
      log: (call: { request: enginePb.LogRequest }, callback: grpc.sendUnaryData<emptyPb.Empty>) => {
        heard.push({ urn: call.request.getUrn(), message: call.request.getMessage() });
        callback(null, new emptyPb.Empty());
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    // pulumi/pulumi sdk/nodejs/cmd/pulumi-language-nodejs main.go, RunPlugin: Pulumi's runner, the plugin's folder, and what the engine passes.
    const runner = join(root, "node_modules/@pulumi/pulumi/cmd/run-plugin/index.js");
    plugin = await PluginClient.start(process.execPath, [runner, folder, `127.0.0.1:${port}`], {
      ...process.env,
      PULUMI_NODEJS_TYPESCRIPT: String(options().typescript),
    });
  });
  afterAll(async () => {
    await plugin?.stop();
    engine?.forceShutdown();
    await cluster?.stop();
  });

  it("does what the executable does, and logs to the engine on its resource", async () => {
    const { inputs, failures } = await plugin.check(type, inputsFor(cluster, "w1") as Properties);
    expect(failures).toEqual({});
    await plugin.create(type, inputs);
    expect(cluster.node("w1").snapshot()).toMatchObject({ version: "v1.13.9", upgrades: 1 });
    // Log messages arrive asynchronously.
    await vi.waitFor(() =>
      expect(heard).toContainEqual({
        urn: urnOf(type),
        message: expect.stringContaining("upgraded: runs v1.13.9") as string,
      }),
    );
  });

  function options(): { typescript?: boolean } {
    const { runtime } = parse(readFileSync(join(folder, "PulumiPlugin.yaml"), "utf8")) as {
      runtime: { options: { typescript?: boolean } };
    };
    return runtime.options;
  }
});
