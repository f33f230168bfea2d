import { installedNotice } from "../nodeAfterFailure.ts";
import { coded, type CodedText } from "../../talos/errorCodes.ts";
import type { WindowState } from "../../talos/windowTimes.ts";
import type { UpgradeContext } from "../context.ts";
import { failingServices, missingExtensions, type NodeFacts } from "../facts.ts";
import { describeStanding, readStanding } from "./standing.ts";

/** The node is left as it is because no upgrade window is open; this is not a failure. */
export class Postponed extends Error {
  override readonly name = "Postponed";
  /** The rollout's progress; reported once, by the first node that is left. */
  readonly standing: string;
  /** Why the deployment can't continue without this node; undefined if it can. */
  readonly needed: string | undefined;

  constructor(reason: string, details: { standing: string; needed: string | undefined }) {
    super(reason);
    this.standing = details.standing;
    this.needed = details.needed;
  }
}

/** The report on a postponed node: a text if that is no error, otherwise what was seen and what to do. */
export function describePostponed(
  { message, standing: how, needed }: Postponed,
  installed: boolean,
  outsideWindow: "stop" | "fail",
): { text: string } | { seen: CodedText; hint: string } {
  const image = installed ? installedNotice : "";
  const join = (...parts: string[]): string => parts.filter((part) => part !== "").join(" ");
  if (outsideWindow === "stop" && needed === undefined)
    return { text: join(`${message}.`, how, image || "The node runs its old image, untouched.") };
  const lacks =
    needed === undefined ? "" : `. What comes after the rollout needs ${needed}, which this node lacks`;
  const again = "Run `pulumi up` again when a window is open: it continues from here.";
  const hint = join(how, image, again);
  return { seen: coded("upgrade-window", message + lacks), hint };
}

/** The current state of the upgrade windows; undefined if there are none. */
async function readWindowState({ wanted, clock }: UpgradeContext): Promise<WindowState | undefined> {
  const { windows } = wanted.rollout;
  if (windows.length === 0) return undefined;
  // The calendar is slow to load, so it is loaded on demand.
  const { windowStateAt } = await import("../../talos/windowTimes.ts");
  return windowStateAt(windows, clock.calendar?.() ?? Date.now());
}

/** Why no node may be taken down now; undefined if one may. */
export async function whyWindowClosed(context: UpgradeContext): Promise<string | undefined> {
  const state = await readWindowState(context);
  if (state === undefined || state.open) return undefined;
  return `no upgrade window is open (it is ${state.now}); the next one opens ${state.opens}`;
}

/**
 * Called before anything is done to the node that a reboot would activate.
 * @throws Postponed outside of every window
 */
export async function requireOpenWindow(context: UpgradeContext, facts: NodeFacts): Promise<void> {
  // A window that opens again doesn't make up for hops that are left.
  const earlier = context.postponed?.replace(/\.$/, "");
  const waits = earlier === undefined ? undefined : `the rollout waits: ${earlier}`;
  const reason = waits ?? (await whyWindowClosed(context));
  if (reason === undefined) return;
  const { wanted } = context;
  const now = await readStanding(context);
  const first = wanted.rollout.outsideWindow === "fail" || now.left[0] === wanted.name;
  throw new Postponed(reason, {
    standing: first ? describeStanding(now) : "",
    needed: whyNeededNow(facts, wanted),
  });
}

/** Later resources, such as the drivers, rely on these: a node without them can't be skipped. */
function whyNeededNow(facts: NodeFacts, wanted: UpgradeContext["wanted"]): string | undefined {
  const missing = [
    ...missingExtensions(facts, wanted),
    ...failingServices(facts, wanted),
    ...wanted.files.filter((path) => !facts.files.includes(path)),
  ];
  return missing.length === 0 ? undefined : missing.join(", ");
}
