import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import semver from "semver";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toolNames, tools, usualToolNames, type Tool, type ToolName } from "../../tools/catalogue.ts";
import { fittingRange, readPin } from "../../tools/pins.ts";
import { takeLock } from "../../tools/lock.ts";
import { searchPath } from "../../tools/onPath.ts";
import { locateTools, ToolError, type ResolveOptions, type Surroundings } from "../../tools/resolve.ts";

const toolsFolder = join(import.meta.dirname, "..", "..", "tools");

/** What each tool prints as its version, copied from the real ones. */
const printed: Record<ToolName, (version: string) => string> = {
  pulumi: (version) => version,
  talosctl: (version) =>
    `Client:\n\tTag:         ${version}\n\tSHA:         undefined\n\tOS/Arch:     linux/amd64`,
  "kube-apiserver": (version) => `Kubernetes ${version}`,
  "kube-controller-manager": (version) => `Kubernetes ${version}`,
  "kube-scheduler": (version) => `Kubernetes ${version}`,
  "kube-apiserver-next": (version) => `Kubernetes ${version}`,
  "kube-controller-manager-next": (version) => `Kubernetes ${version}`,
  "kube-scheduler-next": (version) => `Kubernetes ${version}`,
  kubectl: (version) => `Client Version: ${version}\nKustomize Version: v5.7.1`,
  etcd: (version) => `etcd Version: ${version.slice(1)}\nGit SHA: 1a2b3c4\nGo Version: go1.26.8`,
  etcd37: (version) => `etcd Version: ${version.slice(1)}\nGit SHA: 1a2b3c4\nGo Version: go1.26.8`,
  kwok: (version) => `kwok version ${version} go1.26.8 (linux/amd64)`,
  actionlint: (version) =>
    `${version}\ninstalled by building from source\nbuilt with go1.26.8 compiler for linux/amd64`,
  "pulumi-resource-kubernetes": (version) => `pulumi-kubernetes ${version.slice(1)}`,
  "pulumi-language-codegen": (version) => `pulumi-language-codegen ${version}`,
  "pulumi-language-yaml": (version) => `pulumi-language-yaml ${version}`,
  "csi-driver": (version) => `csi-driver ${version}`,
  "csi-sanity": (version) => `Version = ${version}`,
  "csi-provisioner": (version) => `/usr/bin/csi-provisioner ${version}`,
  "csi-attacher": (version) => `csi-attacher ${version}`,
  "csi-snapshotter": (version) => `./csi-snapshotter ${version}`,
  "csi-resizer": (version) => `csi-resizer ${version}`,
  "snapshot-controller": (version) => `snapshot-controller ${version}`,
};

let root: string;
let bin: string;
let surroundings: Surroundings;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "tools-test-"));
  bin = join(root, "bin");
  await mkdir(bin);
  surroundings = {
    folders: { modules: join(root, "modules"), builds: join(root, "builds") },
    // The fakes are shell scripts that need some basic programs. Go and the tools must not be found there.
    env: { PATH: `${bin}:${await basicPrograms()}`, HOME: root },
    catalogue: { kubectl: fakeTool("kubectl"), etcd: fakeTool("etcd"), kwok: fakeTool("kwok") },
  };
  for (const name of ["kubectl", "etcd", "kwok"]) {
    await pin(name, "v1.35.4");
  }
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

/** A tool built from its own module `example.invalid/<name>`. */
function fakeTool(name: ToolName): Tool {
  return {
    ...tools[name],
    package: `example.invalid/${name}/cmd`,
    module: {
      folder: name,
      source: `example.invalid/${name}`,
      ldflags: (version) => `-X ${version}`,
      weight: 1,
    },
  };
}

async function pin(name: string, version: string, go = "1.26.6"): Promise<void> {
  const folder = join(root, "modules", name);
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, "go.mod"),
    `module x\n\ngo ${go}\n\nrequire example.invalid/${name} ${version}\n`,
  );
  await writeFile(join(folder, "go.sum"), "");
}

