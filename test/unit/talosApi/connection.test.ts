import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connectTalos } from "../../../talos/api/client.ts";
import { pemCredentials } from "../../../talos/api/credentials.ts";
import { anonymousContext, clientContext } from "../../../talos/api/tlsContexts.ts";
import { splitEndpoint } from "../../../talos/endpoint.ts";
import { createAuthority, issueLeaf } from "../../../lab/pki.ts";

describe("an endpoint", () => {
  it.each([
    ["10.0.0.11", "10.0.0.11", 50000],
    ["10.0.0.11:6000", "10.0.0.11", 6000],
    ["cp1.example.org", "cp1.example.org", 50000],
    ["[fd00::1]:6000", "fd00::1", 6000],
    ["[fd00::1]", "fd00::1", 50000],
    ["fd00::1", "fd00::1", 50000],
  ])("%s is %s, port %i", (endpoint, host, port) => {
    expect(splitEndpoint(endpoint)).toEqual({ host, port });
  });

  it("keeps any IPv6 address intact, with or without a port", () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65535 }), (host, port) => {
        expect(splitEndpoint(`[${host}]:${port}`)).toEqual({ host, port });
        expect(splitEndpoint(`[${host}]`)).toEqual({ host, port: 50000 });
      }),
    );
  });
});

describe("credentials", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const pkcs8 = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();

  it("may have a key with Talos's own label", () => {
    const labelled = pkcs8.replaceAll("PRIVATE KEY", "ED25519 PRIVATE KEY");
    const { key } = pemCredentials({ caCertificate: "", clientCertificate: "", clientKey: base64(labelled) });
    expect(createPrivateKey(key).asymmetricKeyType).toBe("ed25519");
  });

  it("may be PEM", () => {
    const { key } = pemCredentials({ caCertificate: "", clientCertificate: "", clientKey: pkcs8 });
    expect(key.toString()).toBe(pkcs8);
  });

  it("are refused without being quoted if invalid", () => {
    const credentials = {
      caCertificate: base64("a"),
      clientCertificate: base64("b"),
      clientKey: base64("hunter2"),
    };
    expect(() => connectTalos({ endpoint: "127.44.9.1", credentials })).toThrow(
      /^127\.44\.9\.1: connect: the client credentials are no certificate and key that TLS can use$/,
    );
  });

  it("are loaded for TLS once, for any number of nodes", async () => {
    const authority = await createAuthority("talos", "ed25519");
    const pem = async () => {
      const { certificate, key } = await issueLeaf(authority, { commonName: "admin", usages: ["client"] });
      return { caCertificate: authority.pem, clientCertificate: certificate, clientKey: key };
    };
    const [own, renewed] = [await pem(), await pem()];
    expect(clientContext({ ...own })).toBe(clientContext(own));
    expect(clientContext(renewed)).not.toBe(clientContext(own));
    expect(anonymousContext()).toBe(anonymousContext());
  });
});
