import { ESLint, Linter } from "eslint";
import tseslint from "typescript-eslint";
import { describe, expect, it } from "vitest";

/** The errors that the project's lint rules report for a text in that file. */
async function complaints(file: string, text: string): Promise<string[]> {
  const config = (await new ESLint().calculateConfigForFile(file)) as { rules: Linter.RulesRecord };
  const rules = Object.fromEntries(
    Object.entries(config.rules).filter(([name]) => name.startsWith("no-restricted-")),
  );
  const messages = new Linter().verify(
    text,
    [{ files: ["**/*.ts"], languageOptions: { parser: tseslint.parser }, rules }],
    { filename: file },
  );
  return messages.map(({ message }) => message);
}

const ways = [
  ["the acting client", 'import { connectActor } from "../talos/api/actor.ts";'],
  ["the acting client, loaded later", 'export const load = () => import("../../talos/api/actor.ts");'],
  ["what the gate acts with", 'import { unsealClients } from "./gate/sealedClients.ts";'],
  ["the acting client's type", 'import type { TalosActor } from "../talos/api/talosClient.ts";'],
  ["the remover of Node objects", 'import { connectNodeRemover } from "./kubernetesApi.ts";'],
  ["the remover's type", 'import type { NodeRemover } from "./kubernetes.ts";'],
] as const;

describe("only the gate gets clients that can disturb a node", () => {
  it.each(ways)("%s is refused elsewhere", async (_, text) => {
    for (const file of [
      "provider/upgrade.ts",
      "provider/steps/reboot.ts",
      "components/nodeUpgrade.ts",
      "lab/status.ts",
    ]) {
      expect([file, ...(await complaints(file, text))]).toEqual([
        file,
        expect.stringMatching(/Only provider\/gate/),
      ]);
    }
  });

  it.each(ways)("%s is allowed in the gate", async (_, text) => {
    expect(await complaints("provider/gate/gate.ts", text)).toEqual([]);
  });

  it("clients that only read are allowed everywhere", async () => {
    const text =
      'import type { TalosReader } from "../talos/api/talosClient.ts";\nimport { connectTalos } from "../talos/api/client.ts";';
    expect(await complaints("provider/upgrade.ts", text)).toEqual([]);
  });
});