async function executable(path: string, script: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

/** Puts a tool on PATH that prints its version like the real one. */
async function onPath(name: ToolName, version: string, folder = bin): Promise<string> {
  return executable(join(folder, name), `cat <<'END'\n${printed[name](version)}\nEND`);
}

async function basicPrograms(): Promise<string> {
  const folder = join(root, "basics");
  await mkdir(folder);
  for (const program of ["cat", "sed", "sleep", "chmod", "mkdir"]) {
    await executable(join(folder, program), `PATH=/usr/bin:/bin exec ${program} "$@"`);
  }
  return folder;
}

/**
 * Puts a fake go on PATH. Its `build` runs `beforeBuild`, then writes a binary that prints the version pinned by the
 * module; `calls` returns the commands it received.
 */
async function fakeGo({ version = "go1.26.8", beforeBuild = "" } = {}): Promise<{
  calls(): Promise<string[]>;
}> {
  const log = join(root, "go-calls");
  await writeFile(log, "");
  await executable(
    join(bin, "go"),
    `case "$1" in
env) echo ${version} ;;
list) echo example.invalid/dependency; for last; do :; done; echo "$last" ;;
build)
  echo "build $(sed -n 's/^require //p' go.mod) cgo=$CGO_ENABLED work=$GOWORK flags=$GOFLAGS" >>${log}
  while [ "$1" != -o ]; do shift; done
  echo example.invalid/dependency >&2
  ${beforeBuild}
  v=$(sed -n 's/^require .* v//p' go.mod)
  cat >"$2" <<END
#!/bin/sh
echo "Client Version: v$v"; echo "etcd Version: $v"; echo "kwok version v$v"
END
  chmod +x "$2" ;;
esac`,
  );
  return {
    calls: async () => (await readFile(log, "utf8")).split("\n").filter((line) => line !== ""),
  };
}

async function failure(names: ToolName[], options: ResolveOptions = {}): Promise<ToolError> {
  const error: unknown = await locateTools(names, options, surroundings).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ToolError);
  return error as ToolError;
}

/** Entries in the builds folder that are neither finished builds nor logs. */
async function leftovers(): Promise<string[]> {
  const entries = await readdir(surroundings.folders.builds);
  return entries.filter((entry) => entry.includes(".partial-") || entry.includes(".lock"));
}

describe("the pins", () => {
  test.each(toolNames)("%s: the pinned version is within the accepted range", (name) => {
    const found = readPin(toolsFolder, tools[name].module);
    expect(semver.satisfies(found.version, fittingRange(tools[name], found))).toBe(true);
  });

  test("the .proto files are checked against the Talos version of talosctl", async () => {
    const { version } = readPin(toolsFolder, tools.talosctl.module);
    const checked = await readFile(join(toolsFolder, "protocheck", "go.mod"), "utf8");
    expect(checked).toContain(`github.com/siderolabs/talos/pkg/machinery ${version}\n`);
  });

  test.each(["kubectl", "kube-apiserver-next"] as const)(
    "Kubernetes' staging modules have the version that matches the pinned Kubernetes: %s",
    async (name) => {
      const { version } = readPin(toolsFolder, tools[name].module);
      const goMod = await readFile(join(toolsFolder, tools[name].module.folder, "go.mod"), "utf8");
      const staging = [...goMod.matchAll(/^\s*k8s\.io\/\S+ => k8s\.io\/\S+ (v\S+)$/gm)].map(
        (match) => match[1],
      );
      expect(new Set(staging)).toEqual(new Set([version.replace(/^v1\./, "v0.")]));
    },
  );
});

test("the next Kubernetes is a later patch of the pinned one, and nightly-only tools are not part of a full build", () => {
  const [pinned, next] = (["kube-apiserver", "kube-apiserver-next"] as const).map(
    (name) => readPin(toolsFolder, tools[name].module).version,
  );
  expect(semver.satisfies(next ?? "", `>${pinned ?? ""} <1.${semver.minor(pinned ?? "") + 1}.0`)).toBe(true);
  expect(toolNames.filter((name) => !usualToolNames.includes(name))).toEqual([
    "kube-apiserver-next",
    "kube-controller-manager-next",
    "kube-scheduler-next",
    "pulumi-language-codegen",
  ]);
});

test("the build of every program of our own depends on its source", () => {
  const modules = "talos-iscsi.invalid/tools/";
  const ours = Object.values(tools).filter((tool) => tool.package.startsWith(modules));
  expect(ours.map(({ name }) => name)).toContain("pulumi-language-yaml");
  for (const { package: main, module } of ours)
    expect(join(module.folder, module.own ?? "(none)")).toBe(main.slice(modules.length));
});

