import { spawn } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

// Imitates the SDK running a program in the process: it prints uncaught errors. Each failed print causes the next error.
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

/** Each command fails at once. The test is about the process that stays alive, as it does while a program runs in it. */
it.each([
  ["lab", ["lab/cli.ts", "fault", "nowhere", "nothing"]],
  ["bench", ["lab/bench.ts", "preview"]],
  ["preview:report", ["report/previewCli.ts", "--from", "nowhere.json"]],
  ["accept", ["accept/cli.ts", "--stack", "nowhere"]],
  ["storage:probe", ["probe/cli.ts", "--stack", "nowhere"]],
  ["the plugin", ["provider/start.cjs", "ENGINE"]],
])(
  "%s keeps working when nobody reads its output anymore, instead of printing errors forever",
  async (_, command) => {
    const preload = `data:text/javascript,${encodeURIComponent(asProgramHost)}`;
    // The plugin exits with its engine, so provide one that stays.
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
