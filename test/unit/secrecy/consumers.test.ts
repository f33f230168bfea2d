import { describe, expect, test } from "vitest";
import { describeText } from "../../../components/csi/fields.ts";
import { redactProperties, redactMessage } from "../../../report/digest/values.ts";
import { PatchSource } from "../../../talos/patchSource.ts";
import { argumentLists, environment, texts } from "./credentials.ts";

/** Reports and errors use the same module as redaction. */

const bare = (form: string): string => form.replace(/[‹›]/g, "");
const pieces = (form: string): string[] =>
  [...form.matchAll(/‹([^›]*)›/g)].map(([, secret = ""]) => secret.split("\n")[0] ?? "");

/** Forms that merely look random are not secret in a report, which shows schematics, digests and checksums. */
const onlyRandom = (form: string): boolean => /‹q7Zk2LmB9/.test(form);

describe("a report", () => {
  test.each(environment.filter((form) => !form.includes("\n") && !onlyRandom(form)))("hides %s", (form) => {
    const [name = "", ...value] = bare(form).split("=");
    const shown = JSON.stringify([
      redactProperties({ environment: [bare(form)] }, "x:y:Z"),
      redactProperties(
        { env: { [name]: value.join("=") }, list: [{ name, value: value.join("=") }] },
        "x:y:Z",
      ),
    ]);
    expect(pieces(form).filter((piece) => shown.includes(piece))).toEqual([]);
  });

  test("hides secrets in arguments and single-line texts", () => {
    const lines = [...argumentLists.filter((list) => list.length === 1).flat(), ...texts]
      .map((form) => form.trimEnd())
      .filter((form) => !form.includes("\n") && !onlyRandom(form));
    expect(lines.length).toBeGreaterThan(20);
    for (const form of lines) {
      const shown = JSON.stringify(redactProperties({ note: bare(form) }, "x:y:Z"));
      expect(pieces(form).filter((piece) => shown.includes(piece))).toEqual([]);
    }
  });

  test("shows harmless values", () => {
    const inputs = {
      tolerations: [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }],
      volumes: [{ secret: { secretName: "csi", defaultMode: 256 } }],
      imagePullSecrets: [{ name: "registry" }],
      env: [{ name: "LOG_LEVEL", value: "info" }],
      rules: [{ resources: ["secrets"] }],
      schematicId: "c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac",
      image:
        "factory.talos.dev/metal-installer/c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac:v1.13.9",
      parameters: { "csi.storage.k8s.io/node-stage-secret-name": "smb" },
      protectSecrets: true,
      configuration: "machine:\n  token: «secret 0d80b176»\n  ca:\n    key: «secret 0d80b177»\n",
      changes: ["~ machine.token: «secret 0d80b176» -> [secret]"],
    };
    expect(redactProperties(inputs, "x:y:Z")).toEqual(inputs);
  });

  test("hides tokens and keys in messages, and keeps the rest", () => {
    expect(
      redactMessage(
        "w1: https://svc:plum/pear@mirror answered 401; token: wrong. Use hvs.CAESIJplumpearlimekiwi",
      ),
    ).toBe("w1: https://svc:[secret]@mirror answered 401; token: wrong. Use [secret]");
  });
});

describe("an error about a field", () => {
  test.each(environment.filter((form) => !form.includes("\n")))("does not show %s", (form) => {
    expect(pieces(form).filter((piece) => describeText(bare(form)).includes(piece))).toEqual([]);
  });

  test.each([
    "cp1",
    "Pool-0",
    "10.0.0.11",
    "v1.13",
    "192.168.0.100:82",
    "noatime",
    "joviandss-csi",
    "/dev/sda",
  ])("shows %s", (text) => {
    expect(describeText(text)).toBe(JSON.stringify(text));
  });
});

test.each([
  "a: |hunter2\n b",
  "- a\nhunter2: y",
  "- hunter2\nx: y",
  'a: "x" hunter2',
  "a: !hunter2 [",
  "a: *hunter2",
])("an error about a patch that is not YAML does not quote it: %j", (text) => {
  const source = new PatchSource(text, 0);
  source.parts();
  expect(source.problems.map(({ reason }) => reason).join()).not.toContain("hunter2");
});