describe("on PATH", () => {
  test.each(toolNames)("%s in the pinned version is accepted", async (name) => {
    const found = readPin(toolsFolder, tools[name].module);
    const path = await onPath(name, found.version);
    const search = await searchPath(tools[name], fittingRange(tools[name], found), surroundings.env);
    expect(search).toEqual({ found: { path, version: found.version }, refused: [] });
  });

  test.each([
    ["pulumi", "v3.249.0"],
    ["pulumi", "v4.0.0"],
    ["talosctl", "v1.12.7"],
    ["talosctl", "v1.14.1"],
    ["kube-apiserver", "v1.36.0"],
    ["kube-scheduler", "v1.35.0-rc.1"],
    ["kubectl", "v1.32.4-dispatcher"],
    ["kubectl", "v1.37.0"],
    ["etcd", "v3.5.21"],
    ["kwok", "v0.7.0"],
  ] as const)("%s %s is refused", async (name, version) => {
    const path = await onPath(name, version);
    const range = fittingRange(tools[name], readPin(toolsFolder, tools[name].module));
    const search = await searchPath(tools[name], range, surroundings.env);
    expect(search).toEqual({ refused: [{ path, reason: `is ${version}, not ${range}` }] });
  });

  test.each([
    ["pulumi", "v3.260.0"],
    ["kubectl", "v1.34.1"],
    ["kubectl", "v1.36.0"],
    ["kube-apiserver", "v1.35.0"],
  ] as const)("%s %s is accepted instead of the pinned version", async (name, version) => {
    const path = await onPath(name, version);
    const range = fittingRange(tools[name], readPin(toolsFolder, tools[name].module));
    expect((await searchPath(tools[name], range, surroundings.env)).found).toEqual({ path, version });
  });

  test("an unsuitable program does not hide a suitable one later on PATH", async () => {
    const later = join(root, "later");
    const old = await onPath("kubectl", "v1.32.4-dispatcher");
    const fitting = await onPath("kubectl", "v1.35.1", later);
    surroundings.env["PATH"] += `:${later}`;
    const [kubectl] = await locateTools(["kubectl"], {}, surroundings);
    expect(kubectl).toMatchObject({ path: fitting, version: "v1.35.1", origin: "PATH" });
    expect(kubectl?.refused.map(({ path }) => path)).toEqual([old]);
  });

  test("unrelated programs of the same name are skipped with a reason", async () => {
    const failing = await executable(join(bin, "etcd"), "exit 3");
    const mute = await executable(join(bin, "kwok"), "echo hello");
    await writeFile(join(bin, "kubectl"), "not executable");
    const etcd = await searchPath(tools.etcd, "*", surroundings.env);
    const kwok = await searchPath(tools.kwok, "*", surroundings.env);
    const kubectl = await searchPath(tools.kubectl, "*", surroundings.env);
    expect(etcd.refused).toEqual([{ path: failing, reason: "`etcd --version` failed" }]);
    expect(kwok.refused).toEqual([{ path: mute, reason: "`kwok --version` does not print a version" }]);
    expect(kubectl).toEqual({ refused: [] });
  });
});

describe("a provider plugin", () => {
  const name = "pulumi-resource-kubernetes";
  let home: string;

  beforeEach(async () => {
    home = join(root, "pulumi-home");
    surroundings = {
      ...surroundings,
      env: { ...surroundings.env, PULUMI_HOME: home },
      catalogue: { [name]: { ...fakeTool(name), sdk: "sdk" } },
    };
    await mkdir(join(root, "sdk"));
    await writeFile(
      join(root, "sdk", "package.json"),
      JSON.stringify({ version: "4.34.2", pulumi: { name: "kubernetes" } }),
    );
    await pin(name, "v4.0.0-20260115033456-f47bc2d6f199");
  });

  const installed = (version: string) =>
    executable(join(home, "plugins", `resource-kubernetes-v${version}`, name), "exit 2");

  test("is the published one if the engine has it: the SDK's version or a newer one of the same major", async () => {
    await onPath(name, "v4.0.0-20260115033456-f47bc2d6f199");
    await installed("4.34.1");
    await installed("5.0.0");
    expect((await locateTools([name], {}, surroundings))[0]?.origin).toBe("PATH");
    await installed("4.34.2");
    const newest = await installed("4.36.0");
    const [plugin] = await locateTools([name], {}, surroundings);
    expect(plugin).toEqual({ name, path: newest, version: "v4.36.0", origin: "published", refused: [] });
  });

  test("is not used if its download is incomplete or its file is missing", async () => {
    const built = await onPath(name, "v4.0.0-20260115033456-f47bc2d6f199");
    await rm(await installed("4.35.0"));
    await installed("4.34.2");
    await writeFile(join(home, "plugins", "resource-kubernetes-v4.34.2.partial"), "");
    expect((await locateTools([name], {}, surroundings))[0]?.path).toBe(built);
  });
});

