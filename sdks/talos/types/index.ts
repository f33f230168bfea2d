export * as input from "./input.ts";
export * as output from "./output.ts";
