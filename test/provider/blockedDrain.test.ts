import { expect, it } from "vitest";
import { drain } from "../../provider/steps/drain.ts";
import type { WatchSource } from "../../provider/watchedObjects.ts";
import { FakeFleet, type MachineTrouble } from "../unit/provider/fakeFleet.ts";
import { openSession } from "../unit/provider/randomRollouts.ts";
import { steppingClock } from "../unit/provider/steppingClock.ts";
import { expectFailure } from "./nodeUpgradeHarness.ts";

// Requests that a drain sends to the Kubernetes API while it is blocked for 5 minutes.

/** The jitter value that causes the most requests. */
const mostAsked = 0;

it.each<[MachineTrouble, string, Record<string, number>, number]>([
  ["budget blocks", "1 pod had not left", { watchPods: 1 }, 20],
  // The second attachment watch belongs to the final check, after the 5 minutes.
  ["never detaches", "volumes had not left", { watchPods: 1, watchAttachments: 2 }, 20],
  ["keeps in use", "volumes had not left", { watchPods: 1, watchAttachments: 2 }, 26],
])(
  "%s: few requests, and one watch at a time, at maximum request jitter",
  async (trouble, says, watches, most) => {
    const runs = { version: "v1.13.7", schematic: "b".repeat(64) };
    const found = { runs, boot: 0, away: 0, installs: 0, boots: 0 };
    const fleet = new FakeFleet([
      { name: "cp1", role: "controlplane", address: "10.0.0.1", ...found },
      { name: "w1", role: "worker", address: "10.0.1.1", ...found },
    ]);
    fleet.setTrouble("w1", trouble);
    const { kubernetes } = fleet;
    const watching: AbortSignal[] = [];
    let mostWatches = 0;
    const counted = <T>(source: WatchSource<T>): WatchSource<T> => ({
      list: async () => source.list(),
      watch: async (version, onEvent, signal) => {
        watching.push(signal);
        mostWatches = Math.max(mostWatches, watching.filter(({ aborted }) => !aborted).length);
        await source.watch(version, onEvent, signal);
      },
    });
    const podsOn = kubernetes.podsOn.bind(kubernetes);
    kubernetes.podsOn = (name) => counted(podsOn(name));
    Object.assign(kubernetes.storage, { attachments: counted(kubernetes.storage.attachments) });
    const clock = steppingClock(mostAsked);
    const limit = { drain: { timeoutSeconds: 300 } };
    const session = await openSession(fleet, fleet.get("w1"), ["10.0.0.1"], limit, clock);
    const { message } = await expectFailure(
      drain(session.context, { kubernetesNode: "w1" }, () => undefined),
    );
    session.close();
    expect(message).toContain(`${says} after 5 min 0 s`);
    const calls = [...kubernetes.calls];
    const asked = Object.fromEntries(calls.filter(([name]) => !name.startsWith("watch")));
    const sum = Object.values(asked).reduce((total, count) => total + count, 0);
    console.log(`${trouble}: ${sum} requests`, asked, watches);
    expect(Object.fromEntries(calls.filter(([name]) => name.startsWith("watch")))).toEqual(watches);
    expect(mostWatches).toBe(1);
    expect(sum).toBeLessThanOrEqual(most);
    expect(clock.now()).toBeGreaterThanOrEqual(300_000);
  },
);
