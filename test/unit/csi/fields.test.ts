import { describe, expect, test } from "vitest";
import { describeValue } from "../../../components/csi/fields.ts";
import { describeGiven } from "../../../settings/messages.ts";

/** How an error shows a wrong value: recognizable in the file, but without a secret that is in the wrong place. */

describe("text that people typically write is shown as is", () => {
  test.each([
    "latest",
    "Pool-0",
    "v1.13.9",
    "1.13",
    "999.1.1.1",
    "https://192.168.0.100:82",
    "joviandss-iscsi_01.storage.example.com",
    "iqn.2019-04.Example.com:Storage",
    "/usr/local/sbin/iscsiadm",
    "docker.io/opene/joviandss-csi:v1.1.0",
    "ReadWriteMany",
    "30 seconds",
    "enp3s0f1",
  ])("%s", (text) => {
    expect(describeValue(text)).toBe(JSON.stringify(text));
    expect(describeGiven(text)).toBe(JSON.stringify(text));
  });
});

describe("text that may be a secret is not shown", () => {
  test.each([
    "x9Kq2LmB",
    "9f86d081884c7d659a2feaa0c55ad015",
    "abcdef.0123456789abcdef",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0",
    "correcthorse!battery",
    "Ls0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==",
    "-----BEGIN ED25519 PRIVATE KEY-----\nMC4C\n",
    "words ".repeat(20),
  ])("%j", (text) => {
    expect(describeValue(text)).toBe(`a string of ${text.length} characters`);
    expect(describeGiven(text)).toBe(`a string of ${text.length} characters`);
  });

  test("a password in a URL is removed", () => {
    expect(describeValue("https://admin:hunter@192.168.0.100")).toBe('"https://…@192.168.0.100"');
  });
});
