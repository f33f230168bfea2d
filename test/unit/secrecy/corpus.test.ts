import { describe, expect, test } from "vitest";
import { parse, parseDocument, stringify } from "yaml";
import { configChanges } from "../../../talos/configChanges.ts";
import { countPlainSecrets, redactMachineConfig } from "../../../talos/redact.ts";
import { secretSpans } from "../../../talos/secrecy/text.ts";
import { argumentLists, environment, structures, texts } from "./credentials.ts";
import { harmless } from "./harmless.ts";

/** Every credential of a corpus is hidden wherever it is and however it is shown, and harmless values stay readable. */

const bare = (form: string): string => form.replace(/[‹›]/g, "");

/** The secrets of a form and their parts. None may be shown, not even the end after a comma. */
function pieces(form: string): string[] {
  const secrets = [...form.matchAll(/‹([^›]*)›/g)].map(([, secret = ""]) => secret);
  return secrets.flatMap((secret) => [
    secret,
    ...secret
      .split(/[^A-Za-z0-9]+/)
      .filter(
        (part) =>
          part.length > 2 &&
          !/^(?:BEGIN|END|KEY|PRIVATE|https?|com|example|npm|hooks|slack|services)$/.test(part),
      ),
  ]);
}

function expectHidden(shown: string, form: string): void {
  expect(pieces(form).length).toBeGreaterThan(0);
  expect(pieces(form).filter((piece) => shown.includes(piece))).toEqual([]);
}

/** A document as a redacted patch, and its lines when a node gains or loses it. */
function everyWay(document: object): string {
  const text = stringify(document);
  const other = stringify({ version: "v1alpha1" });
  // The policies find a secret before redaction, and none after it.
  expect([countPlainSecrets(text) > 0, countPlainSecrets(redactMachineConfig(text))]).toEqual([true, 0]);
  const lines = [
    { running: other, wanted: text },
    { running: text, wanted: other },
  ].flatMap((both) => {
    const { lines: all, dropped } = configChanges({ ...both, patches: [], accepted: [] });
    return [...all, ...dropped.flatMap(({ line, path }) => [line, path])];
  });
  return [JSON.stringify(parse(redactMachineConfig(text))).replaceAll('\\"', '"'), ...lines].join("\n");
}

test("there are at least 150 credentials", () => {
  expect(environment.length + argumentLists.length + texts.length + structures.length).toBeGreaterThanOrEqual(
    150,
  );
});

test.each(environment)("hides a service's environment: %s", (form) => {
  expectHidden(
    everyWay({ kind: "ExtensionServiceConfig", name: "x", environment: ["A=b", bare(form)] }),
    form,
  );
});

test.each(argumentLists.map((list) => [list]))("hides arguments: %j", (list) => {
  const args = list.map(bare);
  const pod = { kind: "Pod", spec: { containers: [{ name: "x", args }] } };
  expectHidden(everyWay({ machine: { pods: [pod] } }), list.join("\n"));
  expectHidden(
    everyWay({ machine: { pods: [{ ...pod, spec: { containers: [{ command: args }] } }] } }),
    list.join("\n"),
  );
});

test.each(texts)("hides a credential in text: %s", (form) => {
  const text = bare(form);
  const map = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" }, data: { file: text } };
  const manifest = { cluster: { inlineManifests: [{ name: "x", contents: stringify(map) }] } };
  const shown = parse(redactMachineConfig(stringify(manifest))) as typeof manifest;
  expectHidden((parse(shown.cluster.inlineManifests[0]?.contents ?? "") as typeof map).data.file, form);
  expectHidden(everyWay({ metadata: { annotations: { "example.com/config": text } } }), form);
  expectHidden(everyWay(manifest), form);
});

test.each(structures)("hides a credential by its structure: %s", (form) => {
  const document = parse(bare(form)) as object;
  expectHidden(everyWay(document), form);
  expectHidden(
    redactMachineConfig(stringify({ cluster: { inlineManifests: [{ contents: stringify(document) }] } })),
    form,
  );
});

describe("harmless values stay readable", () => {
  test.each(harmless)("%s", (text) => {
    expect(parse(redactMachineConfig(text))).toEqual(parseDocument(text).toJS());
  });

  test("and so does the rest of a text with a secret", () => {
    const shown = (text: string): string =>
      (parse(redactMachineConfig(stringify({ note: text }))) as { note: string }).note;
    expect(shown("[client]\nuser = root\npassword = hunter2\nhost = db\n")).toBe(
      "[client]\nuser = root\npassword = [secret]\nhost = db\n",
    );
    expect(shown("host=db user=svc password=hunter2 sslmode=require")).toBe(
      "host=db user=svc password=[secret] sslmode=require",
    );
    expect(shown("run --token=hunter2 --port=80")).toBe("run --token=[secret] --port=80");
    expect(shown("https://example.com/x?token=hunter2&page=1")).toBe(
      "https://example.com/x?token=[secret]&page=1",
    );
    expect(shown('{"user":"svc","password":"hunter2","port":80}')).toBe(
      '{"user":"svc","password":"[secret]","port":80}',
    );
    expect(shown("http://svc:hunter2@proxy:3128")).toBe("http://svc:[secret]@proxy:3128");
  });
});

test("the time to scan a text does not grow quadratically", () => {
  const parts = [
    "a",
    "a:",
    "a@",
    "a=b ",
    "x:y@",
    '"',
    "-p ",
    "https://",
    "a.",
    "aB1",
    "\n- a:",
    "/a",
    "password=a ",
    "token: ",
    "mysql ",
    "echo ",
  ];
  const took = (part: string, times: number): number => {
    const began = process.cpuUsage(); // CPU time, because others use the machine too.
    secretSpans(part.repeat(times));
    return process.cpuUsage(began).user / 1000;
  };
  // Quadratic time would be 100 times as long for 10 times the text: hours instead of seconds for a megabyte.
  for (const part of [...parts, "name: ", "login a ", "<a>", "-----BEGIN ", "passwd "])
    expect([part, took(part, 40_000) < 40 * took(part, 4_000) + 2_000]).toEqual([part, true]);
});
