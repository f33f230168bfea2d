import { stringify } from "yaml";
import { describe, expect, it } from "vitest";
import { kernelArgumentFindings } from "../../../provider/guards/kernelArguments.ts";
import { TalosError, type TalosErrorKind } from "../../../talos/api/errors.ts";
import type { TalosReader } from "../../../talos/api/talosClient.ts";
import { argumentsForSchematic, lostKernelArguments } from "../../../talos/kernelArguments.ts";

const config = (install: object): string =>
  stringify({ version: "v1alpha1", machine: { type: "worker", install: { disk: "/dev/sda", ...install } } });
const withArgs = config({ extraKernelArgs: ["pcie_aspm=off", "net.ifnames=0"] });
const moved = config({ grubUseUKICmdline: true });
const cmdline = "BOOT_IMAGE=/A/vmlinuz talos.platform=metal pti=on net.ifnames=0 pcie_aspm=off\n";
/** A node's answers. Undefined means that it does not report the value. */
interface Answers {
  version: string;
  active: string | undefined;
  stored: string | undefined;
  cmdline: string | undefined;
  bootedWithUki: boolean | undefined;
}
const grub: Answers = {
  version: "v1.13.5",
  active: withArgs,
  stored: withArgs,
  cmdline,
  bootedWithUki: false,
};

async function findings(change: Partial<Answers> = {}) {
  const { version, active, stored, cmdline: running, bootedWithUki } = { ...grub, ...change };
  const tells =
    <T>(answer: T | undefined) =>
    async (): Promise<T> => {
      if (answer === undefined) throw new TalosError("denied", "w1", "a call", "denied");
      return answer;
    };
  const talos = {
    activeConfiguration: tells(active),
    machineConfiguration: tells(stored),
    readText: tells(running),
    bootedWithUki: tells(bootedWithUki),
  } as unknown as TalosReader;
  return kernelArgumentFindings("10.0.0.21", talos, version, {});
}

const told = async (change: Partial<Answers> = {}): Promise<string[]> =>
  (await findings(change)).map(({ problem, hint }) => `${problem}. ${hint}`);

describe("a node that boots with GRUB and has arguments in its machine configuration", () => {
  it("is not upgraded; the error lists both steps and every argument that the schematic needs", async () => {
    expect(await told()).toEqual([
      "the upgrade would lose the kernel arguments pcie_aspm=off of machine.install.extraKernelArgs: the node boots with GRUB, and LifecycleService " +
        "does not pass them to the installer (siderolabs/talos#13967). Put them in the schematic: image.schematic.customization.extraKernelArgs: " +
        '["pcie_aspm=off", "net.ifnames=0"]. In the machine configuration, remove machine.install.extraKernelArgs and set ' +
        "machine.install.grubUseUKICmdline: true: without it, GRUB ignores the schematic's arguments as well. A preview reads the node's " +
        "current configuration.",
    ]);
    expect(await findings()).toMatchObject([{ mayPass: false }]);
  });

  it.each<[string, Partial<Answers>]>([
    ["its release hands them over (before 1.13)", { version: "v1.12.7" }],
    ["its release cannot be told", { version: "my-build" }],
    ["it boots with systemd-boot", { bootedWithUki: true }],
    ["GRUB takes the image's arguments", { active: moved }],
    ["it has no arguments", { active: config({}) }],
    [
      "it has no arguments, and nothing else is known",
      { active: config({}), cmdline: undefined, bootedWithUki: undefined },
    ],
    ["its configuration cannot be read", { active: undefined }],
    ["its configuration is no YAML", { active: "machine: [" }],
    ["it runs without them already", { cmdline: "talos.platform=metal pti=on" }],
    ["Talos keeps them", { active: config({ extraKernelArgs: ["net.ifnames=0"] }) }],
  ])("is upgraded if %s", async (_, change) => {
    expect(await told(change)).toEqual([]);
  });

  it("is not upgraded if the boot loader or the command line cannot be read", async () => {
    expect(await told({ bootedWithUki: undefined })).toEqual([
      expect.stringMatching(/arguments pcie_aspm=off of .*does not report whether it boots with GRUB/),
    ]);
    expect(await told({ cmdline: undefined })).toEqual([
      expect.stringMatching(/arguments pcie_aspm=off of /),
    ]);
  });

  it("must reboot first if the configuration without them is staged", async () => {
    expect(await told({ stored: moved })).toEqual([
      expect.stringMatching(/is staged: reboot the node first.*`talosctl reboot --nodes 10\.0\.0\.21`/),
    ]);
  });

  it("does not reveal its passwords", async () => {
    const secret = "console.password=hunter2hunter2";
    const [text] = await told({ active: config({ extraKernelArgs: [secret] }), cmdline: `a=b ${secret}` });
    expect(text).toContain("console.password=[secret]");
    expect(text).not.toContain("hunter2");
  });
});

