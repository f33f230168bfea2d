// Plain JavaScript, so that even a Node that is too old can say so.
const module_ = require("node:module");
const { existsSync } = require("node:fs");
const { join } = require("node:path");

/**
 * Starts a plugin.
 *
 * @param {string} name what people call it.
 * @param {string} folder where it is.
 * @param {() => Promise<unknown>} load its entry.
 */
module.exports = function startPlugin(name, folder, load) {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 22 || (major === 22 && minor < 18)) {
    process.stderr.write(
      `The plugin ${name} needs Node.js 22.18 or newer, which runs TypeScript directly. This is ${process.version} (${process.execPath}).\n` +
        "Put a newer Node.js first on PATH, or start Pulumi from an npm script of this project.\n",
    );
    process.exit(1);
  }

  // An engine that was killed reads no more. A failed write is not to be an uncaught exception: what the plugin has under way still has to end well.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

  // Keeps compiled code between runs: the engine starts the plugin for every preview. Next to the packages, or to the plugin where it has none:
  // other users can write to the folder for temporary files.
  const packages = join(folder, "..", "node_modules");
  module_.enableCompileCache?.(join(existsSync(packages) ? packages : folder, ".cache", name));
  load().then(
    () => {
      // The SDK's server looks up the source map of every frame of every stack that is read, and gRPC and Node's streams read one for each failed call. Node runs
      // this code as it is written, so there is nothing to look up.
      Error.prepareStackTrace = undefined;
      // The engine ends its plugins without asking, so what Node would keep at exit is kept now.
      module_.flushCompileCache?.();
    },
    (error) => {
      process.stderr.write(`The plugin ${name} could not start: ${error?.stack ?? error}\n`);
      process.exit(1);
    },
  );
};
