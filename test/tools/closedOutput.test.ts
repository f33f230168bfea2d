import { spawn } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

// As the SDK does around a program that it runs in the process: what nobody caught is printed. Each print that fails is the next one.
const asProgramHost = `
  let uncaught = 0;
  process.on("uncaughtException", (error) => {
    uncaught += 1;
    if (uncaught < 1000) process.stdout.write(String(error.stack) + "\\n");
  });
  let begun = false;
  const begin = () => {
    if (begun) return;
    begun = true;
    process.stdout.write("progress\\n");
    process.stderr.write("a message\\n");
    setTimeout(() => process.exit(uncaught === 0 ? 0 : 99), 500);
  };
  process.once("beforeExit", begin);
  setTimeout(begin, 6_000).unref(); // the plugin serves until somebody ends it
`;

/** Each command fails at once: what is looked at is the process that lives on, as it does while a program runs in it. */
it.each([
  ["lab", ["lab/cli.ts", "fault", "nowhere", "nothing"]],
  ["bench", ["lab/bench.ts", "preview"]],
  ["preview:report", ["report/previewCli.ts", "--from", "nowhere.json"]],
  ["accept", ["accept/cli.ts", "--stack", "nowhere"]],
  ["storage:probe", ["probe/cli.ts", "--stack", "nowhere"]],
  ["the plugin", ["provider/start.cjs", "ENGINE"]],
])(
  "%s goes on when nobody reads its output any more, instead of printing about it for ever",
  async (_, command) => {
    const preload = `data:text/javascript,${encodeURIComponent(asProgramHost)}`;
    // The plugin ends with its engine: here is one that stays.
    const engine = createServer();
    await new Promise<void>((resolve) => engine.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${(engine.address() as AddressInfo).port}`;
    const words = command.map((word) => word.replace("ENGINE", address));
    const child = spawn(process.execPath, ["--import", preload, ...words], {
      cwd: root,
      env: { ...process.env, PATH: "/nowhere", PULUMI_BACKEND_URL: "file:///nowhere" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    child.stderr.destroy();
    const code = await new Promise((resolve) => child.once("exit", resolve));
    engine.close();
    expect(code).toBe(0);
  },
);
