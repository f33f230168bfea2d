import { checkPreflight, type CheckFailure } from "./check.ts";
import type { DetailedDiffResult, Details } from "./detailedDiff.ts";
import { judgeTalosconfig } from "./certificates/judge.ts";
import { calendar } from "./clock.ts";
import { describeImage } from "./facts.ts";
import { judgeHardware } from "./hardware.ts";
import { departures, knownMembers, membershipInputs, type Departure } from "./membership/members.ts";
import { nodesByName } from "./nodesByName.ts";
import type { OtherResource } from "./otherResource.ts";
import { lookBeforeChanges } from "./preflight.ts";
import { pathTo } from "./rollout.ts";
import { hasUnknown, wrap, type Properties, type Unwrapped } from "./secrets.ts";
import type { Surroundings } from "./session.ts";
import { alwaysSecret } from "./state.ts";

export const readinessType = "talos-node:index:RolloutReadiness";

/** Looks at the nodes before the first machine configuration is applied. It changes nothing. */
export class ReadinessResource implements OtherResource {
  readonly #surroundings: Surroundings;
  readonly #stop: AbortSignal;

  constructor(surroundings: Surroundings, stop: AbortSignal) {
    this.#surroundings = surroundings;
    this.#stop = stop;
  }

  check(inputs: Properties): CheckFailure[] {
    return checkPreflight(rolloutOf(inputs));
  }

  /** Can the nodes be asked at all, and do the machines have what their configurations name? */
  async judge(urn: string, before: Properties, inputs: Properties): Promise<CheckFailure[]> {
    const now = calendar(this.#surroundings);
    const failures = judgeTalosconfig(inputs, now, this.#surroundings.statusOf(urn));
    if (failures.length > 0) return failures;
    return judgeHardware({ surroundings: this.#surroundings, urn, signal: this.#stop }, before, inputs);
  }

  /** Who leaves, and what happens to the machine: it is the first thing that a preview shows of the nodes. */
  foresee(before: Properties, inputs: Properties): Properties {
    if (hasUnknown(before["nodes"]) || hasUnknown(inputs["nodes"])) return {};
    const members = Object.fromEntries(
      nodesByName(inputs["nodes"]).map(([name, { role, node }]) => [
        name,
        `${String(role)} at ${String(node)}`,
      ]),
    );
    const leaving = leavingOf(before, inputs);
    const images = imagesOf(inputs);
    const always = { members, ...(images === undefined ? {} : { images }) };
    if (leaving.length === 0) return always;
    return {
      ...always,
      leaving: Object.fromEntries(leaving.map(({ member, way }) => [member.name, fate[way]])),
    };
  }

  /** A look is due when a node is to run something else; that nodes come and go is shown. What else changes is only kept. */
  async diff(
    _urn: string,
    state: Properties,
    news: Properties,
    oldInputs: Properties,
  ): Promise<DetailedDiffResult> {
    const isLook = isDue(state, news);
    const leaving = hasUnknown(news["nodes"]) ? [] : leavingOf(oldInputs, news);
    if (!isLook && leaving.length === 0) return { changes: false };
    // Where nothing is shown, the engine lists all inputs as they were.
    const images = oldInputs["images"] === undefined ? "add" : "update";
    const details: Details = isLook ? { [news["images"] === undefined ? "nodes" : "images"]: images } : {};
    for (const { member } of leaving) {
      details[pathTo("members", member.name)] = "delete";
      details[pathTo("leaving", member.name)] = "add";
    }
    return {
      changes: true,
      changed: [...(isLook ? ["nodes"] : []), ...(leaving.length > 0 ? ["leaving"] : [])],
      details,
    };
  }

  async create(urn: string, { values, secrets }: Unwrapped): Promise<{ id: string; outs: Properties }> {
    await lookBeforeChanges(this.#surroundings, urn, rolloutOf(values), new Set(), this.#stop);
    return { id: "readiness", outs: wrap(values, [...secrets, ...alwaysSecret]) };
  }

  async update(
    _id: string,
    urn: string,
    state: Properties,
    { values, secrets }: Unwrapped,
  ): Promise<Properties> {
    const known = new Set(nodesByName(state["nodes"]).map(([name]) => name));
    if (isDue(state, values))
      await lookBeforeChanges(this.#surroundings, urn, rolloutOf(values), known, this.#stop);
    return wrap(values, [...secrets, ...alwaysSecret]);
  }

  inputsOf(state: Properties): Properties {
    return state;
  }
}

/** What the nodes are to run, each image once: `v1.13.9 with schematic c9078f941996…`. Undefined while that is not known. */
function imagesOf(inputs: Properties): string | undefined {
  const described = nodesByName(inputs["nodes"]).map(([, { talosVersion, schematicId }]) => {
    const schematic = schematicId ?? inputs["schematicId"];
    return typeof talosVersion === "string" && typeof schematic === "string" && !hasUnknown(schematic)
      ? describeImage(talosVersion, schematic)
      : undefined;
  });
  const known = described.filter((text) => text !== undefined);
  return known.length === 0 || known.length < described.length ? undefined : [...new Set(known)].join(", ");
}

function isDue(state: Properties, news: Properties): boolean {
  if (state["schematicId"] !== news["schematicId"]) return true;
  const before = new Map(nodesByName(state["nodes"]));
  return nodesByName(news["nodes"]).some(([name, node]) => {
    const last = before.get(name);
    return (
      last !== undefined && ["talosVersion", "image", "schematicId"].some((key) => last[key] !== node[key])
    );
  });
}

const fate: Record<Departure["way"], string> = {
  reset:
    "its machine is RESET: drained, taken out of etcd, its configuration and data wiped; it boots into maintenance mode",
  keep: "its machine is left as it is, and runs on (onRemove: keep)",
  moved: "the machine at its old address is left as it is: the node is listed with another address now",
};

function leavingOf(before: Properties, inputs: Properties): Departure[] {
  return departures(knownMembers({ nodes: before["nodes"] }), membershipInputs(inputs));
}

/** What a preflight takes: what happens to a machine that leaves is none of its inputs. */
function rolloutOf({
  nodes,
  onRemove: _onRemove,
  leaving: _leaving,
  members: _members,
  images: _images,
  hardware: _hardware,
  ...rollout
}: Properties): Properties {
  if (typeof nodes !== "object" || nodes === null) return { ...rollout, nodes };
  const without = Object.entries(nodes as Record<string, Properties>).map(([name, node]) => {
    const { onRemove: _own, ...rest } = node;
    return [name, rest];
  });
  return { ...rollout, nodes: Object.fromEntries(without) as Properties };
}