describe("building", () => {
  test("a tool that is not on PATH is built once, and found without Go from then on", async () => {
    const go = await fakeGo();
    const etcdPath = await onPath("etcd", "v1.35.2");
    const lines: string[] = [];
    const first = await locateTools(
      ["etcd", "kwok"],
      { onProgress: (line) => lines.push(line) },
      surroundings,
    );
    expect(first.map(({ origin }) => origin)).toEqual(["PATH", "built now"]);
    expect(first[0]?.path).toBe(etcdPath);
    expect(lines).toEqual([
      expect.stringContaining("kwok"),
      "[1/1] kwok v1.35.4: building",
      expect.stringMatching(/^\[1\/1\] kwok v1\.35\.4: built in \d+ s$/),
    ]);

    await rm(join(bin, "go"));
    const [again] = await locateTools(["kwok"], {}, surroundings);
    expect(again).toEqual({ ...first[1], origin: "built before" });
    expect(await go.calls()).toHaveLength(1);
    expect(await leftovers()).toEqual([]);
  });

  test("the user's GOFLAGS reach go; cgo and a surrounding workspace do not", async () => {
    const go = await fakeGo();
    Object.assign(surroundings.env, { GOFLAGS: "-p=1", CGO_ENABLED: "1", GOWORK: "/elsewhere/go.work" });
    await locateTools(["etcd"], {}, surroundings);
    expect(await go.calls()).toEqual(["build example.invalid/etcd v1.35.4 cgo=0 work=off flags=-p=1"]);
  });

  test.each([
    ["version", () => pin("etcd", "v1.36.0")],
    ["go.sum", () => appendFile(join(root, "modules", "etcd", "go.sum"), "example.invalid/x v1.0.0 h1:x\n")],
  ])("a changed %s triggers a rebuild, and reverting it finds the old build", async (_, change) => {
    const go = await fakeGo();
    const [before] = await locateTools(["etcd"], {}, surroundings);
    await change();
    const [changed] = await locateTools(["etcd"], {}, surroundings);
    expect(changed?.origin).toBe("built now");
    expect(changed?.path).not.toBe(before?.path);
    await pin("etcd", "v1.35.4");
    expect(await locateTools(["etcd"], {}, surroundings)).toEqual([{ ...before, origin: "built before" }]);
    expect(await go.calls()).toHaveLength(2);
  });

  test("a program of our own is rebuilt when its source changes", async () => {
    const go = await fakeGo();
    const source = join(root, "modules", "etcd", "own", "main.go");
    await mkdir(dirname(source));
    await writeFile(source, "package main\n");
    const etcd = fakeTool("etcd");
    surroundings = {
      ...surroundings,
      catalogue: { etcd: { ...etcd, module: { ...etcd.module, own: "own" } } },
    };
    const [before] = await locateTools(["etcd"], {}, surroundings);
    await appendFile(source, "// changed\n");
    const [changed] = await locateTools(["etcd"], {}, surroundings);
    expect(changed?.origin).toBe("built now");
    expect(changed?.path).not.toBe(before?.path);
    expect(await go.calls()).toHaveLength(2);
  });

  test("a binary that reports a different version than the pinned one is rejected", async () => {
    await fakeGo({
      beforeBuild: 'printf \'#!/bin/sh\\necho etcd Version: 0.0.1\' >"$2"; chmod +x "$2"; exit 0',
    });
    const { message } = await failure(["etcd"]);
    expect(message).toContain("the binary etcd says it is v0.0.1, not v1.35.4");
  });

  test("a failed build reports the tool, the command, its last output and the log; the others are built", async () => {
    await fakeGo({ beforeBuild: "case $PWD in */etcd) echo 'raft.go:7: no such thing' >&2; exit 1;; esac" });
    const { message, missing } = await failure(["etcd", "kwok"]);
    expect(missing).toEqual(["etcd"]);
    expect(message).toContain("Building etcd v1.35.4 failed: go build ended with 1");
    expect(message).toContain("    raft.go:7: no such thing");
    expect(message).toMatch(/ran: go build .*-trimpath -mod=readonly .* example\.invalid\/etcd\/cmd\n/);
    const log = /all of its output: (.*)$/m.exec(message)?.[1] ?? "";
    expect(await readFile(log, "utf8")).toContain("raft.go:7: no such thing\n");
    expect(await leftovers()).toEqual([]);

    await rm(join(bin, "go"));
    const [kwok] = await locateTools(["kwok"], {}, surroundings);
    expect(kwok?.origin).toBe("built before");
  });

  test("a failed module download is distinguished from code that does not compile", async () => {
    await executable(
      join(bin, "go"),
      `case "$1" in env) echo go1.26.8;; *) echo 'dial tcp: lookup proxy: no such host' >&2; exit 1;; esac`,
    );
    const { message } = await failure(["etcd"]);
    expect(message).toContain("the modules could not be fetched");
    expect(message).toContain("dial tcp: lookup proxy: no such host");
  });
});

