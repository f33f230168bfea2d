// @peculiar/x509 finds its algorithm providers through tsyringe, which refuses to load without the metadata
// functions of the decorators proposal. It stores only constructor parameter types with them, so a map by target is all
// that is needed here.
type Key = string | symbol;
type Target = object;

const store = new WeakMap<Target, Map<Key, unknown>>();

function own(target: Target): Map<Key, unknown> {
  let entries = store.get(target);
  if (entries === undefined) store.set(target, (entries = new Map<Key, unknown>()));
  return entries;
}

function lookUp(key: Key, target: Target | null): unknown {
  for (let current = target; current !== null; current = Object.getPrototypeOf(current) as Target | null) {
    const entries = store.get(current);
    if (entries?.has(key)) return entries.get(key);
  }
  return undefined;
}

const functions = {
  defineMetadata: (key: Key, value: unknown, target: Target) => void own(target).set(key, value),
  getMetadata: (key: Key, target: Target) => lookUp(key, target),
  getOwnMetadata: (key: Key, target: Target) => store.get(target)?.get(key),
  hasOwnMetadata: (key: Key, target: Target) => store.get(target)?.has(key) ?? false,
  metadata: (key: Key, value: unknown) => (target: Target) => void own(target).set(key, value),
};

if (!("getMetadata" in Reflect)) Object.assign(Reflect, functions);
