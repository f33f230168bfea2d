export { askGo } from "../../tools/goProgram.ts";