describe("without a suitable Go", () => {
  test("one error lists every missing tool with its range, and what was skipped", async () => {
    const old = await onPath("kubectl", "v1.32.4-dispatcher");
    await onPath("kwok", "v1.35.0");
    await pin("etcd", "v1.35.4", "1.26");
    const { message, missing } = await failure(["kubectl", "etcd", "kwok"]);
    expect(missing).toEqual(["kubectl", "etcd"]);
    expect(message).toContain(
      "2 tools are missing and cannot be built: Go is not installed (no `go` on PATH).",
    );
    expect(message).toContain("Install Go 1.26.6 or newer (https://go.dev/dl/)");
    expect(message).toContain("  kubectl  >=1.34.0 <1.37.0\n");
    expect(message).toContain(`passed over: ${old} is v1.32.4-dispatcher, not >=1.34.0 <1.37.0`);
    expect(message).toContain("  etcd     >=1.35.0 <1.36.0");
    expect(message).not.toContain("kwok");
  });

  test("a Go that is too old is reported with its version", async () => {
    await fakeGo({ version: "go1.22.4" });
    const { message } = await failure(["etcd", "kwok"]);
    expect(message).toContain("Go 1.22.4 is too old, 1.26.6 or newer is needed.");
    expect(message).toContain("Install Go 1.26.6");
  });

  test("so is one that refuses the module because it may not download a newer toolchain", async () => {
    await executable(
      join(bin, "go"),
      `if [ -f go.mod ]; then echo 'go: go.mod requires go >= 1.26.6 (running go 1.24.1; GOTOOLCHAIN=local)' >&2; exit 1; fi
      echo go1.24.1`,
    );
    expect((await failure(["etcd"])).message).toContain("Go 1.24.1 is too old, 1.26.6 or newer is needed.");
  });
});

