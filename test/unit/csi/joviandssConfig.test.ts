import * as pulumi from "@pulumi/pulumi";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { keyedChecksum } from "../../../components/csi/checksum.ts";
import { registerDriver, minimal } from "./joviandssDeployment.ts";
import { valueAt, onlyResource, decodeBase64 } from "./recorder.ts";
import type { Registered } from "./recorder.ts";
import { checksumOf, onlyDaemonSet, onlyDeployment } from "./workloads.ts";

describe("the driver's configuration", () => {
  const config = (resources: Registered[]) => {
    const secret = onlyResource(resources, "kubernetes:core/v1:Secret", "joviandss-config").inputs;
    return parse(decodeBase64(valueAt(secret, "data", "secret", "cfg.yaml"))) as unknown;
  };

  test("has the keys that the driver reads, where it reads them", async () => {
    expect(config(await registerDriver())).toEqual({
      loglevel: "info",
      pool: "Pool-0",
      endpoint: {
        addrs: ["192.168.0.100"],
        port: 82,
        prot: "https",
        user: "admin",
        pass: "hunter2",
        idletimeout: "30s",
      },
      iscsi: { iqn: "iqn.csi.2019-04", addrs: ["192.168.0.101"], port: 3260 },
    });
  });

  test.each(["yes", "0123", "1e3", "a: b", "#1", "\"'\\", "ü€ 😀", " leading", "~"])(
    "carries the password %j unchanged",
    async (password) => {
      const resources = await registerDriver({ endpoint: { ...minimal.endpoint, password } });
      expect(valueAt(config(resources), "endpoint", "pass")).toBe(password);
    },
  );

  test("has the password only in secrets", async () => {
    const withoutSecrets = (value: unknown): unknown =>
      typeof value !== "object" || value === null
        ? value
        : "secret" in value && Object.keys(value).length === 1
          ? "[secret]"
          : Array.isArray(value)
            ? value.map(withoutSecrets)
            : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutSecrets(inner)]));
    const resources = await registerDriver();
    expect(JSON.stringify(resources)).toContain("hunter2");
    expect(JSON.stringify(withoutSecrets(resources))).not.toContain("hunter2");
    const [component] = resources;
    expect(valueAt(component?.inputs, "endpoint")).toMatchObject({
      password: { secret: "hunter2" },
      addresses: ["192.168.0.100"],
    });
  });

  test("accepts a password from another resource, and keeps it secret", async () => {
    const resources = await registerDriver({
      endpoint: { ...minimal.endpoint, password: pulumi.output(Promise.resolve("made later")) },
    });
    expect(valueAt(config(resources), "endpoint", "pass")).toBe("made later");
    expect(valueAt(resources[0]?.inputs, "endpoint", "password")).toEqual({ secret: "made later" });
  });

  test("restarts the controller after a password change, but not the node part, which does not read it", async () => {
    const before = await registerDriver();
    const after = await registerDriver({ endpoint: { ...minimal.endpoint, password: "hunter3" } });
    expect(checksumOf(onlyDeployment(before))).toMatch(/^[0-9a-f]{16}$/);
    expect(checksumOf(onlyDeployment(after))).not.toBe(checksumOf(onlyDeployment(before)));
    expect(checksumOf(onlyDeployment(await registerDriver()))).toBe(checksumOf(onlyDeployment(before)));
    expect(onlyDaemonSet(after)).toEqual(onlyDaemonSet(before));
  });

  test("keeps the checksum's key, the Secret's uid, out of the state", async () => {
    const secret = onlyResource(await registerDriver(), "kubernetes:core/v1:Secret", "joviandss-config");
    expect(secret.additionalSecretOutputs).toContain("metadata");
  });
});

describe("the checksum", () => {
  const checksum = async (uid: string | undefined, content: string) =>
    new Promise((resolve) => keyedChecksum(uid, content).apply(resolve));

  test("is keyed, so nobody can guess passwords without the uid", async () => {
    expect(await checksum("one uid", "content")).not.toBe(await checksum("another uid", "content"));
    expect(await checksum("one uid", "content")).toBe(await checksum("one uid", "content"));
  });

  test("does not exist without a uid, because a plain hash would allow guesses", async () => {
    expect(await checksum(undefined, "content")).toBe(await checksum("", "other content"));
  });
});