describe("arguments that the upgrade would lose", () => {
  it.each([
    [["em.events_url=http://e", "siderolink.api=grpc://o", "talos.dashboard.disabled=1"], []],
    // Equinix's own name, which Talos does not keep.
    [["talos.equinix.events=http://e"], ["talos.equinix.events=http://e"]],
    [
      ["quiet", "console=ttyS1,115200"],
      ["quiet", "console=ttyS1,115200"],
    ],
  ])("%j", (args, lost) => {
    expect(lostKernelArguments(args)).toEqual(lost);
    expect(lostKernelArguments(args, args.join(" "))).toEqual(lost);
  });

  it("exclude the guide's iscsi_tcp=1, which has no effect", () => {
    expect(lostKernelArguments(["iscsi_tcp=1", "quiet"], "iscsi_tcp=1 quiet")).toEqual(["quiet"]);
    expect(argumentsForSchematic(["iscsi_tcp=1", "quiet"], "iscsi_tcp=1 quiet")).toEqual(["quiet"]);
  });

  it("include the second value of a key whose first value is kept", () => {
    const args = ["talos.logging.kernel=udp://a", "talos.logging.kernel=udp://b"];
    expect(lostKernelArguments(args, args.join(" "))).toEqual(["talos.logging.kernel=udp://b"]);
  });

  it("include the serial console, except on bare metal", () => {
    const args = ["console=ttyS0"];
    expect(lostKernelArguments(args, "talos.platform=metal console=ttyS0")).toEqual([]);
    expect(lostKernelArguments(args, "talos.platform=nocloud console=ttyS0")).toEqual(args);
  });

  it("include the removal of a default while it is in effect", () => {
    expect(lostKernelArguments(["-init_on_alloc"], "pti=on")).toEqual(["-init_on_alloc"]);
    expect(lostKernelArguments(["-init_on_alloc"], "init_on_alloc=1 pti=on")).toEqual([]);
  });

  it("include arguments that GRUB may have quoted", () => {
    const quoted = 'dyndbg="file drivers/usb/* +p"';
    expect(lostKernelArguments([quoted], "dyndbg=other")).toEqual([quoted]);
  });

  it("go into the schematic together with those that Talos has kept so far", () => {
    const running = "talos.platform=metal module.sig_enforce=1 console=ttyS0 siderolink.api=grpc://o quiet";
    expect(argumentsForSchematic(["quiet"], running)).toEqual([
      "quiet",
      "console=ttyS0",
      "siderolink.api=grpc://o",
    ]);
    expect(argumentsForSchematic(["quiet"])).toEqual(["quiet"]);
  });
});

describe("reading a node's kernel arguments", () => {
  const fails = (kind: TalosErrorKind) => async (): Promise<never> => {
    throw new TalosError(kind, "w1", "a call", kind);
  };
  const node = (change: Partial<TalosReader> = {}): TalosReader =>
    ({
      activeConfiguration: async () => withArgs,
      machineConfiguration: async () => withArgs,
      readText: async () => cmdline,
      bootedWithUki: async () => false,
      ...change,
    }) as TalosReader;
  const findings = async (change: Partial<TalosReader>, version = "v1.13.5"): Promise<number> =>
    (await kernelArgumentFindings("10.0.0.21", node(change), version, {})).length;

  it("makes no call for a release that carries them over", async () => {
    const asked = fails("failed");
    expect(await findings({ activeConfiguration: asked }, "v1.12.7")).toBe(0);
    expect(await findings({})).toBe(1);
  });

  it("treats what the certificate's role may not read as unknown", async () => {
    expect(await findings({ activeConfiguration: fails("denied") })).toBe(0);
    expect(await findings({ bootedWithUki: fails("denied") })).toBe(1);
    expect(await findings({ readText: fails("denied") })).toBe(1);
    expect(await findings({ machineConfiguration: fails("denied") })).toBe(1);
  });

  it("fails for a node that does not answer", async () => {
    await expect(findings({ activeConfiguration: fails("unreachable") })).rejects.toThrow(TalosError);
    await expect(findings({ bootedWithUki: fails("timeout") })).rejects.toThrow(TalosError);
  });
});
