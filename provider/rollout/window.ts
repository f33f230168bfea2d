import { installedNotice } from "../nodeAfterFailure.ts";
import { coded, type CodedText } from "../../talos/errorCodes.ts";
import type { WindowState } from "../../talos/windowTimes.ts";
import type { UpgradeContext } from "../context.ts";
import { failingServices, missingExtensions, type NodeFacts } from "../facts.ts";
import { describeStanding, readStanding } from "./standing.ts";

/** The node is left as it is for now, since no upgrade window is open: nothing is wrong with it. */
export class Postponed extends Error {
  override readonly name = "Postponed";
  /** How far the rollout has come; told once, by the first node that is left. */
  readonly standing: string;
  /** Why the deployment cannot go on without this node all the same; undefined where it can. */
  readonly needed: string | undefined;

  constructor(reason: string, told: { standing: string; needed: string | undefined }) {
    super(reason);
    this.standing = told.standing;
    this.needed = told.needed;
  }
}

/** What to tell of a node that was left: a text where that is no error, else what was seen and what to do. */
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

/** The upgrade windows as they are now; undefined where there are none. */
async function readWindowState({ wanted, clock }: UpgradeContext): Promise<WindowState | undefined> {
  const { windows } = wanted.rollout;
  if (windows.length === 0) return undefined;
  // The calendar takes its time to load, so only who needs it loads it.
  const { windowStateAt } = await import("../../talos/windowTimes.ts");
  return windowStateAt(windows, clock.calendar?.() ?? Date.now());
}

/** Why no node may be taken down now; undefined where one may. */
export async function whyWindowClosed(context: UpgradeContext): Promise<string | undefined> {
  const state = await readWindowState(context);
  if (state === undefined || state.open) return undefined;
  return `no upgrade window is open (it is ${state.now}); the next one opens ${state.opens}`;
}

/**
 * Before anything is done to the node that a reboot would make real.
 * @throws Postponed outside of every window
 */
export async function requireOpenWindow(context: UpgradeContext, facts: NodeFacts): Promise<void> {
  const reason = await whyWindowClosed(context);
  if (reason === undefined) return;
  const { wanted } = context;
  const now = await readStanding(context);
  const first = wanted.rollout.outsideWindow === "fail" || now.left[0] === wanted.name;
  throw new Postponed(reason, {
    standing: first ? describeStanding(now) : "",
    needed: whyNeededNow(facts, wanted),
  });
}

/** What comes after the rollout, such as the drivers, relies on these: a node without them cannot be passed over. */
function whyNeededNow(facts: NodeFacts, wanted: UpgradeContext["wanted"]): string | undefined {
  const missing = [
    ...missingExtensions(facts, wanted),
    ...failingServices(facts, wanted),
    ...wanted.files.filter((path) => !facts.files.includes(path)),
  ];
  return missing.length === 0 ? undefined : missing.join(", ");
}
