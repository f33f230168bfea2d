/**
 * Makes many resources. Pulumi's SDK notes a stack trace for each of the four promises behind every property (@pulumi/pulumi runtime/debuggable.js): of
 * 500 nodes that was half of a preview's time and a sixth of its memory. Traces are left out here alone, and what is thrown still has its message.
 */
export function withoutStackTraces<T>(make: () => T): T {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = limit;
  }
}
