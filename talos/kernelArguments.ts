/**
 * What an upgrade by LifecycleService does with the kernel arguments of a node that boots with GRUB and doesn't set `grubUseUKICmdline`: it uses Talos's own
 * defaults and a few from the running command line, and neither those of `machine.install.extraKernelArgs` nor those of the image (siderolabs/talos v1.13.9
 * internal/app/lifecycle/container.go, cmd/installer/pkg/install/install.go).
 */

const KEPT_KEYS: ReadonlySet<string> = new Set([
  "siderolink.api",
  "talos.events.sink",
  "talos.logging.kernel",
  "em.events_url",
  "talos.auditd.disabled",
  "talos.dashboard.disabled",
  "net.ifnames",
  "module.sig_enforce",
]);

const SERIAL_CONSOLE = "console=ttyS0";
// Present in every image by default, so nobody needs to set it.
const DEFAULTS: ReadonlySet<string> = new Set(["module.sig_enforce=1"]);
// JovianDSS's guide requires it; the kernel has the module built in, without such a parameter (siderolabs/pkgs CONFIG_ISCSI_TCP=y).
const WITHOUT_EFFECT: ReadonlySet<string> = new Set(["iscsi_tcp=1"]);

/**
 * The configured arguments that the upgrade removes from the node.
 * @param args `machine.install.extraKernelArgs`; `-name` removes a default
 * @param cmdline the running kernel's command line; undefined if unknown: then all of `args` count as active
 */
export function lostKernelArguments(args: readonly string[], cmdline?: string): string[] {
  const running = cmdline === undefined ? undefined : tokensOf(cmdline);
  return args.filter((arg) => !WITHOUT_EFFECT.has(arg) && isInEffect(arg, running) && !isKept(arg, running));
}

/** What the schematic needs before `grubUseUKICmdline` is set: the image's arguments then replace all others, including those that Talos has kept so far. */
export function argumentsForSchematic(args: readonly string[], cmdline?: string): string[] {
  const running = tokensOf(cmdline ?? "");
  const kept = running.filter((token) => isKept(token, running) && !DEFAULTS.has(token));
  return [...new Set([...args, ...kept])].filter((arg) => !WITHOUT_EFFECT.has(arg));
}

const tokensOf = (cmdline: string): string[] => cmdline.split(/\s+/).filter((token) => token !== "");
const keyOf = (token: string): string => token.split("=")[0] ?? token;

/** An argument that the running kernel lacks was lost earlier, or never installed. */
function isInEffect(arg: string, running: readonly string[] | undefined): boolean {
  // GRUB may quote special characters; such an argument counts as active.
  if (running === undefined || !/^[\w.,:;/@+%=-]+$/.test(arg)) return true;
  if (!arg.startsWith("-")) return running.includes(arg);
  const negated = arg.slice(1);
  return !running.some((token) => token === negated || keyOf(token) === negated);
}

function isKept(arg: string, running: readonly string[] | undefined): boolean {
  if (arg === SERIAL_CONSOLE) {
    return running === undefined || (running.includes(arg) && running.includes("talos.platform=metal"));
  }
  const key = keyOf(arg);
  if (!KEPT_KEYS.has(key)) return false;
  // If a key appears more than once, the first is kept.
  return running === undefined || running.find((token) => keyOf(token) === key) === arg;
}