describe("several processes at once", () => {
  /** Starts a process that resolves etcd with this test's fakes. */
  function resolving(): ReturnType<typeof spawn> {
    const { folders, env } = surroundings;
    const script = `
      import { tools } from ${JSON.stringify(join(toolsFolder, "catalogue.ts"))};
      import { locateTools } from ${JSON.stringify(join(toolsFolder, "resolve.ts"))};
      const module = { folder: "etcd", source: "example.invalid/etcd", ldflags: () => "-X 1", weight: 1 };
      const catalogue = { etcd: { ...tools.etcd, package: "example.invalid/etcd/cmd", module } };
      const found = await locateTools(["etcd"], {}, { folders: ${JSON.stringify(folders)}, env: process.env, catalogue });
      console.log(JSON.stringify(found));`;
    return spawn(process.execPath, ["--input-type=module", "--eval", script], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  async function output(
    child: ReturnType<typeof spawn>,
  ): Promise<{ text: string; signal: NodeJS.Signals | null }> {
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
    return new Promise((resolve) => child.once("close", (_, signal) => resolve({ text, signal })));
  }

  test("build once, and both get the same binary", async () => {
    const go = await fakeGo({ beforeBuild: "sleep 1" });
    const results = await Promise.all([output(resolving()), output(resolving()), output(resolving())]);
    const found = results.map(({ text }) => (JSON.parse(text) as { path: string; origin: string }[])[0]);
    expect(new Set(found.map((tool) => tool?.path)).size).toBe(1);
    expect(found.map((tool) => tool?.origin).toSorted()).toEqual([
      "built before",
      "built before",
      "built now",
    ]);
    expect(await go.calls()).toHaveLength(1);
    expect(await leftovers()).toEqual([]);
  });

  test("Ctrl-C stops go and the program with the same signal, and leaves nothing behind", async () => {
    const ended = join(root, "go-ended");
    await fakeGo({
      beforeBuild: `trap 'echo >${ended}; exit 1' INT; echo >${root}/building; while :; do sleep 0.1; done`,
    });
    const child = resolving();
    const done = output(child);
    await expect.poll(() => existsSync(join(root, "building")), { timeout: 15_000 }).toBe(true);
    expect(await leftovers()).toHaveLength(2);
    child.kill("SIGINT");
    expect((await done).signal).toBe("SIGINT");
    expect(existsSync(ended)).toBe(true);
    expect(await leftovers()).toEqual([]);
  });

  test("the caller's signal also stops the build", async () => {
    await fakeGo({ beforeBuild: `echo >${root}/building; sleep 60` });
    const controller = new AbortController();
    const building = locateTools(["etcd"], { signal: controller.signal }, surroundings);
    const rejected = expect(building).rejects.toThrow("enough");
    await expect.poll(() => existsSync(join(root, "building")), { timeout: 15_000 }).toBe(true);
    controller.abort(new Error("enough"));
    await rejected;
    expect(await leftovers()).toEqual([]);
  });
});

describe("the lock", () => {
  const other = (pid: number, host = hostname()): string => JSON.stringify({ token: "another", pid, host });

  test("of a dead process is broken at once", async () => {
    const child = execFile(process.execPath, ["--version"]);
    await new Promise((resolve) => child.once("close", resolve));
    const file = join(root, "lock");
    await writeFile(file, other(child.pid ?? 0));
    const start = Date.now();
    (await takeLock(file)).release();
    expect(Date.now() - start).toBeLessThan(5_000);
    expect(existsSync(file)).toBe(false);
  });

  test("of another machine is broken when nobody touches it anymore", async () => {
    const file = join(root, "lock");
    await writeFile(file, other(process.pid, "elsewhere.invalid"));
    const waits: string[] = [];
    const lock = await takeLock(file, { staleAfter: 600, onWait: (holder) => waits.push(holder) });
    expect(waits).toEqual([`process ${process.pid}`]);
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ pid: process.pid, host: hostname() });
    lock.release();
  });

  test("of a live process is waited for, however long it takes", async () => {
    const file = join(root, "lock");
    const first = await takeLock(file, { staleAfter: 500 });
    let taken = false;
    const second = takeLock(file, { staleAfter: 500 }).then((lock) => {
      taken = true;
      return lock;
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(taken).toBe(false);
    first.release();
    (await second).release();
    expect(existsSync(file)).toBe(false);
  });

  test("that another process has taken is not released by its former holder", async () => {
    const file = join(root, "lock");
    const lock = await takeLock(file);
    await writeFile(file, other(process.pid));
    lock.release();
    expect(await readFile(file, "utf8")).toBe(other(process.pid));
  });
});

describe("npm run tools", () => {
  async function run(
    args: string[],
    env: NodeJS.ProcessEnv,
  ): Promise<{ code: unknown; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [join(toolsFolder, "cli.ts"), ...args], { env }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
      );
    });
  }

  test("--json has the path, version and origin of each tool", async () => {
    const path = await onPath("kubectl", "v1.35.3");
    const { code, stdout } = await run(["kubectl", "--json"], surroundings.env);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      kubectl: { path, version: "v1.35.3", origin: "PATH", refused: [] },
    });
  });

  test("without Go and tools, it fails with one message and no stack trace", async () => {
    const { code, stdout, stderr } = await run([], {
      ...surroundings.env,
      TALOS_ISCSI_TOOLS: join(root, "none"),
    });
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      new RegExp(`^${usualToolNames.length} tools are missing and cannot be built: Go is not installed`),
    );
    for (const name of usualToolNames) {
      expect(stderr).toContain(`  ${name} `);
    }
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test("an unknown tool is refused with the names of the known ones", async () => {
    const { code, stderr } = await run(["helm"], surroundings.env);
    expect(code).toBe(1);
    expect(stderr).toContain("The tools are pulumi, talosctl");
  });
});
