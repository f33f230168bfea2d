// Pulumi's runner of policy packs loads this file with `require`, and its TypeScript loader takes neither ES modules nor `.ts` imports; Node does.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `The policy pack runs TypeScript directly, which takes Node 22.18 or newer; this is ${process.version}.\n`,
  );
  process.exit(1);
}
import("./pack.ts").catch((error) => {
  process.stderr.write(`The policy pack could not start: ${error?.stack ?? error}\n`);
  process.exit(1);
});
