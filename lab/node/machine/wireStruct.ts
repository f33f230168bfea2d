/** Encodes a google.protobuf.Struct: protobufjs knows the message, but doesn't convert objects to it. */
export function wireStruct(object: object): object {
  return {
    fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, wireValue(value)])),
  };
}

function wireValue(value: unknown): object {
  if (value === null || value === undefined) return { nullValue: 0 };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(wireValue) } };
  return { structValue: wireStruct(value) };
}
