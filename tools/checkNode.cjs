// Preloaded by the commands of package.json. Plain JavaScript, so that a Node.js that is too old can still print the message.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `talos-iscsi needs Node.js 22.18 or newer, which runs TypeScript directly. This is ${process.version} (${process.execPath}).\n` +
      "Put a newer Node.js first on PATH. `npm install` brings one for Linux and for Windows on x64.\n",
  );
  process.exit(1);
}
