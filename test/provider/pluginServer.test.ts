import { afterEach, describe, expect, it } from "vitest";
import * as grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import type enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import statusPb from "@pulumi/pulumi/proto/status_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import { ResourceInitError } from "../../lab/plugins/plugin.ts";
import type { ProviderPlugin } from "../../lab/plugins/plugin.ts";
import { listen } from "../../lab/plugins/server.ts";
import { reveal, Secret, unknown, unmarshalProperties } from "../../lab/plugins/values.ts";
import { PluginClient, urnOf } from "./pluginClient.ts";

const TYPE = "demo:index:Thing";
const cleanups: (() => Promise<void> | void)[] = [];

async function serve(plugin: Partial<ProviderPlugin>): Promise<PluginClient> {
  const client = PluginClient.at(await listen({ name: "demo", version: "1.2.3", ...plugin }));
  cleanups.push(() => client.stop());
  return client;
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) {
    await cleanup();
  }
});

describe("the base of the stand-in plugins", () => {
  it("reports its version and its support for secrets and previews", async () => {
    const client = await serve({});
    const configured = await client.configure({});
    expect(await client.version()).toBe("1.2.3");
    expect(configured.getAcceptsecrets()).toBe(true);
    expect(configured.getSupportspreview()).toBe(true);
  });

  it("passes secrets and unknowns to the plugin and back", async () => {
    let seen: unknown;
    const client = await serve({
      async create({ inputs }) {
        seen = { wrapped: inputs["password"] instanceof Secret, unknown: inputs["later"] === unknown };
        return { id: "1", state: inputs };
      },
    });
    const { state } = await client.create(TYPE, {
      password: new Secret({ deep: ["x"] }),
      later: unknown,
      plain: 1,
    });
    expect(seen).toEqual({ wrapped: true, unknown: true });
    expect(state["password"]).toBeInstanceOf(Secret);
    expect(reveal(state["password"] ?? null)).toEqual({ deep: ["x"] });
    expect(state["later"]).toBe(unknown);
    expect(state["plain"]).toBe(1);
  });

  it("lists every changed property in the diff, and the ones that force a replacement", async () => {
    const client = await serve({ diff: () => ({ diffs: ["nodes", "zone"], replaces: ["zone"] }) });
    const diff = await client.diff(TYPE, { inputs: {} }, {});
    expect(diff).toEqual({ changes: true, diffs: ["nodes", "zone"], detailed: {}, replaces: ["zone"] });
  });

  it("compares the inputs itself if the plugin has no diff", async () => {
    const client = await serve({});
    const before = {
      nodes: [{ address: "127.47.0.1" }],
      key: new Secret("a"),
      same: new Secret("s"),
      gone: true,
    };
    const after = { nodes: [{ address: "127.47.0.2" }], key: new Secret("b"), same: "s", "new/one": 1 };
    const diff = await client.diff(TYPE, { inputs: before }, after);
    expect(diff.diffs.sort()).toEqual(["gone", "key", "new/one", "nodes"]);
    expect(diff.detailed).toEqual({});
    expect((await client.diff(TYPE, { inputs: before }, before)).changes).toBe(false);
  });

  it("reduces an error to its message, without a stack trace", async () => {
    const client = await serve({
      async create() {
        throw new Error("node 127.47.0.1: no answer");
      },
    });
    await expect(client.create(TYPE, {})).rejects.toMatchObject({ details: "node 127.47.0.1: no answer" });
  });

  it("keeps a resource that failed halfway: its ID and properties travel with the error", async () => {
    const client = await serve({
      async create({ inputs }) {
        throw new ResourceInitError({
          id: "half",
          state: { ...inputs, ready: false },
          inputs,
          reasons: ["not ready"],
        });
      },
    });
    const error = await client.create(TYPE, { a: 1 }).catch((caught: unknown) => caught as grpc.ServiceError);
    const [bytes] = (error as grpc.ServiceError).metadata.get("grpc-status-details-bin");
    const [packed] = statusPb.Status.deserializeBinary(bytes as Buffer).getDetailsList();
    const detail = providerPb.ErrorResourceInitFailed.deserializeBinary(
      packed?.getValue_asU8() ?? new Uint8Array(),
    );
    expect(packed?.getTypeName()).toBe("pulumirpc.ErrorResourceInitFailed");
    expect(detail.getId()).toBe("half");
    expect(unmarshalProperties(detail.getProperties())).toEqual({ a: 1, ready: false });
    expect(detail.getReasonsList()).toEqual(["not ready"]);
  });

  it("writes progress and warnings to the engine's log, on the resource", async () => {
    const lines: [string, string, boolean, number][] = [];
    const engine = new grpc.Server();
    engine.addService(engineGrpc.EngineService, {
      log: (call: { request: enginePb.LogRequest }, callback: grpc.sendUnaryData<emptyPb.Empty>) => {
        const line = call.request;
        lines.push([line.getMessage(), line.getUrn(), line.getEphemeral(), line.getSeverity()]);
        callback(null, new emptyPb.Empty());
      },
    });
    const port = await new Promise<number>((resolve, reject) => {
      engine.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(error);
        else resolve(bound);
      });
    });
    cleanups.push(() => engine.forceShutdown());
    const client = await serve({
      async create({ log }) {
        log.progress("waiting");
        log.warning("careful");
        await expect.poll(() => lines.length).toBe(2);
        return { id: "1", state: {} };
      },
    });
    await client.handshake(`127.0.0.1:${port}`);
    await client.create(TYPE, {});
    expect(lines).toEqual([
      ["waiting", urnOf(TYPE), true, 1],
      ["careful", urnOf(TYPE), false, 2],
    ]);
  });

  it("aborts a running operation when the user cancels", async () => {
    const started = Promise.withResolvers<void>();
    const client = await serve({
      create: ({ signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("stopped in the middle")));
          started.resolve();
        }),
    });
    const ended = expect(client.create(TYPE, {})).rejects.toMatchObject({ details: "stopped in the middle" });
    await started.promise;
    await client.cancel();
    await ended;
  });

  it("never prints a secret by accident", () => {
    const value = new Secret("hunter2");
    expect(`${String(value)} ${JSON.stringify({ value })}`).not.toContain("hunter2");
  });
});
