import fc from "fast-check";
import { isRpcSecret, unwrapRpcSecret } from "@pulumi/pulumi/runtime/index.js";
import { describe, expect, it } from "vitest";
import { unknownValue } from "../../../talos/secrecy/engineValues.ts";
import { hasUnknown, unwrap, wrap } from "../../../provider/secrets.ts";
import { unknownValue as sdkUnknown } from "@pulumi/pulumi/runtime/index.js";

describe("secrets between engine and provider", () => {
  it("values wrapped here are secrets to the SDK, and unwrap unchanged", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue()), (values) => {
        const keys = Object.keys(values).filter((_, i) => i % 2 === 0);
        const wrapped = wrap(values, keys);
        for (const key of keys) {
          expect(isRpcSecret(wrapped[key])).toBe(true);
          expect(unwrapRpcSecret(wrapped[key])).toEqual(values[key]);
        }
        const back = unwrap(wrapped);
        expect(back.values).toEqual(values);
        expect([...back.secrets].sort()).toEqual([...keys].sort());
      }),
    );
  });

  it("secrets inside maps, lists and outputs are found", () => {
    const secret = wrap({ x: "hunter2" }, ["x"])["x"];
    const output = {
      "4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4",
      value: "v",
      secret: true,
    };
    const { values, secrets } = unwrap({ map: { key: secret }, list: [secret], output, plain: 1 });
    expect(values).toEqual({ map: { key: "hunter2" }, list: ["hunter2"], output: "v", plain: 1 });
    expect([...secrets]).toEqual(["map", "list", "output"]);
  });

  it("a secret that is absent does not become a property", () => {
    expect(wrap({ a: 1 }, ["kubeconfig"])).toEqual({ a: 1 });
  });

  it("the SDK's unknown value is recognized at any depth", () => {
    expect(unknownValue).toBe(sdkUnknown);
    expect(hasUnknown({ a: [{ b: unknownValue }] })).toBe(true);
    expect(hasUnknown({ a: [{ b: "known" }] })).toBe(false);
  });
});
